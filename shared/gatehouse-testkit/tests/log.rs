//! That the log of tests is looked at: nothing else would notice if it were not.

use gatehouse_testkit::log::{MARKER, PROBE, watch};

#[test]
fn a_line_that_shows_a_secret_ends_its_test() {
    watch();
    tracing::trace!(caller = "user:ada", "a line without one");
    let logs = || tracing::trace!(target: "gatehouse_testkit", url = format!("https://hooks.example/{MARKER}"), "{PROBE}");
    // The panic is meant: it need not be shown.
    std::panic::set_hook(Box::new(|_| {}));
    let ended = std::panic::catch_unwind(logs);
    drop(std::panic::take_hook());
    let message = ended.expect_err("the line is let through");
    let message = message.downcast_ref::<String>().expect("it is text");
    assert!(message.starts_with("a line of the log shows a secret of the test"), "{message}");
}
