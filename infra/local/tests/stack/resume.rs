//! Streams that are cut and taken up again: nothing is lost, nothing comes twice.

use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Route, Script};

use crate::support::{
    Client, Event, Key, Resume, TestStack, concourse,
    events::{self, EventReader},
    gate::Gate,
    random::Random,
};

/// Writes to both streams, with partial lines and characters of several bytes.
const VARIED: &str = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; sleep 0.02; done; \
    printf 'no end yet'; sleep 0.05; printf ' … and now\\n'; echo 'grüße 🚀'; printf 'no newline'; exit 3";

#[derive(Clone, Copy, Debug)]
enum By {
    Header,
    Query,
}

impl By {
    fn resume(self, last: Option<String>) -> Resume {
        match (self, last) {
            (_, None) => Resume::Start,
            (Self::Header, Some(id)) => Resume::LastEventId(id),
            (Self::Query, Some(id)) => Resume::After(id),
        }
    }
}

/// The last id, as a browser would remember it.
fn last_id(seen: &[Event]) -> Option<String> {
    seen.iter().rev().find_map(|event| event.id.clone())
}

/// Reads the run's stream with one cut behind each number of events that it may have.
async fn assert_every_cut_is_mended(client: &Client, run: &str) {
    let uncut = client.events(run, Resume::Start).await.rest().await;
    assert!(uncut.last().unwrap().is_end() && uncut.len() > 4, "{uncut:?}");
    assert!(uncut.iter().all(|event| event.id.is_some()), "an event without an id: {uncut:?}");
    for cut in 0..uncut.len() {
        let mut reader = client.events(run, Resume::Start).await;
        let mut seen = reader.take(cut).await;
        drop(reader);
        for by in [By::Header, By::Query] {
            seen.truncate(cut);
            let mut reader = client.events(run, by.resume(last_id(&seen))).await;
            seen.extend(reader.rest().await);
            assert_eq!(seen, uncut, "cut behind {cut} events, resumed by {by:?}");
        }
    }
    for by in [By::Header, By::Query] {
        let over = client.send(by.resume(last_id(&uncut)).call(run)).await.expect(204);
        assert!(over.body.is_empty());
    }
}

/// Reads to the end, leaving again and again behind as many events as chance wants.
async fn read_with_cuts(client: &Client, run: &str, mut random: Random) -> Vec<Event> {
    let mut seen: Vec<Event> = Vec::new();
    while !seen.last().is_some_and(Event::is_end) {
        let by = if random.below(2) == 0 { By::Header } else { By::Query };
        let mut reader = client.events(run, by.resume(last_id(&seen))).await;
        let events = reader.take(random.below(4)).await;
        seen.extend(events);
    }
    seen
}

#[tokio::test]
async fn a_finished_process_run_can_be_cut_behind_every_event() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("varied", VARIED).await;
    let run = platform.trigger("varied").await;
    platform.ended(&run).await;
    assert_every_cut_is_mended(&platform, &run).await;
    let log = platform.log(&run).await;
    assert!(log.contains("no end yet … and now\ngrüße 🚀\nno newline"), "{log}");
    stack.stop().await;
}

#[tokio::test]
async fn a_finished_concourse_run_can_be_cut_behind_every_event() {
    let twin = ConcourseTwin::example().start().await;
    twin.set_script("main", "example-pipeline", "hello-job", Script::chunky());
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    concourse::set_up(&platform, &twin).await;
    let run = platform.trigger(concourse::HELLO).await;
    platform.ended(&run).await;
    assert_every_cut_is_mended(&platform, &run).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_process_run_that_goes_on_can_be_cut_at_any_moment() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let gate = Gate::new();
    let script = format!(
        "exec 3<>{}; while read -r word <&3; do [ $word = end ] && exit; echo $word; echo err $word >&2; done",
        gate.path()
    );
    platform.put_script("paced", &script).await;
    let run = platform.trigger("paced").await;
    let uncut = read_all(&platform, &run).await;
    let cut: Vec<_> = (0..3)
        .map(|seed| {
            let (platform, run) = (platform.clone(), run.clone());
            tokio::spawn(async move { read_with_cuts(&platform, &run, Random::new(seed)).await })
        })
        .collect();
    for number in 0..25 {
        gate.say(&format!("line{number}"));
        tokio::task::yield_now().await;
    }
    gate.say("end");
    let uncut = uncut.await.unwrap();
    let out: Vec<_> = uncut.iter().filter(|event| event.data.contains("stdout")).cloned().collect();
    let lines: Vec<_> = (0..25).map(|number| format!("line{number}\n")).collect();
    assert_eq!(events::text(&out), lines.concat());
    for cut in cut {
        assert_eq!(cut.await.unwrap(), uncut);
    }
    stack.stop().await;
}

