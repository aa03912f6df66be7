//! The cases of the suite.

#![expect(
    clippy::missing_panics_doc,
    reason = "these are tests: they panic where what they say does not hold"
)]

use std::collections::BTreeSet;

use gatehouse_domain::ci::{
    BuildId, CancelMode, CiErrorKind, ConcourseTarget, Position, ProcessTarget, RunEventBody, RunStatus,
    StartKind, Target,
};

use super::bench::{Bench, Job, Trouble};
use super::drive::{Prepared, Started, first_error, in_time, output};

pub async fn a_run_that_succeeds(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    let build = run.ended().await;
    assert_eq!((build.status, &build.id), (RunStatus::Succeeded, &run.id));
    assert_eq!(build.target, run.target);
    assert!(build.started_at.is_some() && build.started_at <= build.finished_at, "{build:?}");
    assert_eq!(bench.runs(), 1);
}

pub async fn a_run_that_fails(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Fails).await;
    assert_eq!(run.ended().await.status, RunStatus::Failed);
    let events = run.events(None).await.unwrap();
    assert!(events.iter().any(|event| is_status(&event.body, RunStatus::Failed)), "{events:?}");
}

pub async fn events_tell_a_run_from_its_start_to_its_end(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    // Read while it runs, and again when it has ended.
    let live = run.events(None).await.unwrap();
    run.ended().await;
    let replayed = run.events(None).await.unwrap();
    for events in [&live, &replayed] {
        assert_eq!(output(events), "one\ntwo\nthree\n");
        let ends = events.iter().filter(|event| event.body == RunEventBody::End).count();
        assert_eq!(ends, 1, "{events:?}");
        assert_eq!(events.last().map(|event| &event.body), Some(&RunEventBody::End));
        let before_the_end = &events[..events.len() - 1];
        assert!(
            before_the_end.iter().any(|event| is_status(&event.body, RunStatus::Succeeded)),
            "nothing says how it ended: {events:?}"
        );
        let places = events.iter().filter(|event| event.position.is_some()).count();
        assert!(places > 0, "no event can be resumed behind: {events:?}");
    }
}

pub async fn every_position_resumes_with_exactly_the_rest(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    run.ended().await;
    let all = run.events(None).await.unwrap();
    // Statuses of the run's record have no place in its stream, and may come again.
    let placed: Vec<_> = all.iter().filter(|event| event.position.is_some()).collect();
    for (place, event) in placed.iter().enumerate().take(placed.len() - 1) {
        // Several events may share a place; it is behind the last of them.
        if placed[place + 1].position == event.position && placed[place + 1].body != RunEventBody::End {
            continue;
        }
        let rest = run.events(event.position.clone()).await.unwrap();
        let rest: Vec<_> = rest.iter().filter(|event| event.position.is_some()).collect();
        assert_eq!(rest, placed[place + 1..], "behind {:?}", event.position);
    }
}

pub async fn output_arrives_while_a_run_is_active(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Waits).await;
    assert!(bench.provider().capabilities().live_logs, "no system without live logs has been met yet");
    run.wrote("ready\n").await;
    let build = run.build().await;
    assert!(!build.status.is_terminal() && build.finished_at.is_none(), "{build:?}");
    run.cancel(CancelMode::Graceful).await.unwrap();
    run.ended().await;
}

pub async fn a_position_of_nowhere_is_refused(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    run.ended().await;
    for position in ["nowhere", "-1", "", "99999999999999999999999"] {
        let after = Some(Position(position.to_owned()));
        let kind = first_error(bench.provider(), run.target.clone(), run.id.clone(), after).await;
        assert_eq!(kind, CiErrorKind::Refused, "{position:?}");
    }
}

pub async fn a_graceful_cancel_ends_a_run(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Waits).await;
    run.wrote("ready\n").await;
    run.cancel(CancelMode::Graceful).await.unwrap();
    assert_cancelled(&run).await;
}

pub async fn a_forced_cancel_ends_a_run_or_is_unsupported(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Waits).await;
    run.wrote("ready\n").await;
    let provider = bench.provider();
    // Some systems are known only when they have answered.
    provider.build(&run.target, &run.id).await.unwrap();
    if provider.capabilities().force_cancel {
        run.cancel(CancelMode::Force).await.unwrap();
        return assert_cancelled(&run).await;
    }
    let error = run.cancel(CancelMode::Force).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Unsupported);
    assert!(!run.build().await.status.is_terminal(), "what is unsupported changes nothing");
    run.cancel(CancelMode::Graceful).await.unwrap();
    assert_cancelled(&run).await;
}

