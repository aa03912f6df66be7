//! What is told of a build, whatever its stream does.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use gatehouse_domain::ci::{
    BuildId, CancelMode, CiErrorKind, CiProvider, EventStream, Position, RunEvent, RunEventBody, RunStatus,
    VersionFields,
};
use gatehouse_providers::concourse::ConcourseProvider;
use gatehouse_testkit::concourse::{Fault, Route, Script, Status, Version};
use serde_json::json;

use crate::support::{
    Bench, QUICK, QUIET_AFTER_END, WATCHDOG, concourse, deploy, line, number, target, told, trigger, watch,
    within_patience,
};

/// A build that has ended, and everything it told.
async fn finished(bench: &Bench) -> (Arc<ConcourseProvider>, BuildId) {
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    (provider, build)
}

async fn told_of(script: Script) -> String {
    let bench = Bench::new(concourse(script)).await;
    let (provider, build) = finished(&bench).await;
    told(&watch(&provider, &build, None).await.unwrap())
}

async fn next(events: &mut EventStream) -> RunEvent {
    within_patience(events.next()).await.expect("the stream is over").unwrap()
}

#[tokio::test]
async fn a_build_is_told_from_its_beginning_to_its_end() {
    assert_eq!(told_of(Script::quick()).await.trim_end(), QUICK.trim_end());
}

