//! Log lines: JSON on standard output, which Lambda carries to CloudWatch.

use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::env;

/// Sends log lines to standard output as JSON, one object a line.
///
/// `GATEHOUSE_LOG` says which: a level, or levels by target (`info,gatehouse_providers=debug`). Without it,
/// or when it cannot be read, `info`.
pub fn init() {
    let lines = lines(std::io::stdout);
    // A second call, as tests make, finds a subscriber and changes nothing.
    let _already_set =
        tracing_subscriber::registry().with(filter()).with(without_bodies()).with(lines).try_init();
}

/// Everything but what others write at `trace` of the bodies that they carry, whatever `GATEHOUSE_LOG` says: the AWS SDK,
/// and `dynoxide` in the local stack. Items of the table hold values of parameters and URLs of webhooks.
fn without_bodies() -> Targets {
    let carriers = ["aws_", "dynoxide"].map(|carrier| (carrier, Level::DEBUG));
    Targets::new().with_default(Level::TRACE).with_targets(carriers)
}

/// Log lines as JSON, one object a line, for a writer of choice.
pub fn lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(true)
        .with_writer(writer)
}

/// The filter that `GATEHOUSE_LOG` names.
pub fn filter() -> Targets {
    let wanted = env::optional("GATEHOUSE_LOG").and_then(|text| text.parse().ok());
    wanted.unwrap_or_else(|| Targets::new().with_default(Level::INFO))
}