pub async fn a_finished_run_is_left_alone(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    let before = run.ended().await;
    run.cancel(CancelMode::Graceful).await.unwrap();
    let provider = bench.provider();
    provider.build(&run.target, &run.id).await.unwrap();
    if provider.capabilities().force_cancel {
        run.cancel(CancelMode::Force).await.unwrap();
    }
    assert_eq!(run.build().await, before);
}

pub async fn a_rerun_is_a_run_of_its_own(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    run.ended().await;
    if !bench.provider().capabilities().rerun {
        let rerun = Prepared::new(bench, Job::Succeeds, run.rerun()).await.unwrap();
        let error = rerun.start(&*bench.provider()).await.unwrap_err();
        assert_eq!((error.kind, bench.runs()), (CiErrorKind::Unsupported, 1));
        return;
    }
    let rerun = Started::start(bench, Job::Succeeds, run.rerun()).await;
    assert_ne!(rerun.id, run.id);
    assert_eq!(rerun.ended().await.status, RunStatus::Succeeded);
    assert_eq!(output(&rerun.events(None).await.unwrap()), "one\ntwo\nthree\n");
    assert_eq!(bench.runs(), 2);
}

pub async fn a_start_is_found_by_what_was_noted_before_it(bench: &dyn Bench) {
    let earlier = Started::new(bench, Job::Succeeds).await;
    let start = Prepared::new(bench, Job::Succeeds, StartKind::Trigger).await.unwrap();
    assert_eq!(start.found(&*bench.provider()).await, [], "{} began before", earlier.id);
    let build = start.start(&*bench.provider()).await.unwrap();
    assert_eq!(start.found(&*bench.provider()).await, [build.id]);
}

pub async fn a_start_whose_answer_was_lost_is_found_once(bench: &dyn Bench) {
    Started::new(bench, Job::Succeeds).await.ended().await;
    let start = Prepared::new(bench, Job::Succeeds, StartKind::Trigger).await.unwrap();
    lose_the_answer_and_find_the_run(bench, &start).await;
}

pub async fn a_rerun_whose_answer_was_lost_is_found_once(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    run.ended().await;
    let start = Prepared::new(bench, Job::Succeeds, run.rerun()).await.unwrap();
    if bench.provider().capabilities().rerun {
        lose_the_answer_and_find_the_run(bench, &start).await;
    } else {
        assert_eq!(start.start(&*bench.provider()).await.unwrap_err().kind, CiErrorKind::Unsupported);
    }
}

/// Expects one run before it.
async fn lose_the_answer_and_find_the_run(bench: &dyn Bench, start: &Prepared) {
    let can_be_lost = bench.cause(Trouble::AnswerLost).await;
    let answer = start.start(&*bench.provider()).await;
    match &answer {
        Err(error) => assert!(can_be_lost && error.kind == CiErrorKind::OutcomeUnknown, "{error:?}"),
        Ok(build) => assert!(!can_be_lost, "{build:?} was answered all the same"),
    }
    let found = start.found(&*bench.provider()).await;
    assert_eq!((found.len(), bench.runs()), (1, 2), "{found:?}");
    if let Ok(build) = answer {
        assert_eq!(found, [build.id]);
    }
}

pub async fn what_may_not_be_done_is_forbidden_and_starts_nothing(bench: &dyn Bench) {
    let start = Prepared::new(bench, Job::Succeeds, StartKind::Trigger).await.unwrap();
    let can_be_forbidden = bench.cause(Trouble::RightsLost).await;
    let answer = start.start(&*bench.provider()).await;
    if can_be_forbidden {
        assert_eq!((answer.unwrap_err().kind, bench.runs()), (CiErrorKind::Forbidden, 0));
    } else {
        assert_eq!((answer.is_ok(), bench.runs()), (true, 1));
    }
}

pub async fn a_system_that_is_down_is_unavailable_and_starts_nothing(bench: &dyn Bench) {
    let run = Started::new(bench, Job::Succeeds).await;
    run.ended().await;
    let start = Prepared::new(bench, Job::Succeeds, StartKind::Trigger).await.unwrap();
    let provider = bench.provider();
    provider.checkpoint(&run.target).await.unwrap();
    if bench.cause(Trouble::Down).await {
        // The start comes last: where it is what finds a kept connection broken, nobody knows what became of it.
        let kinds = [
            provider.checkpoint(&run.target).await.unwrap_err().kind,
            provider.build(&run.target, &run.id).await.unwrap_err().kind,
            provider.cancel(&run.target, &run.id, CancelMode::Graceful).await.unwrap_err().kind,
            start.start(&*provider).await.unwrap_err().kind,
        ];
        assert_eq!(kinds, [CiErrorKind::Unavailable; 4]);
        assert_eq!(bench.runs(), 1);
        bench.mend().await;
        assert_eq!(start.found(&*provider).await, []);
    }
    start.start(&*provider).await.unwrap();
    assert_eq!(bench.runs(), 2);
}

