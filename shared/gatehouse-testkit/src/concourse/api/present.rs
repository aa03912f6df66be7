//! What records look like as JSON: empty fields are left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::concourse::scheduling::Blocked;
use crate::concourse::script::{Hold, Status, Step, StepKind};
use crate::concourse::state::{
    BuildRecord, CheckOf, JobRecord, PipelineRecord, ResourceRecord, State, TeamRecord, VersionRecord,
};
use crate::concourse::version::Version;
use crate::concourse::world::World;

/// Whether a build is shown with its comment, which only some calls do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    Shown,
    Hidden,
}

fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    object[name] = value.into();
}

fn put_some(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[name] = value.into();
    }
}

fn put_pipeline(object: &mut Value, pipeline: &PipelineRecord) {
    put(object, "pipeline_id", pipeline.id);
    put(object, "pipeline_name", pipeline.name.as_str());
    put_some(object, "pipeline_instance_vars", pipeline.instance_vars.clone());
}

/// Where a build belongs.
fn put_place(object: &mut Value, state: &State, build: &BuildRecord) {
    put_some(object, "job_name", build.job.as_ref().map(|(_, job)| job.as_str()));
    if let Some(pipeline) = build.pipeline().and_then(|id| state.pipeline_by_id(id)) {
        put_pipeline(object, pipeline);
    }
}

pub(super) fn build(world: &World, state: &State, build: &BuildRecord, comment: Comment) -> Value {
    let mut it = json!({
        "id": build.id,
        "team_name": build.team,
        "name": build.name,
        "status": build.status.as_str(),
        "api_url": format!("/api/v1/builds/{}", build.id),
    });
    if comment == Comment::Shown && world.config.version.has_comments() && !build.comment.is_empty() {
        put(&mut it, "comment", build.comment.as_str());
    }
    put_place(&mut it, state, build);
    put_some(&mut it, "resource_name", build.check.as_ref().map(|check| check.resource.as_str()));
    put_some(&mut it, "start_time", build.start_time);
    put_some(&mut it, "end_time", build.end_time);
    put_some(&mut it, "reap_time", build.reap_time);
    put_some(&mut it, "created_by", build.created_by.clone());
    if let Some(original) = build.rerun_of.and_then(|id| state.builds.get(&id)) {
        put(&mut it, "rerun_number", build.rerun_number);
        put(&mut it, "rerun_of", json!({"id": original.id, "name": original.name}));
    }
    it
}

/// The time that stands in short builds for one that has not come: Go's zero time, in Unix seconds.
const NEVER: i64 = -62_135_596_800;

fn build_summary(state: &State, build: &BuildRecord) -> Value {
    let mut it = json!({
        "id": build.id,
        "name": build.name,
        "status": build.status.as_str(),
        "team_name": build.team,
    });
    put_place(&mut it, state, build);
    put(&mut it, "start_time", build.start_time.unwrap_or(NEVER));
    put(&mut it, "end_time", build.end_time.unwrap_or(NEVER));
    it
}

/// The build at work or waiting, and the one that ended last.
fn next_and_finished<'s>(
    state: &'s State,
    pipeline: &PipelineRecord,
    job: &'s JobRecord,
) -> (Option<&'s BuildRecord>, Option<&'s BuildRecord>) {
    let next = state.job_builds(pipeline.id, &job.name).find(|build| !build.status.is_terminal());
    let finished = state.job_builds(pipeline.id, &job.name).rfind(|build| build.status.is_terminal());
    (next, finished)
}

/// Who paused something, and when, which the twin does not remember.
fn put_pause(object: &mut Value, world: &World, by: &str) {
    if world.config.version.says_who_paused() {
        put(object, "paused_by", by);
        put(object, "paused_at", 1_790_000_000);
    }
}

