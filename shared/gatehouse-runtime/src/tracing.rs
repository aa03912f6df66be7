//! Log lines: JSON on standard output, which Lambda carries to CloudWatch.

use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::env;

/// Sends log lines to standard output as JSON, one object a line.
///
/// `GATEHOUSE_LOG` says which: a level, or levels by target (`info,gatehouse_providers=debug`). Without it,
/// or when it cannot be read, `info`.
pub fn init() {
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(true);
    // A second call, as tests make, finds a subscriber and changes nothing.
    let _already_set = tracing_subscriber::registry().with(filter()).with(json).try_init();
}

/// The filter that `GATEHOUSE_LOG` names.
pub fn filter() -> Targets {
    let wanted = env::optional("GATEHOUSE_LOG").and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO))
}