pub async fn unknown_runs_are_not_found(bench: &dyn Bench) {
    let (provider, target) = (bench.provider(), bench.target(Job::Succeeds));
    for id in ["999999", "no such run", "", "../1"] {
        let build = BuildId(id.to_owned());
        let error = in_time(provider.build(&target, &build)).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::NotFound, "{id:?}");
        let error = in_time(provider.cancel(&target, &build, CancelMode::Graceful)).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::NotFound, "{id:?}");
        let kind = first_error(provider.clone(), target.clone(), build, None).await;
        assert_eq!(kind, CiErrorKind::NotFound, "{id:?}");
    }
    assert_eq!(bench.runs(), 0);
}

/// A system that knows its jobs refuses; one that does not has a run to show that ended at once and says why.
pub async fn a_job_that_does_not_exist_starts_no_run_that_works(bench: &dyn Bench) {
    let prepared = Prepared::new(bench, Job::Missing, StartKind::Trigger).await;
    let answer = match &prepared {
        Ok(start) => start.start(&*bench.provider()).await,
        Err(error) => {
            assert_eq!((error.kind, bench.runs()), (CiErrorKind::NotFound, 0));
            return;
        }
    };
    match answer {
        Err(error) => assert_eq!((error.kind, bench.runs()), (CiErrorKind::NotFound, 0)),
        Ok(build) => {
            assert_eq!((build.status, bench.runs()), (RunStatus::Errored, 1));
            assert!(build.reason.is_some_and(|reason| !reason.detail.is_empty()));
        }
    }
}

pub async fn a_job_of_another_system_is_refused(bench: &dyn Bench) {
    let foreign = if let Target::Process(_) = bench.target(Job::Succeeds) {
        Target::Concourse(ConcourseTarget {
            team: "main".to_owned(),
            pipeline: "app".to_owned(),
            job: "deploy".to_owned(),
            vars: serde_json::Map::new(),
        })
    } else {
        Target::Process(ProcessTarget {
            command: vec!["true".to_owned()],
            directory: None,
            merge_stderr: false,
        })
    };
    let error = match Prepared::of_target(bench, foreign, StartKind::Trigger).await {
        Ok(start) => start.start(&*bench.provider()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((error.kind, bench.runs()), (CiErrorKind::Refused, 0));
}

pub async fn jobs_are_discovered_or_that_is_unsupported(bench: &dyn Bench) {
    let provider = bench.provider();
    let discovered = in_time(provider.discover(&BTreeSet::new())).await;
    if !provider.capabilities().discover {
        assert_eq!(discovered.unwrap_err().kind, CiErrorKind::Unsupported);
        return;
    }
    let discovered: Vec<_> = discovered.unwrap().into_iter().map(|job| job.target).collect();
    for job in [Job::Succeeds, Job::Fails, Job::Waits] {
        assert!(discovered.contains(&bench.target(job)), "{job:?} is not among {discovered:?}");
    }
    assert!(!discovered.contains(&bench.target(Job::Missing)));
}

pub async fn a_check_finds_nothing_wrong(bench: &dyn Bench) {
    let targets = [Job::Succeeds, Job::Fails, Job::Waits].map(|job| bench.target(job));
    let report = in_time(bench.provider().check(&targets.map(Into::into))).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.identity.is_some_and(|identity| !identity.is_empty()));
    for scope in report.scopes {
        assert!(scope.list && scope.trigger && scope.watch && scope.cancel, "{scope:?}");
    }
}

fn is_status(body: &RunEventBody, wanted: RunStatus) -> bool {
    matches!(body, RunEventBody::Status { status, .. } if *status == wanted)
}

async fn assert_cancelled(run: &Started<'_>) {
    assert_eq!(run.ended().await.status, RunStatus::Cancelled);
    let events = run.events(None).await.unwrap();
    assert!(events.iter().any(|event| is_status(&event.body, RunStatus::Cancelled)), "{events:?}");
    assert_eq!(events.last().map(|event| &event.body), Some(&RunEventBody::End));
}
