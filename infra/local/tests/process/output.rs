//! What commands write, as their readers see it.

use std::io::Write;

use futures_util::{StreamExt, TryStreamExt, future::join_all};
use gatehouse_domain::ci::{
    CiErrorKind, LogStream, Position, ProcessTarget, RunEvent, RunEventBody, RunStatus, Target,
};

use crate::stack::{Stack, in_time, output, sh, target, text};

/// Writes a line per word that it reads from the FIFO `go`, so that a test sets the pace.
const PACED: &str = "mkfifo go; exec 3<>go; echo ready; \
    while read -r word <&3; do [ $word = end ] && exit; echo $word; done";

#[tokio::test]
async fn each_stream_keeps_its_order() {
    let stack = Stack::new();
    let script = "i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
    let (_, events) = stack.run("run_1", script).await;
    let expected = |word: &str| lines(|i| format!("{word}{i}\n"));
    assert_eq!(text(&events, LogStream::Stdout), expected("out"));
    assert_eq!(text(&events, LogStream::Stderr), expected("err"));
}

#[tokio::test]
async fn merged_streams_keep_the_order_between_them() {
    let stack = Stack::new();
    let script = "i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
    let merged = ProcessTarget { merge_stderr: true, ..target(&["sh", "-c", script]) };
    stack.start("run_1", &Target::Process(merged)).await;
    let events = stack.all_events("run_1").await;
    let expected = lines(|i| format!("out{i}\nerr{i}\n"));
    assert_eq!(text(&events, LogStream::Stdout), expected);
    assert_eq!(text(&events, LogStream::Stderr), "");
}

#[tokio::test]
async fn streams_that_are_written_one_after_the_other_are_told_so() {
    let stack = Stack::new();
    // Each waits for the word that the test writes when it has seen what was before.
    let script = "mkfifo go; exec 3<>go; printf 'a'; read -r w <&3; printf 'b' >&2; read -r w <&3; echo c";
    stack.start("run_1", &sh(script)).await;
    for (seen, word) in [("a", "1"), ("ab", "2")] {
        stack.wait_for_output("run_1", seen).await;
        say(&stack, "run_1", word);
    }
    let told = output(&stack.all_events("run_1").await);
    let expected = [(LogStream::Stdout, "a"), (LogStream::Stderr, "b"), (LogStream::Stdout, "c\n")];
    assert_eq!(told, expected.map(|(stream, text)| (stream, text.to_owned())));
}

#[tokio::test]
async fn a_prompt_is_told_without_its_line_end() {
    let stack = Stack::new();
    stack.start("run_1", &sh("mkfifo go; printf 'Password: '; read -r w <go; echo got $w")).await;
    stack.wait_for_output("run_1", "Password: ").await;
    say(&stack, "run_1", "it");
    assert_eq!(text(&stack.all_events("run_1").await, LogStream::Stdout), "Password: got it\n");
}

#[tokio::test]
async fn a_progress_bar_moves() {
    let stack = Stack::new();
    stack.start("run_1", &sh("mkfifo go; printf '50%%\\r'; read -r w <go; printf '100%%\\n'")).await;
    stack.wait_for_output("run_1", "50%\r").await;
    say(&stack, "run_1", "on");
    assert_eq!(text(&stack.all_events("run_1").await, LogStream::Stdout), "50%\r100%\n");
}

#[tokio::test]
async fn a_character_that_is_written_in_halves_stays_whole() {
    let stack = Stack::new();
    let script = "mkfifo go; exec 3<>go; printf 'a\\342\\202'; read -r w <&3; printf '\\254\\377'; exit";
    stack.start("run_1", &sh(script)).await;
    stack.wait_for_output("run_1", "a").await;
    say(&stack, "run_1", "on");
    let told = output(&stack.all_events("run_1").await);
    assert_eq!(told.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["a", "€\u{fffd}"]);
}

#[tokio::test]
async fn a_replay_is_what_was_told_live() {
    let stack = Stack::new();
    stack.start("run_1", &sh(PACED)).await;
    let live = tokio::spawn(collect(&stack, None));
    stack.wait_for_output("run_1", "ready\n").await;
    for word in ["one", "two", "three", "end"] {
        say(&stack, "run_1", word);
    }
    let live = in_time(live).await.unwrap();
    assert_eq!(text(&live, LogStream::Stdout), "ready\none\ntwo\nthree\n");
    assert_eq!(stack.all_events("run_1").await, live);
    let stack = stack.reopened().await;
    assert_eq!(stack.all_events("run_1").await, live);
}

