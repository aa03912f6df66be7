//! What is told of builds of a real Concourse, from recordings of their streams.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gatehouse_domain::ci::{BuildId, RunEvent, RunEventBody, StepPhase};
use gatehouse_providers::concourse::ConcourseProvider;
use gatehouse_testkit::{
    concourse::Script,
    recordings::{self, Recording},
};

use crate::support::{Bench, concourse, deploy, number, told, trigger, watch};

struct Replay {
    /// Its twin lives as long as it.
    _bench: Bench,
    provider: Arc<ConcourseProvider>,
    build: BuildId,
    all: Vec<RunEvent>,
}

async fn replay(recording: &Recording) -> Replay {
    let bench = Bench::new(concourse(Script::recorded(recording.plan.clone(), &recording.events))).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    let all = watch(&provider, &build, None).await.unwrap();
    Replay { _bench: bench, provider, build, all }
}

fn recording(name: &str) -> Recording {
    recordings::streams().into_iter().find(|recording| recording.name == name).unwrap()
}

/// Steps by id: their names, and what happened to them.
fn steps(all: &[RunEvent]) -> BTreeMap<&str, Vec<(Option<&str>, StepPhase)>> {
    let mut steps = BTreeMap::<_, Vec<_>>::new();
    for event in all {
        if let RunEventBody::Step { step, name, phase, .. } = &event.body {
            steps.entry(step.as_str()).or_default().push((name.as_deref(), *phase));
        }
    }
    steps
}

#[tokio::test]
async fn every_recording_is_told_the_same_behind_every_event() {
    let recordings = recordings::streams();
    assert_eq!(recordings.len(), 36);
    for recording in recordings {
        let Replay { _bench, provider, build, all } = replay(&recording).await;
        for (index, event) in all.iter().enumerate() {
            let Some(position) = event.position.as_ref().filter(|_| event.body != RunEventBody::End) else {
                continue;
            };
            let rest = watch(&provider, &build, Some(position)).await.unwrap();
            assert_eq!(told(&rest), told(&all[index + 1..]), "{}, behind {}", recording.name, position.0);
            assert_eq!(rest, all[index + 1..], "{}, behind {}", recording.name, position.0);
        }
    }
}

#[tokio::test]
async fn every_event_of_a_recording_has_a_place_of_its_own() {
    for recording in recordings::streams() {
        let Replay { all, .. } = replay(&recording).await;
        let places: Vec<_> = all.iter().filter(|event| event.body != RunEventBody::End).collect();
        let places: Vec<_> =
            places.iter().filter_map(|event| event.position.as_ref()).map(|it| &it.0).collect();
        let distinct: BTreeSet<_> = places.iter().collect();
        assert_eq!(distinct.len(), places.len(), "{}", recording.name);
    }
}

#[tokio::test]
async fn every_step_of_a_recording_has_a_name_and_ends() {
    for recording in recordings::streams().into_iter().filter(|recording| recording.plan.is_some()) {
        let Replay { all, .. } = replay(&recording).await;
        for (step, told) in steps(&all) {
            let name = told[0].0;
            assert!(name.is_some(), "{}: {step}", recording.name);
            assert!(told.iter().all(|(other, _)| *other == name), "{}: {step} {told:?}", recording.name);
            let last = told.last().unwrap().1;
            assert!(matches!(last, StepPhase::Finished { .. }), "{}: {step} {told:?}", recording.name);
            let started = told.iter().position(|(_, phase)| *phase == StepPhase::Started);
            let later = &told[started.unwrap_or(told.len() - 1)..];
            let again = later.iter().any(|(_, phase)| *phase == StepPhase::Preparing);
            assert!(!again, "{}: {step} is prepared after it has started: {told:?}", recording.name);
        }
    }
}

#[tokio::test]
async fn no_two_steps_of_a_kind_are_called_alike() {
    for recording in recordings::streams().into_iter().filter(|recording| recording.plan.is_some()) {
        let Replay { all, .. } = replay(&recording).await;
        let mut called = BTreeMap::<_, BTreeSet<_>>::new();
        for event in &all {
            if let RunEventBody::Step { step, name: Some(name), facts, .. } = &event.body {
                called.entry((&facts.kind, name)).or_default().insert(step);
            }
        }
        let alike: Vec<_> = called.into_iter().filter(|(_, steps)| steps.len() > 1).collect();
        assert!(alike.is_empty(), "{}: {alike:?}", recording.name);
    }
}

