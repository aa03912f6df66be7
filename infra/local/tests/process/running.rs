//! Runs from their start to their end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use futures_util::{FutureExt, future::join_all};
use gatehouse_domain::ci::{
    BuildId, CiErrorKind, CiProvider, LogStream, ReasonCode, RunEventBody, RunStatus, StartKind, StepFacts,
    StepPhase, Target,
};
use gatehouse_local::process::{OpenError, ProcessProvider, ProcessSettings};
use gatehouse_runtime::clock::SystemClock;

use crate::stack::{Stack, eventually, output, processes_of, sh, target, text};

#[tokio::test]
async fn a_run_tells_its_whole_story() {
    let stack = Stack::new();
    let begun = stack.start("run_1", &sh("echo hello")).await;
    assert_eq!(begun.id, BuildId("run_1".into()));
    assert_eq!((begun.status, begun.provider_status.as_str()), (RunStatus::Running, "running"));
    let events = stack.all_events("run_1").await;
    let bodies: Vec<_> = events.iter().map(|event| event.body.clone()).collect();
    let status = |status: RunStatus| RunEventBody::Status {
        status,
        provider_status: status.as_str().into(),
        reason: None,
    };
    let step = |name: Option<&str>, phase, command: &[&str]| RunEventBody::Step {
        step: "run".into(),
        name: name.map(str::to_owned),
        phase,
        facts: Box::new(StepFacts {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            ..StepFacts::default()
        }),
    };
    let expected = [
        status(RunStatus::Running),
        step(Some("sh -c 'echo hello'"), StepPhase::Started, &["sh", "-c", "echo hello"]),
        RunEventBody::Log { step: Some("run".into()), stream: LogStream::Stdout, text: "hello\n".into() },
        step(None, StepPhase::Finished { exit_status: Some(0), succeeded: Some(true) }, &[]),
        status(RunStatus::Succeeded),
        RunEventBody::End,
    ];
    assert_eq!(bodies, expected);
    let times: Vec<_> = events.iter().map(|event| event.time.unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let build = stack.build("run_1").await;
    assert_eq!((build.status, build.reason), (RunStatus::Succeeded, None));
    assert!(build.started_at.is_some() && build.started_at <= build.finished_at);
}

#[tokio::test]
async fn an_exit_status_other_than_0_is_a_failure() {
    let stack = Stack::new();
    let (build, events) = stack.run("run_1", "exit 3").await;
    assert_eq!((build.status, build.reason), (RunStatus::Failed, None));
    let finished = StepPhase::Finished { exit_status: Some(3), succeeded: Some(false) };
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.body, RunEventBody::Step { phase, .. } if *phase == finished))
    );
}

#[tokio::test]
async fn a_command_that_something_else_kills_is_errored() {
    let stack = Stack::new();
    let (build, events) = stack.run("run_1", "kill -KILL $$").await;
    assert_eq!(build.status, RunStatus::Errored);
    let reason = build.reason.unwrap();
    assert_eq!(reason.code, ReasonCode::Interrupted);
    assert_eq!(reason.detail, "the command was killed by signal 9 (SIGKILL), not by Gatehouse");
    let finished = StepPhase::Finished { exit_status: None, succeeded: Some(false) };
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.body, RunEventBody::Step { phase, .. } if *phase == finished))
    );
}

#[tokio::test]
async fn parameters_arrive_as_environment_variables() {
    let stack = Stack::new();
    let script = r#"printf '%s|%s|%s' "$GREETING" "$EMPTY" "$GATEHOUSE_BUILD_ID""#;
    let given = [("GREETING", "it's = \"fine\"\nä"), ("EMPTY", "")];
    stack.start_with("run_1", &sh(script), &given).await;
    let events = stack.all_events("run_1").await;
    assert_eq!(text(&events, LogStream::Stdout), "it's = \"fine\"\nä||run_1");
}

#[tokio::test]
async fn a_command_runs_in_its_directory_or_in_an_empty_one_of_its_own() {
    let stack = Stack::new();
    let (_, events) = stack.run("run_1", "pwd; ls -A").await;
    let own = text(&events, LogStream::Stdout);
    assert!(own.ends_with("/run_1/workspace\n"), "{own}");

    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let mut here = target(&["ls", "-A"]);
    here.directory = Some(directory.path().to_str().unwrap().to_owned());
    stack.start("run_2", &Target::Process(here)).await;
    assert_eq!(text(&stack.all_events("run_2").await, LogStream::Stdout), "file\n");
}

#[tokio::test]
async fn a_command_has_no_standard_input() {
    let stack = Stack::new();
    let (build, events) = stack.run("run_1", "cat; echo end").await;
    assert_eq!((build.status, text(&events, LogStream::Stdout).as_str()), (RunStatus::Succeeded, "end\n"));
}

#[tokio::test]
async fn what_cannot_be_started_is_an_errored_run_that_says_why() {
    let stack = Stack::new();
    let directory = stack.directory.path();
    let script = directory.join("script");
    fs::write(&script, "no program").unwrap();
    let nowhere = Target::Process(gatehouse_domain::ci::ProcessTarget {
        directory: Some("/no/such/directory".into()),
        ..target(&["true"])
    });
    let cases = [
        (
            Target::Process(target(&["no-such-program"])),
            "no program `no-such-program` in any directory of PATH",
        ),
        (Target::Process(target(&["./no-such-program"])), "no program `./no-such-program` (relative paths"),
        (Target::Process(target(&[script.to_str().unwrap()])), "may not be executed"),
        (nowhere, "no directory `/no/such/directory`"),
        (Target::Process(target(&["true", "NUL\0"])), "cannot be started"),
        (Target::Process(target(&[])), "command is empty"),
    ];
    for (number, (target, expected)) in cases.into_iter().enumerate() {
        let id = format!("run_{number}");
        let build = stack.start(&id, &target).await;
        assert_eq!(build.status, RunStatus::Errored, "{expected}");
        let reason = build.reason.unwrap();
        assert_eq!(reason.code, ReasonCode::CouldNotStart);
        assert!(reason.detail.contains(expected), "{} does not say {expected:?}", reason.detail);
        assert_eq!((build.started_at, build.finished_at.is_some()), (None, true));
        let events = stack.all_events(&id).await;
        assert!(matches!(&events[0].body, RunEventBody::Error { message, .. } if *message == reason.detail));
        assert_eq!(events.last().unwrap().body, RunEventBody::End);
        eventually("nothing is left", || processes_of(directory, &id).is_empty()).await;
    }
}