#[tokio::test]
async fn everything_that_makes_a_log_hard_to_read_is_read() {
    insta::assert_snapshot!(told_of(Script::chunky()).await, @r#"
    0 status running (started)
    1 step 64f0a0 repo preparing -
    2 step 64f0a0 repo started
    3 step 64f0a0 repo started waiting for a worker
    4 step 64f0a0 repo started on worker worker-1
    5 step 64f0a0 repo finished Some(0) Some(true)
    6 step 64f0a1 chunky preparing -
    7 step 64f0a1 chunky preparing waiting for a worker
    8 step 64f0a1 chunky preparing on worker worker-1
    9 step 64f0a1 chunky started
    10 log 64f0a1 "one li"
    11 log 64f0a1 "ne in two chunks\r\ntwo lines\r\nin one chunk\r\n"
    12 log 64f0a1 " 10%\r"
    13 log 64f0a1 " 55%\r100%\r\n"
    14 log 64f0a1 "\u{1b}[31mred\u{1b}[0m <b>&amp;</b>\r\n"
    16 log 64f0a1 stderr "grüße aus Köln 🚀\u{2028}\r\n"
    17 log 64f0a1 "no newline at the end"
    18 step 64f0a1 chunky finished Some(0) Some(true)
    20 log task/old "old log\n"
    21 error 64f0a1 old error
    22 step run run finished Some(0) Some(true)
    23 step 64f0a1 chunky finished None Some(true)
    24 status succeeded (succeeded)
    24 end
    "#);
}

#[tokio::test]
async fn an_error_does_not_end_a_build() {
    let script =
        Script::new().error("no worker yet").task("unit", |task| task.log("on\n")).finish(Status::Errored);
    insta::assert_snapshot!(told_of(script).await, @r#"
0 status running (started)
1 error - no worker yet
2 step 64f0a0 unit preparing -
3 step 64f0a0 unit preparing waiting for a worker
4 step 64f0a0 unit preparing on worker worker-1
5 step 64f0a0 unit started
6 log 64f0a0 "on\n"
7 step 64f0a0 unit finished Some(0) Some(true)
8 status errored (errored)
8 end
"#);
}

#[tokio::test]
async fn a_build_may_end_without_having_said_that_it_started() {
    let told = told_of(Script::new().unannounced()).await;
    assert_eq!(told, "0 status succeeded (succeeded)\n0 end\n");
}

#[tokio::test]
async fn what_comes_behind_the_end_of_a_build_is_told() {
    let script = Script::new().finish(Status::Aborted).error("interrupted").status_event(Status::Aborted);
    let told = told_of(script).await;
    let expected = "0 status running (started)\n1 status cancelled (aborted)\n2 error - interrupted\n\
                    3 status cancelled (aborted)\n3 end\n";
    assert_eq!(told, expected);
}

#[tokio::test]
async fn nonsense_in_the_stream_is_skipped() {
    let script = Script::new().verbatim("not JSON").verbatim("").error("after it");
    assert!(told_of(script).await.contains("error - after it\n"));
}

#[tokio::test]
async fn a_waiting_build_tells_why_and_tells_it_once() {
    let bench = Bench::new(concourse(Script::quick().stays_pending())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    let mut events = provider.clone().events(deploy(), build.clone(), None);
    assert_eq!(line(&next(&mut events).await), "- status queued (pending)");
    bench.twin.pause_job("main", "app", "deploy");
    assert_eq!(line(&next(&mut events).await), "- status queued (pending) Paused");
    bench.twin.unpause_job("main", "app", "deploy");
    assert_eq!(line(&next(&mut events).await), "- status queued (pending)");
    assert_eq!(bench.twin.request_count(Route::Events), 0, "a stream was opened that says nothing");
    bench.twin.release(number(&build));
    assert_eq!(line(&next(&mut events).await), "0 status running (started)");
}

#[tokio::test]
async fn a_build_that_waits_for_its_first_version_tells_so_and_then_runs() {
    let builder = concourse(Script::quick())
        .pipeline("main", "late", |it| it.job("deploy", |job| job).resource("repo", &[]));
    let bench = Bench::new(builder).await;
    let (provider, late) = (bench.provider(), target("late", "deploy"));
    let build = trigger(&provider, late.clone()).await.unwrap().id;
    let mut events = provider.clone().events(late.clone(), build, None);
    assert_eq!(line(&next(&mut events).await), "- status queued (pending) WaitingForInputs");
    bench.twin.publish("main", "late", "repo", &json!({"ref": "one"}));
    let version = VersionFields::from([("ref".to_owned(), "one".to_owned())]);
    provider.pins().unwrap().look_for(&late, "repo", &version).await.unwrap();
    assert_eq!(line(&next(&mut events).await), "0 status running (started)");
}

#[tokio::test]
async fn a_step_without_a_worker_says_that_it_waits_for_one() {
    let bench = Bench::new(concourse(Script::new().without_workers().task("unit", |task| task))).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_for_build(number(&build), |status| status == Status::Started).await;
    let mut events = provider.clone().events(deploy(), build.clone(), None);
    assert_eq!(line(&next(&mut events).await), "0 status running (started)");
    assert_eq!(line(&next(&mut events).await), "1 step 64f0a0 unit preparing -");
    assert_eq!(line(&next(&mut events).await), "2 step 64f0a0 unit preparing waiting for a worker");
    let shown = provider.build(&deploy(), &build).await.unwrap();
    assert_eq!((shown.status, shown.reason), (RunStatus::Running, None));
    bench.twin.release(number(&build));
    assert_eq!(line(&next(&mut events).await), "3 step 64f0a0 unit preparing on worker worker-1");
}

#[tokio::test]
async fn a_build_that_is_stopped_before_it_starts_is_told_so() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick().stays_pending()).version(version)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        let mut events = provider.clone().events(deploy(), build.clone(), None);
        next(&mut events).await;
        provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
        let rest = within_patience(events.map(Result::unwrap).collect::<Vec<_>>()).await;
        assert_eq!(told(&rest), "0 status cancelled (aborted)\n0 end\n", "{version}");
    }
}

#[tokio::test]
async fn a_build_whose_log_was_deleted_is_told_as_far_as_it_is_known() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    bench.twin.reap(number(&build));
    let expected = "- status succeeded (succeeded)\n- error - Concourse no longer has the log of this run\n";
    let events = watch(&provider, &build, None).await.unwrap();
    assert_eq!(told(&events), format!("{expected}- end\n"));
    let events = watch(&provider, &build, Some(&Position("3".into()))).await.unwrap();
    assert_eq!(told(&events), format!("{expected}3 end\n"));
}

