//! Logs that do not fit into memory twice.

use crate::support::{Key, Resume, binary::Binary, in_time};
use http_body_util::BodyExt;

const LINES: usize = 1_000_000;

/// More than the program needs for anything, and much less than it would with a log of this length in it
/// for each reader, as text and as events.
const PEAK: u64 = 160 * 1024 * 1024;

/// Compares text that comes in pieces with the lines that are to come.
struct Expected {
    next: usize,
    partial: String,
}

impl Expected {
    fn new() -> Self {
        Self { next: 1, partial: String::new() }
    }

    fn take(&mut self, text: &str) {
        self.partial.push_str(text);
        let mut taken = 0;
        while let Some(length) = self.partial[taken..].find('\n') {
            assert_eq!(self.partial[taken..taken + length].parse(), Ok(self.next), "the next line");
            self.next += 1;
            taken += length + 1;
        }
        self.partial.drain(..taken);
    }

    fn assert_complete(&self) {
        assert_eq!((self.next, self.partial.as_str()), (LINES + 1, ""));
    }
}

#[tokio::test]
async fn a_million_lines_are_streamed_whole_in_order_and_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let binary = Binary::start(directory.path()).await;
    let platform = binary.client(&Key::PLATFORM);
    let before = binary.peak_memory();
    platform.put_script("million", &format!("seq {LINES}")).await;
    let run = platform.trigger("million").await;

    let mut live = Expected::new();
    let mut reader = platform.events(&run, Resume::Start).await;
    let mut ended = false;
    while let Some(event) = reader.next().await {
        live.take(&event.text().unwrap_or_default());
        ended |= event.is_end();
    }
    assert!(ended, "the stream has an end");
    live.assert_complete();

    let mut replayed = Expected::new();
    let mut reader = platform.events(&run, Resume::Start).await;
    while let Some(event) = reader.next().await {
        replayed.take(&event.text().unwrap_or_default());
    }
    replayed.assert_complete();

    let mut log = Expected::new();
    let call = crate::support::Call::get(format!("/v1/runs/{run}/log"));
    let mut body = in_time("the log", platform.open(call)).await.unwrap().into_body();
    while let Some(frame) = in_time("more of the log", body.frame()).await {
        if let Ok(data) = frame.unwrap().into_data() {
            log.take(std::str::from_utf8(&data).unwrap());
        }
    }
    log.assert_complete();

    let peak = binary.peak_memory();
    eprintln!("peak memory: {} MiB, {} MiB before the run", peak >> 20, before >> 20);
    assert!(peak < PEAK, "{peak} bytes");
    binary.kill().await;
}
