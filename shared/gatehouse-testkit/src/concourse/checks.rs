//! Checks of resources. Since 7.0 each is a build with an id from the same sequence.
//!
//! As the server's source has it: whoever asks for a check gets a build that is kept, and so did a trigger for each of
//! its inputs up to 8.1. Since then a trigger's checks are of the memory of a web node: they have an id and events, and
//! stand in no list.

use super::events::{self, Event, EventLog};
use super::scheduling::look_for_inputs;
use super::script::{Script, Status};
use super::state::{BuildRecord, CheckOf, Fields, State};
use super::world::World;

/// The plan's id of the one step.
const STEP: &str = "64f0a0";

/// Checks a resource from a version on, or else from what it is pinned to or has newest. Here a check has ended as soon
/// as it begins. Returns its build, if checks are builds.
pub(super) fn check(
    world: &World,
    state: &mut State,
    pipeline: i64,
    resource: &str,
    from: Option<Fields>,
    in_memory: bool,
) -> Option<i64> {
    let found = state.pipeline_mut(pipeline)?;
    let succeeds = !found.is_broken(resource);
    let is_news = succeeds && found.find_versions(resource, from);
    let of = CheckOf { pipeline, resource: resource.to_owned(), in_memory };
    let team = found.team.clone();
    let id = world.config.version.checks_are_builds().then(|| insert(world, state, team, of, succeeds));
    if is_news {
        // What is new is what the scheduler looks for.
        look_for_inputs(state, pipeline, |_| true);
    }
    id
}

/// Checks what a job gets, as a trigger does.
pub(super) fn check_inputs(world: &World, state: &mut State, pipeline: i64, job: &str) {
    let inputs = state.pipeline_by_id(pipeline).and_then(|it| it.job(job)).map(|job| job.script.clone());
    let in_memory = !world.config.version.checks_inputs_after_insert();
    for input in inputs.iter().flat_map(|script| script.inputs()) {
        check(world, state, pipeline, &input.name, None, in_memory);
    }
}

fn insert(world: &World, state: &mut State, team: String, of: CheckOf, succeeds: bool) -> i64 {
    let (id, now) = (state.take_build_id(), world.now());
    let mut log = EventLog::new(world.config.version, 1);
    log.push(&events::status_event("started"), now);
    for event in told(&of.resource, succeeds) {
        log.push(&event, now);
    }
    let script = Script::check(STEP, &of.resource).into();
    let mut build = BuildRecord::new(id, "check".to_owned(), team, script, log);
    build.check = Some(of);
    build.start_time = Some(now);
    build.end(if succeeds { Status::Succeeded } else { Status::Failed }, now);
    state.builds.insert(id, build);
    id
}

/// What a check says between its beginning and its end.
fn told(resource: &str, succeeds: bool) -> Vec<Event> {
    let mut events = vec![
        events::step_event("initialize-check", "1.0", STEP).json("name", &resource),
        events::timed_event("selected-worker", "1.0", STEP).json("selected_worker", &"worker-1"),
        events::step_event("start", "1.0", STEP),
    ];
    if !succeeds {
        events.push(events::log_event(STEP, "stderr", "check failed\n"));
    }
    events.push(events::step_event("finish", "1.0", STEP).json("succeeded", &succeeds));
    events
}