/// Reads the whole stream, beside what the test does.
async fn read_all(client: &Client, run: &str) -> tokio::task::JoinHandle<Vec<Event>> {
    let mut reader: EventReader = client.events(run, Resume::Start).await;
    let mut seen = reader.take(1).await;
    tokio::spawn(async move {
        seen.extend(reader.rest().await);
        seen
    })
}

fn paced(lines: usize) -> Script {
    Script::new().task("unit", |task| {
        (0..lines).fold(task, |task, line| task.wait_for_release().log(&format!("line {line}\r\n")))
    })
}

#[tokio::test]
async fn a_concourse_run_that_goes_on_can_be_cut_at_any_moment() {
    let twin = ConcourseTwin::example().start().await;
    twin.set_script("main", "example-pipeline", "hello-job", paced(20));
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    concourse::set_up(&platform, &twin).await;
    let run = platform.trigger(concourse::HELLO).await;
    let build = twin.builds()[0].id;
    let uncut = read_all(&platform, &run).await;
    let cut: Vec<_> = (0..3)
        .map(|seed| {
            let (platform, run) = (platform.clone(), run.clone());
            tokio::spawn(async move { read_with_cuts(&platform, &run, Random::new(seed)).await })
        })
        .collect();
    for _ in 0..20 {
        twin.release(build);
        tokio::task::yield_now().await;
    }
    let uncut = uncut.await.unwrap();
    assert_eq!(events::text(&uncut).lines().count(), 20);
    for cut in cut {
        assert_eq!(cut.await.unwrap(), uncut);
    }
    stack.stop().await;
}

#[tokio::test]
async fn readers_do_not_notice_that_concourse_cuts_its_own_stream() {
    let twin = ConcourseTwin::example().start().await;
    twin.set_script("main", "example-pipeline", "hello-job", Script::chunky());
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    concourse::set_up(&platform, &twin).await;
    let run = platform.trigger(concourse::HELLO).await;
    platform.ended(&run).await;
    let uncut = platform.events(&run, Resume::Start).await.rest().await;
    let log = platform.log(&run).await;
    let faults = (1..=u64::try_from(uncut.len()).unwrap())
        .map(|events| Fault::on(Route::Events).cut_after_events(events))
        .chain([1, 7, 50, 51, 333, 500, 1001, 1503].map(|bytes| Fault::on(Route::Events).cut_at_byte(bytes)));
    for fault in faults {
        twin.fault(fault.clone());
        assert_eq!(platform.events(&run, Resume::Start).await.rest().await, uncut, "{fault:?}");
        twin.fault(fault.clone());
        assert_eq!(platform.log(&run).await, log, "{fault:?}");
        twin.clear_faults();
    }
    stack.stop().await;
}

#[tokio::test]
async fn ids_that_no_event_has_are_refused() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let run = platform.trigger("hello").await;
    platform.ended(&run).await;
    let long = "e".repeat(100);
    for garbage in ["garbage", "e", "17", "e-1", "END", "e1 2", "e%00", "eabc", "e1", "e999999", &long] {
        let answer = platform.send(Resume::LastEventId(garbage.to_owned()).call(&run)).await;
        let problem = answer.problem(400, "invalid-header");
        assert!(problem["detail"].as_str().unwrap().contains("Last-Event-ID"), "{problem}");
    }
    for garbage in ["garbage", "17", "%00", "e%20"] {
        platform.send(Resume::After(garbage.to_owned()).call(&run)).await.expect(400);
    }
    stack.stop().await;
}
