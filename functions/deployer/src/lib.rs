//! Lambda that deploys: by a CI job, or by a webhook.