fn job_base(world: &World, pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let mut it = json!({"id": job.id, "name": job.name, "team_name": pipeline.team});
    put_pipeline(&mut it, pipeline);
    if job.paused {
        put(&mut it, "paused", true);
        put_pause(&mut it, world, "admin");
    }
    let resource = |step: &Step| json!({"name": step.name, "resource": step.name});
    let inputs = job.script.inputs().map(|step| {
        let mut it = resource(step);
        put_some(&mut it, "passed", job.passed.get(&step.name).cloned());
        it
    });
    if job.has_new_inputs {
        put(&mut it, "has_new_inputs", true);
    }
    let (inputs, outputs): (Vec<_>, Vec<_>) =
        (inputs.collect(), job.script.outputs().map(resource).collect());
    put_some(&mut it, "inputs", Some(inputs).filter(|inputs| !inputs.is_empty()));
    put_some(&mut it, "outputs", Some(outputs).filter(|outputs| !outputs.is_empty()));
    it
}

/// A job in a list: short builds, and nothing about manual triggers.
pub(super) fn job_summary(world: &World, state: &State, pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let (next, finished) = next_and_finished(state, pipeline, job);
    let mut it = job_base(world, pipeline, job);
    // Since when it has come to what it came to last.
    let ended = state.job_builds(pipeline.id, &job.name).filter(|build| build.status.is_terminal()).rev();
    let alike = ended.take_while(|build| finished.is_some_and(|last| last.status == build.status));
    put_some(&mut it, "finished_build", finished.map(|build| build_summary(state, build)));
    put_some(&mut it, "transition_build", alike.last().map(|build| build_summary(state, build)));
    put_some(&mut it, "next_build", next.map(|build| build_summary(state, build)));
    it
}

/// A job by itself: whole builds, which may be null.
pub(super) fn job(world: &World, state: &State, pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let (next, finished) = next_and_finished(state, pipeline, job);
    let whole = |it: Option<&BuildRecord>| it.map(|it| build(world, state, it, Comment::Hidden));
    let mut it = job_base(world, pipeline, job);
    for input in it.get_mut("inputs").and_then(Value::as_array_mut).into_iter().flatten() {
        put(input, "trigger", false);
    }
    put(&mut it, "next_build", whole(next));
    put(&mut it, "finished_build", whole(finished));
    if job.disable_manual_trigger {
        put(&mut it, "disable_manual_trigger", true);
    }
    if job.disable_reruns && world.config.version.has_disable_reruns() {
        put(&mut it, "disable_reruns", true);
    }
    it
}

pub(super) fn pipeline(world: &World, pipeline: &PipelineRecord) -> Value {
    let mut it = json!({
        "id": pipeline.id,
        "name": pipeline.name,
        // What is archived is paused with it.
        "paused": pipeline.paused || pipeline.archived,
        "public": pipeline.public,
        "archived": pipeline.archived,
        "team_name": pipeline.team,
        "last_updated": 1_790_000_000,
    });
    put_some(&mut it, "instance_vars", pipeline.instance_vars.clone());
    if pipeline.archived {
        put_pause(&mut it, world, "automatic-pipeline-archiver");
    } else if let Some(by) = pipeline.paused_by.as_ref().filter(|_| pipeline.paused) {
        put_pause(&mut it, world, by);
    }
    put_some(&mut it, "parent_job_id", pipeline.parent.map(|(job, _)| job));
    put_some(&mut it, "parent_build_id", pipeline.parent.map(|(_, build)| build));
    it
}

/// The resources that jobs of a pipeline get and put.
pub(super) fn pipeline_resources(version: Version, state: &State, pipeline: &PipelineRecord) -> Vec<Value> {
    let steps = pipeline.jobs.iter().flat_map(|job| &job.script.steps);
    let resources = steps.filter(|step| step.kind != StepKind::Task).map(|step| {
        let mut it = json!({"name": step.name, "team_name": pipeline.team, "type": "mock"});
        put_pipeline(&mut it, pipeline);
        if pipeline.checked.contains(&step.name) {
            put(&mut it, "last_checked", 1_790_000_000);
        }
        let is_of = |check: &CheckOf| check.pipeline == pipeline.id && check.resource == step.name;
        let last = state.builds.values().rfind(|it| it.check.as_ref().is_some_and(is_of));
        put_some(&mut it, "build", last.map(|check| build_summary(state, check)));
        if !version.checks_are_builds() && pipeline.is_broken(&step.name) {
            put(&mut it, "failing_to_check", true);
        }
        (step.name.clone(), it)
    });
    // One that several jobs get is one resource.
    let resources: BTreeMap<String, Value> = resources.collect();
    resources.into_values().collect()
}