/// The steps of a recording with what is known of them, one a line.
async fn facts(name: &str) -> String {
    let Replay { all, .. } = replay(&recording(name)).await;
    let mut lines = String::new();
    for event in &all {
        if let RunEventBody::Step {
            name: Some(name),
            phase: StepPhase::Finished { succeeded, .. },
            facts,
            ..
        } = &event.body
        {
            let facts = serde_json::to_string(facts).unwrap();
            lines.extend([name, &format!(" {succeeded:?} "), &facts, "\n"]);
        }
    }
    lines
}

#[tokio::test]
async fn attempts_are_told_apart() {
    insta::assert_snapshot!(facts("8.3.0-dev/steps-retry").await, @r#"
    image of flaky (attempt 1) Some(true) {"kind":"check","attempt":1}
    image of flaky (attempt 1) Some(true) {"kind":"get","attempt":1,"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    flaky (attempt 1) Some(false) {"kind":"task","attempt":1}
    image of flaky (attempt 2) Some(true) {"kind":"check","attempt":2}
    image of flaky (attempt 2) Some(true) {"kind":"get","attempt":2,"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    flaky (attempt 2) Some(false) {"kind":"task","attempt":2}
    image of flaky (attempt 3) Some(true) {"kind":"check","attempt":3}
    image of flaky (attempt 3) Some(true) {"kind":"get","attempt":3,"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    flaky (attempt 3) Some(false) {"kind":"task","attempt":3}
    "#);
}

#[tokio::test]
async fn values_of_across_inside_across_are_told() {
    insta::assert_snapshot!(facts("8.3.0-dev/steps-across-in-across").await, @r#"
    image of inner (1, x) Some(true) {"kind":"check","across":[{"name":"a","value":1},{"name":"b","value":"x"}]}
    image of inner (1, x) Some(true) {"kind":"get","across":[{"name":"a","value":1},{"name":"b","value":"x"}],"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    inner (1, x) Some(true) {"kind":"task","across":[{"name":"a","value":1},{"name":"b","value":"x"}]}
    image of inner (1, true) Some(true) {"kind":"check","across":[{"name":"a","value":1},{"name":"b","value":true}]}
    image of inner (1, true) Some(true) {"kind":"get","across":[{"name":"a","value":1},{"name":"b","value":true}],"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    inner (1, true) Some(true) {"kind":"task","across":[{"name":"a","value":1},{"name":"b","value":true}]}
    b (1) Some(true) {"kind":"across","across":[{"name":"a","value":1}]}
    image of inner (2, x) Some(true) {"kind":"check","across":[{"name":"a","value":2},{"name":"b","value":"x"}]}
    image of inner (2, x) Some(true) {"kind":"get","across":[{"name":"a","value":2},{"name":"b","value":"x"}],"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    inner (2, x) Some(true) {"kind":"task","across":[{"name":"a","value":2},{"name":"b","value":"x"}]}
    image of inner (2, true) Some(true) {"kind":"check","across":[{"name":"a","value":2},{"name":"b","value":true}]}
    image of inner (2, true) Some(true) {"kind":"get","across":[{"name":"a","value":2},{"name":"b","value":true}],"version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    inner (2, true) Some(true) {"kind":"task","across":[{"name":"a","value":2},{"name":"b","value":true}]}
    b (2) Some(true) {"kind":"across","across":[{"name":"a","value":2}]}
    a Some(true) {"kind":"across"}
    "#);
}

#[tokio::test]
async fn what_was_fetched_and_made_is_told() {
    insta::assert_snapshot!(facts("7.14.3/steps-get-task-put").await, @r#"
    repo Some(true) {"kind":"get","version":{"version":"abc123"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    image of build Some(true) {"kind":"check"}
    image of build Some(true) {"kind":"get","version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    build Some(true) {"kind":"task"}
    release Some(true) {"kind":"put","version":{"version":"1.2.3"},"metadata":[{"name":"url","value":"http://example.com/1.2.3"}]}
    release Some(true) {"kind":"get","version":{"version":"1.2.3"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    "#);
}

#[tokio::test]
async fn a_step_that_cannot_start_or_takes_too_long_ends() {
    insta::assert_snapshot!(facts("8.3.0-dev/basic-no-such-binary").await, @r#"
    image of missing Some(true) {"kind":"check"}
    image of missing Some(true) {"kind":"get","version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    missing Some(false) {"kind":"task"}
    "#);
    insta::assert_snapshot!(facts("8.3.0-dev/basic-timeout").await, @r#"
    image of too-slow Some(true) {"kind":"check"}
    image of too-slow Some(true) {"kind":"get","version":{"version":"v1"},"metadata":[{"name":"commit","value":"d34db33f"},{"name":"author","value":"Zoë <zoe@example.com>"}]}
    too-slow Some(false) {"kind":"task"}
    "#);
}

#[tokio::test]
async fn a_build_that_goes_on_elsewhere_is_told_as_it_happened() {
    let Replay { all, .. } = replay(&recording("8.3.0-dev/worker-disappeared")).await;
    insta::assert_snapshot!(told(&all), @r#"
    0 status running (started)
    1 step 6b0962b5 - preparing -
    2 step 6b0962b5 - preparing looking for its image
    3 step 6b0962b5 - preparing fetching its image
    4 step 6b0962b5/image-check image preparing -
    5 step 6b0962b5/image-check image preparing on worker w2
    6 error 6b0962b5/image-check run check: find or create container on worker w2: Get "http://127.0.0.1:8080/containers": worker w2 disappeared while trying to reach it
    7 error 6b0962b5/image-check run check: find or create container on worker w2: Get "http://127.0.0.1:8080/containers": worker w2 disappeared while trying to reach it, will retry ...
    8 error 6b0962b5 retriable: run check: find or create container on worker w2: Get "http://127.0.0.1:8080/containers": worker w2 disappeared while trying to reach it
    9 error 6b0962b5 retriable: run check: find or create container on worker w2: Get "http://127.0.0.1:8080/containers": worker w2 disappeared while trying to reach it, will retry ...
    10 step 6b0962b5 - preparing -
    11 step 6b0962b5 - preparing looking for its image
    12 step 6b0962b5 - preparing fetching its image
    13 step 6b0962b5/image-check image preparing -
    14 step 6b0962b5/image-check image preparing on worker w4
    15 step 6b0962b5/image-check image started
    16 step 6b0962b5/image-check image finished None Some(true)
    17 step 6b0962b5/image-get image preparing -
    18 step 6b0962b5/image-get image started
    19 step 6b0962b5/image-get image started on worker w3
    20 error 6b0962b5/image-get find or create container on worker w3: Get "http://127.0.0.1:8080/containers": worker w3 disappeared while trying to reach it
    21 error 6b0962b5/image-get find or create container on worker w3: Get "http://127.0.0.1:8080/containers": worker w3 disappeared while trying to reach it, will retry ...
    22 error 6b0962b5 retriable: find or create container on worker w3: Get "http://127.0.0.1:8080/containers": worker w3 disappeared while trying to reach it
    23 error 6b0962b5 retriable: find or create container on worker w3: Get "http://127.0.0.1:8080/containers": worker w3 disappeared while trying to reach it, will retry ...
    24 step 6b0962b5 - preparing -
    25 step 6b0962b5 - preparing looking for its image
    26 step 6b0962b5 - preparing fetching its image
    27 step 6b0962b5/image-check image preparing -
    28 step 6b0962b5/image-check image finished None Some(true)
    29 step 6b0962b5/image-get image preparing -
    30 step 6b0962b5/image-get image started
    31 step 6b0962b5/image-get image started on worker w4
    32 log 6b0962b5/image-get stderr "\u{1b}[1;36mINFO: found existing resource cache\u{1b}[0m\n"
    33 log 6b0962b5/image-get stderr "\n"
    34 step 6b0962b5/image-get image finished Some(0) Some(true)
    35 step 6b0962b5 - preparing on worker w4
    36 step 6b0962b5 - started
    37 log 6b0962b5 "Hello, world!\r\n"
    38 step 6b0962b5 - finished Some(0) Some(true)
    39 status succeeded (succeeded)
    39 end
    "#);
}
