//! A log of a million lines, in a process of its own: what it holds in memory is measured.

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "concourse/support.rs"]
mod support;

use futures_util::StreamExt;
use gatehouse_domain::ci::{CiProvider, RunEventBody};
use gatehouse_testkit::concourse::Script;

use crate::support::{Bench, concourse, deploy, number, trigger};

/// Without optimisation a million take minutes and show no more than these.
const LINES: u64 = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };

/// The stream has some 190 bytes for each line; kept events would take more.
const MAY_GROW: u64 = 2 * 1024 * 1024;

/// What this process holds in memory, in bytes; `None` where the system does not say.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[tokio::test]
async fn the_lines_come_in_order_and_fill_no_memory() {
    let bench = Bench::new(concourse(Script::huge(LINES))).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    let mut events = provider.events(deploy(), build, None);
    let (mut lines, mut first, mut last) = (0, None, None);
    while let Some(event) = events.next().await {
        let RunEventBody::Log { text, .. } = event.unwrap().body else { continue };
        assert_eq!(text, format!("line {lines}\r\n"));
        lines += 1;
        if lines % (LINES / 10) == 0 {
            last = resident();
            first = first.or(last);
        }
    }
    assert_eq!(lines, LINES);
    if let (Some(first), Some(last)) = (first, last) {
        let grown = last.saturating_sub(first);
        assert!(grown < MAY_GROW, "memory grew by {grown} bytes");
    }
}