pub(super) fn team(team: &TeamRecord) -> Value {
    json!({"id": team.id, "name": team.name, "auth": team.auth})
}

pub(super) fn plan(build: &BuildRecord) -> Value {
    if let Some(recorded) = &build.script.plan {
        return recorded.clone();
    }
    json!({"schema": "exec.v2", "plan": {"id": "64f000", "do": build.script.nodes}})
}

pub(super) fn resources(state: &State, build: &BuildRecord) -> Value {
    let started = build.start_time.is_some();
    let pipeline = build.job.as_ref().map_or(0, |(pipeline, _)| *pipeline);
    let inputs = build.script.inputs().filter(|_| started).map(|step| {
        let version = build.version_taken(step);
        let mut earlier = state.builds.values().filter(|it| it.id < build.id && it.job == build.job);
        let is_first = !earlier.any(|it| it.start_time.is_some() && it.took(&step.name, &version));
        json!({"name": step.name, "version": version, "pipeline_id": pipeline, "first_occurrence": is_first})
    });
    let outputs = build
        .script
        .outputs()
        .filter(|_| started)
        .map(|step| json!({"name": step.name, "version": step.version}));
    json!({"inputs": inputs.collect::<Vec<_>>(), "outputs": outputs.collect::<Vec<_>>()})
}

pub(super) fn resource(pipeline: &PipelineRecord, resource: &ResourceRecord) -> Value {
    let mut it = json!({"name": resource.name});
    put_pipeline(&mut it, pipeline);
    put(&mut it, "team_name", pipeline.team.as_str());
    put(&mut it, "type", "mock");
    if let Some(pin) = &resource.pin {
        put(&mut it, "pinned_version", json!(pin.fields));
        if pin.in_config {
            put(&mut it, "pinned_in_config", true);
        }
        if !pin.comment.is_empty() {
            put(&mut it, "pin_comment", pin.comment.as_str());
        }
    }
    it
}

pub(super) fn version(version: &VersionRecord) -> Value {
    json!({"id": version.id, "version": version.fields, "enabled": version.enabled})
}

/// A check that has begun, which is a build.
pub(super) fn check(world: &World, state: &State, check: &BuildRecord) -> Value {
    let mut it = build(world, state, check, Comment::Hidden);
    put(&mut it, "status", Status::Started.as_str());
    if let Some(shown) = it.as_object_mut() {
        shown.remove("end_time");
    }
    it
}

/// A check that has begun, and is no build.
pub(super) fn old_check(id: i64, now: i64) -> Value {
    json!({"id": id, "status": "started", "create_time": now})
}

/// Why a build is pending; once it is not, nothing blocks.
pub(super) fn preparation(build: &BuildRecord, blocked: &Blocked) -> Value {
    let word = |blocks: bool| if blocks { "blocking" } else { "not_blocking" };
    let pending = build.status == Status::Pending;
    let mut inputs = Map::new();
    let mut reasons = Map::new();
    let mut miss = |input: &str, why: &str| {
        inputs.insert(input.to_owned(), "blocking".into());
        reasons.insert(input.to_owned(), why.into());
    };
    if let (true, Hold::Input { name, .. }) = (pending, &build.script.hold) {
        miss(name, "latest version of resource not found");
    } else if pending && (blocked.pipeline || blocked.job) {
        // Nobody looks for the inputs of what is paused.
        build
            .script
            .inputs()
            .for_each(|step| miss(&step.name, "input is not included in resolved candidates"));
    } else if pending {
        blocked.missing.iter().for_each(|(input, why)| miss(input, why));
    }
    if !reasons.is_empty() {
        // Of the others it is said that they are there.
        for step in build.script.inputs() {
            inputs.entry(&step.name).or_insert_with(|| "not_blocking".into());
        }
    }
    json!({
        "build_id": build.id,
        "paused_pipeline": word(pending && blocked.pipeline),
        "paused_job": word(pending && blocked.job),
        "max_running_builds": word(pending && blocked.in_flight),
        "inputs": inputs,
        "inputs_satisfied": word(!reasons.is_empty()),
        "missing_input_reasons": reasons,
    })
}