#[tokio::test]
async fn a_missing_program_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let settings = ProcessSettings::new(directory.path(), "/no/such/gatehouse");
    let refused = ProcessProvider::open(&settings, std::sync::Arc::new(SystemClock));
    assert!(matches!(refused.err(), Some(OpenError::Watcher(_))));
}

#[tokio::test]
async fn starting_is_idempotent_by_id() {
    let stack = Stack::new();
    let count = stack.directory.path().join("count");
    let target = sh(&format!("echo started >> {}", count.display()));
    assert_eq!(stack.found("run_1", &target).await, []);
    let builds = join_all((0..20).map(|_| stack.start("run_1", &target))).await;
    assert!(builds.iter().all(|build| build.id == builds[0].id));
    stack.all_events("run_1").await;
    let again = stack.start("run_1", &target).await;
    assert_eq!(again.status, RunStatus::Succeeded);
    assert_eq!(stack.found("run_1", &target).await, [again]);
    assert_eq!(fs::read_to_string(&count).unwrap(), "started\n");
}

#[tokio::test]
async fn a_run_goes_on_when_its_caller_goes_away() {
    let stack = Stack::new();
    let (kind, environment) = (StartKind::Trigger, BTreeMap::new());
    let target = sh("echo done");
    let start = stack.try_start("run_1", &target, &kind, &environment);
    // Polled once, which makes the run's task, and dropped.
    assert!(start.now_or_never().is_none(), "the caller went away before the answer");
    assert_eq!(text(&stack.all_events("run_1").await, LogStream::Stdout), "done\n");
}

#[tokio::test]
async fn a_rerun_has_the_inputs_of_the_earlier_run() {
    let stack = Stack::new();
    stack.start_with("run_1", &sh("echo first $P"), &[("P", "parameter")]).await;
    let first = stack.all_events("run_1").await;
    let edited = sh("echo the job was edited");
    stack.rerun("run_2", "run_1", &edited).await.unwrap();
    let second = stack.all_events("run_2").await;
    assert_eq!(text(&second, LogStream::Stdout), "first parameter\n");
    assert_eq!(text(&second, LogStream::Stdout), text(&first, LogStream::Stdout));
    assert_eq!(stack.build("run_2").await.target, sh("echo first $P"));
    let missing = stack.rerun("run_3", "run_0", &edited).await.unwrap_err();
    assert_eq!(missing.kind, CiErrorKind::NotFound);
    assert_eq!(stack.found("run_3", &edited).await, []);
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let stack = Stack::new();
    let (build, events) = stack.run("run_1", "sleep 1000 & echo done").await;
    assert_eq!((build.status, output(&events).len()), (RunStatus::Succeeded, 1));
    eventually("it ends", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
}

#[tokio::test]
async fn what_leaves_the_group_does_not_keep_the_run_open() {
    let stack = Stack::new();
    let (build, events) = stack.run("run_1", "setsid sleep 1000 & echo $!").await;
    assert_eq!(build.status, RunStatus::Succeeded);
    let pid: i32 = text(&events, LogStream::Stdout).trim().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    let _ends_with_its_group = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    eventually("it ends", || processes_of(stack.directory.path(), "run_1").is_empty()).await;
}

#[tokio::test]
async fn unknown_runs_are_not_found() {
    let stack = Stack::new();
    for id in ["run_0", "../run_0", ""] {
        let (target, build) = (sh("true"), BuildId(id.into()));
        let error = stack.provider.build(&target, &build).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::NotFound, "{id:?}");
        let cancel = stack.provider.cancel(&target, &build, gatehouse_domain::ci::CancelMode::Force).await;
        assert_eq!(cancel.unwrap_err().kind, CiErrorKind::NotFound, "{id:?}");
        let mut events = stack.events(id, None);
        let error = futures_util::StreamExt::next(&mut events).await.unwrap().unwrap_err();
        assert_eq!(error.kind, CiErrorKind::NotFound, "{id:?}");
        assert!(futures_util::StreamExt::next(&mut events).await.is_none());
    }
}

#[tokio::test]
async fn a_bad_id_starts_nothing() {
    let stack = Stack::new();
    let (kind, environment) = (StartKind::Trigger, BTreeMap::new());
    let error = stack.try_start("../run", &sh("true"), &kind, &environment).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Refused);
}

#[tokio::test]
async fn it_says_who_it_is_and_that_it_lists_nothing() {
    let stack = Stack::new();
    let report = stack.provider.check(&[]).await.unwrap();
    assert!(report.identity.is_some_and(|name| !name.is_empty()));
    let error = stack.provider.discover(&BTreeSet::new()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Unsupported);
}

#[tokio::test]
async fn one_stack_at_a_time() {
    let stack = Stack::new();
    let settings = ProcessSettings::new(stack.directory.path(), env!("CARGO_BIN_EXE_gatehouse"));
    let second = ProcessProvider::open(&settings, std::sync::Arc::new(SystemClock));
    assert!(matches!(second.err(), Some(OpenError::InUse)));
}
