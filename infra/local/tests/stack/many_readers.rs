//! Many readers of one run.

use futures_util::future::join_all;

use crate::support::{Key, Resume, TestStack, events, gate::Gate};

#[tokio::test]
async fn two_hundred_readers_of_a_run_all_see_all_of_it() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let gate = Gate::new();
    let script =
        format!("read -r go < {}; for i in $(seq 200); do echo line $i; echo err $i >&2; done", gate.path());
    platform.put_script("lines", &script).await;
    let run = platform.trigger("lines").await;
    let attach = || async {
        let mut reader = platform.events(&run, Resume::Start).await;
        let first = reader.take(1).await;
        (reader, first)
    };
    let readers = join_all((0..200).map(|_| attach())).await;
    gate.say("go");
    let streams = join_all(readers.into_iter().map(|(mut reader, mut seen)| async move {
        seen.extend(reader.rest().await);
        seen
    }))
    .await;
    let whole = platform.events(&run, Resume::Start).await.rest().await;
    let (out, err): (Vec<_>, Vec<_>) = whole
        .iter()
        .filter(|event| event.kind == "log")
        .cloned()
        .partition(|log| log.json()["stream"] == "stdout");
    let lines =
        |word: &str| (1..=200).map(|number| format!("{word} {number}\n")).collect::<Vec<_>>().concat();
    assert_eq!(events::text(&out), lines("line"));
    assert_eq!(events::text(&err), lines("err"));
    assert_eq!(streams.len(), 200);
    for (number, stream) in streams.iter().enumerate() {
        assert_eq!(*stream, whole, "reader {number}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn readers_that_leave_take_nothing_with_them() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let gate = Gate::new();
    platform.put_script("waiting", &format!("echo begun; read -r go < {}; echo done", gate.path())).await;
    let run = platform.trigger("waiting").await;
    let mut stays = platform.events(&run, Resume::Start).await;
    let mut seen = stays.take(1).await;
    for _ in 0..20 {
        platform.events(&run, Resume::Start).await.take(1).await;
    }
    gate.say("go");
    seen.extend(stays.rest().await);
    assert_eq!(events::text(&seen), "begun\ndone\n");
    stack.stop().await;
}
