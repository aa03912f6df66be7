//! What records look like as JSON: empty fields are left out.

use serde_json::{Map, Value, json};

use crate::concourse::run::Blocked;
use crate::concourse::script::{Hold, Status, StepKind};
use crate::concourse::state::{
    BuildRecord, JobRecord, PipelineRecord, ResourceRecord, State, TeamRecord, VersionRecord,
};
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
    if let Some((pipeline, job)) = &build.job {
        put(&mut it, "job_name", job.as_str());
        if let Some(pipeline) = state.pipeline_by_id(*pipeline) {
            put_pipeline(&mut it, pipeline);
        }
    }
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

fn build_summary(state: &State, build: &BuildRecord) -> Value {
    let mut it = json!({
        "id": build.id,
        "name": build.name,
        "status": build.status.as_str(),
        "team_name": build.team,
    });
    if let Some((pipeline, job)) = &build.job {
        put(&mut it, "job_name", job.as_str());
        if let Some(pipeline) = state.pipeline_by_id(*pipeline) {
            put_pipeline(&mut it, pipeline);
        }
    }
    put_some(&mut it, "start_time", build.start_time);
    put_some(&mut it, "end_time", build.end_time);
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

fn job_base(pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let mut it = json!({"id": job.id, "name": job.name, "team_name": pipeline.team});
    put_pipeline(&mut it, pipeline);
    if job.paused {
        put(&mut it, "paused", true);
    }
    for (name, kind) in [("inputs", StepKind::Get), ("outputs", StepKind::Put)] {
        let of_kind = job.script.steps.iter().filter(|step| step.kind == kind);
        let steps: Vec<_> = of_kind.map(|step| json!({"name": step.name, "resource": step.name})).collect();
        if !steps.is_empty() {
            put(&mut it, name, steps);
        }
    }
    it
}

/// A job in a list: short builds, and nothing about manual triggers.
pub(super) fn job_summary(state: &State, pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let (next, finished) = next_and_finished(state, pipeline, job);
    let mut it = job_base(pipeline, job);
    put_some(&mut it, "finished_build", finished.map(|build| build_summary(state, build)));
    put_some(&mut it, "next_build", next.map(|build| build_summary(state, build)));
    it
}

/// A job by itself: whole builds, which may be null.
pub(super) fn job(world: &World, state: &State, pipeline: &PipelineRecord, job: &JobRecord) -> Value {
    let (next, finished) = next_and_finished(state, pipeline, job);
    let whole = |it: Option<&BuildRecord>| it.map(|it| build(world, state, it, Comment::Hidden));
    let mut it = job_base(pipeline, job);
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

pub(super) fn pipeline(pipeline: &PipelineRecord) -> Value {
    let mut it = json!({
        "id": pipeline.id,
        "name": pipeline.name,
        "paused": pipeline.paused,
        "public": pipeline.public,
        "archived": pipeline.archived,
        "team_name": pipeline.team,
        "last_updated": 1_790_000_000,
    });
    put_some(&mut it, "instance_vars", pipeline.instance_vars.clone());
    it
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

pub(super) fn resources(build: &BuildRecord) -> Value {
    let started = build.status != Status::Pending;
    let pipeline = build.job.as_ref().map_or(0, |(pipeline, _)| *pipeline);
    let of_kind = |kind| build.script.steps.iter().filter(move |step| started && step.kind == kind);
    let inputs = of_kind(StepKind::Get).map(|step| {
        let version = build.taken.get(&step.name).map_or_else(|| json!(step.version), |taken| json!(taken));
        json!({"name": step.name, "version": version, "pipeline_id": pipeline, "first_occurrence": true})
    });
    let outputs = of_kind(StepKind::Put).map(|step| json!({"name": step.name, "version": step.version}));
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

/// The build of a check, which stands beside those of jobs.
pub(super) fn check(pipeline: &PipelineRecord, id: i64) -> Value {
    let mut it = json!({
        "id": id, "team_name": pipeline.team, "name": "check", "status": "started",
        "api_url": format!("/api/v1/builds/{id}"),
    });
    put_pipeline(&mut it, pipeline);
    it
}

/// Why a build is pending; once it is not, nothing blocks.
pub(super) fn preparation(build: &BuildRecord, blocked: &Blocked) -> Value {
    let word = |blocks: bool| if blocks { "blocking" } else { "not_blocking" };
    let pending = build.status == Status::Pending;
    let mut inputs = Map::new();
    let mut reasons = Map::new();
    if let (true, Hold::Input(missing)) = (pending, &build.script.hold) {
        inputs.insert(missing.clone(), "blocking".into());
        reasons.insert(missing.clone(), "no versions available".into());
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