#[tokio::test]
async fn every_position_resumes_with_exactly_the_rest() {
    let stack = Stack::new();
    let (_, events) = stack.run("run_1", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.01; done").await;
    assert!(events.len() > 8, "{}", events.len());
    for (index, event) in events.iter().enumerate() {
        let rest = in_time(collect(&stack, event.position.clone())).await;
        assert_eq!(rest, events[index + 1..], "behind event {index}");
    }
}

#[tokio::test]
async fn a_reader_that_is_cut_after_each_event_misses_and_repeats_nothing() {
    let stack = Stack::new();
    stack.start("run_1", &sh("i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done")).await;
    let mut cut: Vec<RunEvent> = Vec::new();
    while !cut.last().is_some_and(|event| event.body == RunEventBody::End) {
        let after = cut.last().and_then(|event| event.position.clone());
        let next = in_time(stack.events("run_1", after).next()).await;
        cut.push(next.expect("there is more").unwrap());
    }
    assert_eq!(cut, stack.all_events("run_1").await);
}

#[tokio::test]
async fn two_hundred_readers_see_the_same() {
    let stack = Stack::new();
    stack.start("run_1", &sh(PACED)).await;
    let readers: Vec<_> = (0..200).map(|_| tokio::spawn(collect(&stack, None))).collect();
    stack.wait_for_output("run_1", "ready\n").await;
    for word in 0..100 {
        say(&stack, "run_1", &word.to_string());
    }
    say(&stack, "run_1", "end");
    let told: Vec<_> = in_time(join_all(readers)).await.into_iter().map(Result::unwrap).collect();
    let expected = (0..100).fold("ready\n".to_owned(), |text, word| format!("{text}{word}\n"));
    assert_eq!(text(&told[0], LogStream::Stdout), expected);
    assert!(told.iter().all(|events| *events == told[0]));
}

#[tokio::test]
async fn a_position_of_nowhere_is_refused() {
    let stack = Stack::new();
    stack.run("run_1", "echo a").await;
    for position in ["", "x", "-1", "3", "999999", "18446744073709551615", "99999999999999999999999"] {
        let mut events = stack.events("run_1", Some(Position(position.into())));
        let error = in_time(events.next()).await.unwrap().unwrap_err();
        assert_eq!(error.kind, CiErrorKind::Refused, "{position:?}");
    }
}

#[tokio::test]
async fn a_million_lines_pass_in_pieces() {
    let stack = Stack::new();
    stack.start("run_1", &Target::Process(target(&["seq", "1000000"]))).await;
    let mut events = stack.events("run_1", None);
    let (mut next, mut rest, mut longest) = (1_u32, String::new(), 0);
    while let Some(event) = in_time(events.next()).await {
        let RunEventBody::Log { text, .. } = event.unwrap().body else { continue };
        longest = longest.max(text.len());
        rest.push_str(&text);
        let whole = rest.rfind('\n').map_or(0, |end| end + 1);
        for line in rest.drain(..whole).as_str().lines() {
            assert_eq!(line.parse(), Ok(next));
            next += 1;
        }
    }
    assert_eq!((next, rest.as_str()), (1_000_001, ""));
    assert!(longest <= 32 * 1024, "{longest}");
    assert_eq!(stack.build("run_1").await.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_line_without_end_passes_in_pieces() {
    let stack = Stack::new();
    let (_, events) = stack.run("run_1", "head -c 3000000 /dev/zero | tr '\\0' x").await;
    let pieces = output(&events);
    assert_eq!(pieces.iter().map(|(_, text)| text.len()).sum::<usize>(), 3_000_000);
    assert!(pieces.iter().all(|(_, text)| text.len() <= 32 * 1024));
}

fn collect(stack: &Stack, after: Option<Position>) -> impl Future<Output = Vec<RunEvent>> + Send + 'static {
    let events = stack.events("run_1", after);
    async { events.try_collect().await.unwrap() }
}

fn lines(line: impl Fn(u32) -> String) -> String {
    (0..2000).map(line).collect()
}

/// Writes a word into the run's FIFO.
fn say(stack: &Stack, id: &str, word: &str) {
    let fifo = stack.directory.path().join("runs").join(id).join("workspace/go");
    let mut fifo = std::fs::File::options().write(true).open(fifo).unwrap();
    fifo.write_all(format!("{word}\n").as_bytes()).unwrap();
}
