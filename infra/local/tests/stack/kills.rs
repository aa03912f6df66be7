//! Stacks that are killed at any moment: what was promised is kept, and no process is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use gatehouse_local::process::WATCHER;
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Client, Key, Resume, TestStack,
    binary::{Binary, nothing_is_left, processes, spawn},
    eventually,
    random::Random,
};

/// Goes on for ever, in two processes of which one does not mind being asked to end.
const STUBBORN: &str =
    "echo $GATEHOUSE_BUILD_ID >> \"$0\"; (trap '' TERM; sleep 1000; sleep 1000) & sleep 1000";

const ROUNDS: u64 = 15;

/// What callers were promised.
#[derive(Default)]
struct Promises {
    jobs: Vec<Value>,
    /// Runs by idempotency key; `None` when the answer was lost in a kill.
    runs: BTreeMap<String, Option<String>>,
    /// Runs as they ended.
    ended: BTreeMap<String, Value>,
}

fn trigger(job: &str, key: &str) -> Call {
    Call::post(format!("/v1/jobs/{job}/runs")).header("idempotency-key", key)
}

/// Not to wait for something: to hit another moment each time.
async fn some_moment(random: &mut Random, at_most: usize) {
    tokio::time::sleep(Duration::from_millis(random.below(at_most) as u64)).await;
}

impl Promises {
    /// Looks whether a stack that was started again keeps them.
    async fn assert_kept(&mut self, platform: &Client) {
        assert_eq!(platform.all("/v1/jobs", "jobs").await, self.jobs);
        for run in self.runs.values().flatten() {
            let shown = platform.run(run).await;
            match self.ended.get(run) {
                Some(ended) => assert_eq!(shown, *ended),
                None if shown["status"] == "succeeded" => {}
                None => {
                    let interrupted = json!({ "code": "interrupted",
                        "detail": "the local stack stopped while the run was going" });
                    assert_eq!(
                        (&shown["status"], &shown["reason"]),
                        (&json!("errored"), &interrupted),
                        "{run}"
                    );
                    let events = platform.events(run, Resume::Start).await.rest().await;
                    assert!(events.last().unwrap().is_end(), "{events:?}");
                }
            }
            self.ended.insert(run.clone(), shown);
        }
    }

    /// Triggers some runs at once, in a stack that is killed meanwhile.
    async fn trigger_and_kill(&mut self, binary: Binary, round: u64, random: &mut Random) {
        let platform = binary.client(&Key::PLATFORM);
        let keys: Vec<_> = (0..4).map(|number| format!("round-{round}-{number}")).collect();
        let mut calls: FuturesUnordered<_> = keys
            .into_iter()
            .map(|key| {
                let call = trigger(if key.ends_with('3') { "hello" } else { "stubborn" }, &key);
                let platform = platform.clone();
                tokio::spawn(async move { (key, platform.try_send(call).await) })
            })
            .collect();
        let mut answers = Vec::new();
        for _ in 0..random.below(5) {
            answers.extend(calls.next().await);
        }
        some_moment(random, 80).await;
        binary.kill().await;
        answers.extend(calls.collect::<Vec<_>>().await);
        for answer in answers {
            let (key, answer) = answer.expect("a call does not panic");
            self.runs.insert(key, answer.ok().map(|answer| answer.expect(201).run_id()));
        }
    }