#[tokio::test]
async fn the_log_may_be_deleted_under_a_reader() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let mut events = provider.clone().events(deploy(), build.clone(), None);
    bench.twin.fault(Fault::on(Route::Events).cut_after_events(1));
    assert_eq!(line(&next(&mut events).await), "0 status running (started)");
    bench.twin.reap(number(&build));
    let rest = within_patience(events.map(Result::unwrap).collect::<Vec<_>>()).await;
    let expected =
        "- status succeeded (succeeded)\n- error - Concourse no longer has the log of this run\n0 end\n";
    assert_eq!(told(&rest), expected);
}

#[tokio::test]
async fn positions_that_are_none_of_ours_are_refused() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    for position in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let error = watch(&provider, &build, Some(&Position(position.into()))).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::Refused, "{position}");
    }
}

#[tokio::test]
async fn a_position_behind_the_end_is_answered_with_the_end() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let events = watch(&provider, &build, Some(&Position("4000".into()))).await.unwrap();
    assert_eq!(told(&events), "4000 end\n");
}

#[tokio::test]
async fn builds_that_are_not_there_end_the_stream_with_an_error() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let error = watch(&bench.provider(), &BuildId("77".into()), None).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::NotFound);
    let error = watch(&bench.provider(), &BuildId("latest".into()), None).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::NotFound);
}

#[tokio::test]
async fn a_plan_that_hangs_does_not_hold_back_what_needs_no_names() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    bench.twin.fault(Fault::on(Route::Plan).slow(Duration::MAX).always());
    let mut events = provider.events(deploy(), build, None);
    // The plan is given up after eight seconds; this is there before.
    let first =
        tokio::time::timeout(Duration::from_secs(6), next(&mut events)).await.expect("it is held back");
    assert_eq!(line(&first), "0 status running (started)");
}

#[tokio::test]
async fn names_come_when_the_plan_does() {
    names_come_after(Fault::on(Route::Plan).status(500)).await;
}

/// It takes the eight seconds after which a plan is given up.
#[tokio::test]
async fn names_come_when_a_plan_that_hung_is_asked_for_again() {
    names_come_after(Fault::on(Route::Plan).slow(Duration::MAX)).await;
}

/// What strikes the first question for the plan costs the names of the steps before the next answer, and no more.
async fn names_come_after(fault: Fault) {
    let script = (0..200)
        .fold(Script::new(), |script, _| script.task("unit", |task| task.log("on\n").wait_for_release()));
    let bench = Bench::new(concourse(script)).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.fault(fault);
    let mut events = provider.events(deploy(), build.clone(), None);
    let mut names = Vec::new();
    while names.last().is_none_or(Option::is_none) {
        match next(&mut events).await.body {
            RunEventBody::Step { name, .. } => names.push(name),
            RunEventBody::Log { .. } => bench.twin.release(number(&build)),
            RunEventBody::End => panic!("no step had a name"),
            _ => {}
        }
    }
    assert_eq!(names[0], None, "the first answer is waited for, and is none");
}

#[tokio::test]
async fn a_stream_that_cannot_be_had_ends_with_an_error_at_last() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    bench.twin.fault(Fault::on(Route::Events).cut().always());
    let error = watch(&provider, &build, None).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Unavailable);
    assert_eq!(bench.twin.request_count(Route::Events), 9);
    bench.twin.clear_faults();
    bench.twin.fault(Fault::on(Route::Events).html_page(200));
    assert_eq!(watch(&provider, &build, None).await.unwrap_err().kind, CiErrorKind::Protocol);
}

#[tokio::test]
async fn every_record_that_arrives_earns_new_tries() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let all = watch(&provider, &build, None).await.unwrap();
    bench.twin.fault(Fault::on(Route::Events).cut_after_events(1).always());
    assert_eq!(watch(&provider, &build, None).await.unwrap(), all);
    assert!(bench.twin.request_count(Route::Events) > all.len());
}

