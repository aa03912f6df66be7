//! Lambda behind /v1/jobs and /v1/providers.