    /// Repeats every trigger: those that were answered get their answer again, the others get one now.
    async fn assert_repeatable(&mut self, platform: &Client) {
        let repeats = self.runs.iter().map(|(key, run)| async move {
            let job = if key.ends_with('3') { "hello" } else { "stubborn" };
            let answer = settled(platform, &trigger(job, key)).await.expect(201);
            if let Some(run) = run {
                assert_eq!((&answer.run_id(), answer.header("idempotency-replayed")), (run, Some("true")));
            }
            (key.clone(), Some(answer.run_id()))
        });
        self.runs = join_all(repeats).await.into_iter().collect();
        let runs: BTreeSet<_> = self.runs.values().flatten().cloned().collect();
        assert_eq!(runs.len(), self.runs.len(), "each key has a run of its own");
        let mut listed = BTreeSet::new();
        for job in ["hello", "stubborn"] {
            let all = platform.all(&format!("/v1/jobs/{job}/runs"), "runs").await;
            listed.extend(all.into_iter().map(|run| run["run_id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(listed, runs, "no run came to be that nobody knows of");
    }
}

/// Repeats a call until its outcome is known. A start whose request died belongs to that request for 35 s,
/// and counts as lost only a minute after it was made: until then it is 409, or 504 with the key to repeat it
/// with.
async fn settled(platform: &Client, call: &Call) -> Answer {
    let repeating = async {
        loop {
            let answer = platform.send(call.clone()).await;
            match answer.status.as_u16() {
                409 => answer.problem(409, "request-in-progress"),
                504 => answer.problem(504, "outcome-unknown"),
                _ => return answer,
            };
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
    };
    tokio::time::timeout(Duration::from_mins(3), repeating).await.expect("the outcome is known some time")
}

/// Commands write their runs' ids into a file: none may have been started twice, or for nobody.
fn assert_each_was_started_once(file: &Path, promises: &Promises) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let started: Vec<_> = text.lines().collect();
    let distinct: BTreeSet<_> = started.iter().copied().collect();
    assert_eq!(distinct.len(), started.len(), "a command was started twice: {text}");
    let known: BTreeSet<_> = promises.runs.values().flatten().map(String::as_str).collect();
    assert!(distinct.is_subset(&known), "{distinct:?} are not all among {known:?}");
}

#[tokio::test]
async fn a_stack_that_is_killed_at_any_moment_keeps_what_it_promised() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let started = directory.join("started");
    let mut promises = Promises::default();
    let mut random = Random::new(7);
    let binary = Binary::start(directory).await;
    let platform = binary.client(&Key::PLATFORM);
    let stubborn = json!({ "project": "example", "provider": { "kind": "process",
        "ref": { "command": ["sh", "-c", STUBBORN, started] } } });
    platform.send(Call::put("/v1/jobs/stubborn").json(&stubborn)).await.expect(201);
    promises.jobs = platform.all("/v1/jobs", "jobs").await;
    promises.trigger_and_kill(binary, 0, &mut random).await;
    for round in 1..ROUNDS {
        if round % 2 == 0 {
            nothing_is_left(directory).await;
        }
        let binary = Binary::start(directory).await;
        promises.assert_kept(&binary.client(&Key::PLATFORM)).await;
        let pid = binary.pid();
        let own = |(it, command): &(u32, String)| *it == pid || command.contains(WATCHER);
        eventually("only the stack itself is left", || processes(directory).iter().all(own)).await;
        promises.trigger_and_kill(binary, round, &mut random).await;
    }
    let binary = Binary::start(directory).await;
    let platform = binary.client(&Key::PLATFORM);
    promises.assert_kept(&platform).await;
    let lost = promises.runs.values().filter(|run| run.is_none()).count();
    assert!(lost > 0 && lost < promises.runs.len(), "{lost} answers were lost: the moments are badly chosen");
    promises.assert_repeatable(&platform).await;
    assert_each_was_started_once(&started, &promises);
    for key in Key::ALL {
        binary.client(&key).get("/auth/me").await.expect(200);
    }
    binary.kill().await;
    nothing_is_left(directory).await;
}

#[tokio::test]
async fn a_stack_that_is_killed_while_it_fills_itself_is_filled_by_the_next_one() {
    let mut random = Random::new(11);
    for _ in 0..6 {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for _ in 0..3 {
            let mut process = spawn(directory);
            some_moment(&mut random, 250).await;
            process.kill().await.unwrap();
        }
        let binary = Binary::start(directory).await;
        for key in Key::ALL {
            binary.client(&key).get("/auth/me").await.expect(200);
        }
        let platform = binary.client(&Key::PLATFORM);
        let jobs = platform.all("/v1/jobs", "jobs").await;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        let run = platform.trigger("hello").await;
        assert_eq!(platform.ended(&run).await["status"], "succeeded");
        assert_eq!(
            platform.get("/v1/providers/process").await.expect(200).json()["provider"]["kind"],
            "process"
        );
        binary.kill().await;
        nothing_is_left(directory).await;
    }
}

#[tokio::test]
async fn edits_survive_a_kill_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut random = Random::new(13);
    for round in 0..5 {
        let binary = Binary::start(directory).await;
        let platform = binary.client(&Key::PLATFORM);
        let entry = |number| {
            json!({ "job_id": format!("batch-{round}-{number:02}"), "project": "batch",
                "provider": { "kind": "concourse", "ref": { "team": "t", "pipeline": "p", "job": "j" } } })
        };
        let file = json!({ "jobs": (0..25).map(entry).collect::<Vec<_>>() });
        let call = Call::post("/v1/jobs/import?atomic=true&tenant=example").json(&file);
        let import = tokio::spawn(async move { platform.try_send(call).await });
        some_moment(&mut random, 150).await;
        binary.kill().await;
        let answered = import.await.unwrap().is_ok_and(|answer| answer.status == 200);
        let binary = Binary::start(directory).await;
        let jobs = binary.client(&Key::PLATFORM).all("/v1/jobs", "jobs").await;
        let prefix = format!("batch-{round}-");
        let imported = jobs.iter().filter(|job| job["job_id"].as_str().unwrap().starts_with(&prefix)).count();
        assert!(imported == 25 || imported == 0 && !answered, "{imported} of 25, answered: {answered}");
        binary.kill().await;
    }
    nothing_is_left(directory).await;
}

#[tokio::test]
async fn what_a_killed_start_left_half_made_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    for (file, text) in [
        ("table.sqlite.new", "SQLite format 3\0"),
        ("table.sqlite.new-wal", "half"),
        ("filled.json", "\"test-"),
    ] {
        fs::write(data.join(file), text).unwrap();
    }
    let stack = TestStack::start_in(directory).await;
    assert_eq!(stack.stack().example_key(), Some(Key::PLATFORM.text));
    assert_eq!(stack.client(&Key::EXAMPLE).all("/v1/jobs", "jobs").await.len(), 1);
    let stack = stack.restart().await;
    assert_eq!(stack.stack().example_key(), Some(Key::PLATFORM.text));
    assert_eq!(stack.client(&Key::EXAMPLE).all("/v1/jobs", "jobs").await.len(), 1);
    stack.stop().await;
}