#[tokio::test]
async fn a_token_that_ends_while_a_build_is_watched_is_renewed() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let all = watch(&provider, &build, None).await.unwrap();
    let mut events = provider.events(deploy(), build, None);
    bench.twin.fault(Fault::on(Route::Events).cut_after_events(3));
    let mut seen = vec![next(&mut events).await];
    bench.twin.expire_tokens();
    seen.extend(within_patience(events.map(Result::unwrap).collect::<Vec<_>>()).await);
    assert_eq!(seen, all);
    assert_eq!(bench.twin.token_requests(), 2);
}

#[tokio::test]
async fn silence_is_doubted_and_a_lost_wake_up_made_good() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let all = watch(&provider, &build, None).await.unwrap();
    bench.twin.fault(Fault::on(Route::Events).slow(Duration::MAX));
    let watching = tokio::spawn(async move { watch(&provider, &build, None).await.unwrap() });
    bench.clock.end(WATCHDOG).await;
    assert_eq!(within_patience(watching).await.unwrap(), all);
}

#[tokio::test]
async fn a_stream_that_stays_silent_gives_way_to_what_the_build_says() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    bench.twin.fault(Fault::on(Route::Events).slow(Duration::MAX).always());
    let watching = tokio::spawn(async move { watch(&provider, &build, None).await.unwrap() });
    bench.clock.end(WATCHDOG).await;
    bench.clock.end(WATCHDOG).await;
    assert_eq!(told(&within_patience(watching).await.unwrap()), "- status succeeded (succeeded)\n- end\n");
}

#[tokio::test]
async fn silence_of_a_build_that_goes_on_is_left_alone() {
    let bench = Bench::new(concourse(Script::silent())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_for_build(number(&build), |status| status == Status::Started).await;
    let id = number(&build);
    let watching = tokio::spawn(async move { watch(&provider, &build, None).await.unwrap() });
    // Whoever sleeps for the second time has asked in between.
    bench.clock.end(WATCHDOG).await;
    bench.clock.end(WATCHDOG).await;
    bench.twin.release(id);
    let events = told(&within_patience(watching).await.unwrap());
    assert!(events.contains("status succeeded (succeeded)"), "{events}");
    assert_eq!(bench.twin.request_count(Route::Events), 1, "the connection was given up");
}

#[tokio::test]
async fn a_build_that_has_ended_is_left_after_a_while_without_the_end_of_its_stream() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (provider, build) = finished(&bench).await;
    let all = watch(&provider, &build, None).await.unwrap();
    let records = bench.twin.build(number(&build)).unwrap().events;
    bench.twin.fault(Fault::on(Route::Events).cut_after_events(records));
    bench.twin.fault(Fault::on(Route::Events).slow(Duration::MAX));
    let again = {
        let (provider, build) = (provider.clone(), build.clone());
        tokio::spawn(async move { watch(&provider, &build, None).await.unwrap() })
    };
    bench.clock.end(QUIET_AFTER_END).await;
    assert_eq!(within_patience(again).await.unwrap(), all);
    // Nor does it matter that the end cannot be had.
    bench.twin.clear_faults();
    bench.twin.fault(Fault::on(Route::Events).cut_after_events(records));
    bench.twin.fault(Fault::on(Route::Events).cut().always());
    assert_eq!(watch(&provider, &build, None).await.unwrap(), all);
}

#[tokio::test]
async fn a_reader_that_leaves_takes_the_connection_along() {
    let bench = Bench::new(concourse(Script::silent())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    let mut events = provider.events(deploy(), build, None);
    while !matches!(next(&mut events).await.body, RunEventBody::Step { .. }) {}
    assert_eq!(bench.twin.open_streams(), 1);
    drop(events);
    within_patience(async {
        while bench.twin.open_streams() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn steps_that_appear_on_the_way_have_their_names() {
    let substeps = json!({"origin": {"id": "64f0a0"}, "substeps": [
        {"step": {"id": "64f0a0/0", "task": {"name": "unit"}}, "values": ["go"]}]});
    let start = json!({"origin": {"id": "64f0a0/0"}, "time": 1});
    let script = Script::new().event("across-substeps", "1.0", &substeps).event("start-task", "5.0", &start);
    assert!(told_of(script).await.contains("2 step 64f0a0/0 unit (go) started\n"));
}
