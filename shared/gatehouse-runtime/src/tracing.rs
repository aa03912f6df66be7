//! Log lines: JSON on standard output, which Lambda carries to CloudWatch.

use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::env;

/// What our own lines come from: crates whose names begin so.
const OURS: &[&str] = &[
    "authorizer",
    "callbacks",
    "catalog",
    "deployer",
    "gatehouse",
    "identity",
    "janitor",
    "jobs",
    "meta",
    "provisioner",
    "runs",
    "streams",
    "tokens",
];

/// The most that everybody else may say. From `debug` on the AWS SDK, hyper and the emulators write requests and
/// answers as they are, and in those are hashes of passwords, ids of sessions, parameters and URLs of webhooks.
const CAP: LevelFilter = LevelFilter::INFO;

/// Sends log lines to standard output as JSON, one object a line.
///
/// `GATEHOUSE_LOG` says which: a level, or levels by target (`info,gatehouse_providers=debug`). Without it,
/// or when it cannot be read, `info`. Whatever it says, others than our own crates write no more than `info`.
pub fn init() {
    let lines = lines(std::io::stdout);
    // A second call, as tests make, finds a subscriber and changes nothing.
    let _already_set = tracing_subscriber::registry().with(filter()).with(lines).try_init();
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

/// The filter that `GATEHOUSE_LOG` names, capped.
pub fn filter() -> Targets {
    let wanted = env::optional("GATEHOUSE_LOG").and_then(|text| text.parse().ok());
    capped(&wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)))
}

/// The same filter, in which nobody but our own crates has more than [`CAP`].
fn capped(wanted: &Targets) -> Targets {
    let default = wanted.default_level().unwrap_or(LevelFilter::OFF);
    let ours = OURS.iter().map(|target| ((*target).to_owned(), default));
    // What was named stands behind what is implied, and replaces it.
    let named = wanted.iter().map(|(target, level)| {
        let level = if is_ours(target) { level } else { level.min(CAP) };
        (target.to_owned(), level)
    });
    Targets::new().with_targets(ours).with_targets(named).with_default(default.min(CAP))
}

/// Whether a target is one of our crates, or in one. A filter's target stands for all that begins with it, so one that
/// is only the beginning of such a name stands for others too.
fn is_ours(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    OURS.contains(&name) || name.starts_with("gatehouse_")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    const OTHERS: &[&str] = &[
        "aws_config::default_provider",
        "aws_runtime::auth",
        "aws_sdk_dynamodb::operation::put_item",
        "aws_sigv4::http_request",
        "aws_smithy_runtime::client::orchestrator",
        "dynoxide::server",
        "h2::codec",
        "hyper::proto::h1",
        "hyper_util::client::legacy",
        "lambda_runtime::layers",
        "lambda_http",
        "log",
        "reqwest::connect",
        "rustls::client",
        "tower::buffer",
    ];

    /// Every way to ask for everything of a target.
    fn filters(target: &str) -> Vec<String> {
        let root = target.split("::").next().unwrap_or_default();
        let levels = ["debug", "trace"];
        let spelled = |level: &str| {
            [
                level.to_owned(),
                level.to_uppercase(),
                format!("{target}={level}"),
                format!("{root}={level}"),
                format!("{}={level}", &root[..1]),
                format!("info,{root}={level}"),
                format!("{level},{root}={level},gatehouse_store={level}"),
                format!("={level}"),
            ]
        };
        let bare = [target.to_owned(), root.to_owned()];
        levels.into_iter().flat_map(spelled).chain(bare).collect()
    }

    #[test]
    fn no_filter_lets_others_write_what_they_send_and_get() {
        for target in OTHERS {
            for filter in filters(target) {
                let Ok(wanted) = filter.parse::<Targets>() else { continue };
                let capped = capped(&wanted);
                for level in [Level::DEBUG, Level::TRACE] {
                    assert!(!capped.would_enable(target, &level), "{filter}: {target} at {level}");
                }
            }
        }
    }

    #[test]
    fn our_own_crates_write_what_the_filter_says() {
        let enabled = |filter: &str, target: &str, level: Level| {
            capped(&filter.parse().unwrap()).would_enable(target, &level)
        };
        for target in ["gatehouse_store::lists", "jobs::job", "identity"] {
            assert!(enabled("trace", target, Level::TRACE), "{target}");
            assert!(!enabled("info", target, Level::DEBUG), "{target}");
            assert!(!enabled("warn,gatehouse_store=debug,jobs=debug,identity=debug", target, Level::TRACE));
        }
        assert!(enabled("warn,gatehouse_store=debug", "gatehouse_store::lists", Level::DEBUG));
        assert!(!enabled("warn,gatehouse_store=debug", "gatehouse_http", Level::INFO));
        assert!(!enabled("trace,gatehouse_store=error", "gatehouse_store", Level::WARN));
        assert!(enabled("warn", "hyper", Level::WARN) && !enabled("warn", "hyper", Level::INFO));
        assert!(!enabled("off", "gatehouse_store", Level::ERROR));
    }
}
