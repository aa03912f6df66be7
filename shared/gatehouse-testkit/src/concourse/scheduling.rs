//! What the scheduler sees: why a build waits, and whether a job has something new to take.

use std::collections::BTreeMap;

use super::script::{Hold, Script, Status, Step};
use super::state::{BuildRecord, JobRecord, PipelineRecord, State};

/// Why a pending build does not start.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    pub(super) pipeline: bool,
    pub(super) job: bool,
    pub(super) in_flight: bool,
    /// Inputs that are not there, each with the reason.
    pub(super) missing: BTreeMap<String, &'static str>,
}

impl Blocked {
    pub(super) fn of(state: &State, build: &BuildRecord) -> Self {
        let Some((pipeline_id, job_name)) = &build.job else { return Self::default() };
        let Some(pipeline) = state.pipeline_by_id(*pipeline_id) else { return Self::default() };
        let Some(job) = pipeline.job(job_name) else { return Self::default() };
        let running =
            |job: &str| state.job_builds(*pipeline_id, job).filter(|it| it.status == Status::Started).count();
        let shares_group =
            |it: &&JobRecord| it.serial_groups.iter().any(|group| job.serial_groups.contains(group));
        let group_runs = pipeline.jobs.iter().filter(shares_group).any(|it| running(&it.name) > 0);
        // A rerun takes what its original took.
        let is_rerun = build.rerun_of.is_some();
        Self {
            pipeline: pipeline.paused,
            job: job.paused,
            in_flight: group_runs || job.max_in_flight.is_some_and(|limit| running(job_name) >= limit),
            missing: if is_rerun {
                BTreeMap::new()
            } else {
                missing_inputs(state, pipeline, job, &build.script)
            },
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.pipeline || self.job
    }
}

/// Inputs of a job for which there is no version, each with the reason.
fn missing_inputs(
    state: &State,
    pipeline: &PipelineRecord,
    job: &JobRecord,
    script: &Script,
) -> BTreeMap<String, &'static str> {
    let reason = |step: &Step| {
        let is_known = pipeline.resources.iter().any(|resource| resource.name == step.name);
        let passed = job.passed.get(&step.name).into_iter().flatten();
        if is_known && pipeline.version_of(&step.name).is_none() {
            Some("latest version of resource not found")
        } else if passed.into_iter().any(|job| !has_passed(state, pipeline.id, job, &step.name)) {
            Some("no satisfiable builds from passed jobs found for set of inputs")
        } else {
            None
        }
    };
    script.inputs().filter_map(|step| Some((step.name.clone(), reason(step)?))).collect()
}

/// Whether a build of the job has succeeded with the resource. Which version it had does not matter here.
fn has_passed(state: &State, pipeline: i64, job: &str, resource: &str) -> bool {
    let mut succeeded = state.job_builds(pipeline, job).filter(|it| it.status == Status::Succeeded);
    succeeded.any(|it| it.script.inputs().chain(it.script.outputs()).any(|step| step.name == resource))
}

/// Lets the scheduler look at jobs that are not paused: whether there are versions that no build has taken yet.
pub(super) fn look_for_inputs(state: &mut State, pipeline: i64, at: impl Fn(&JobRecord) -> bool) {
    let Some(found) = state.pipeline_by_id(pipeline).filter(|it| !it.paused) else { return };
    let jobs = found.jobs.iter().filter(|job| !job.paused && at(job));
    let seen = jobs.filter_map(|job| Some((job.name.clone(), sees_new_inputs(state, found, job)?)));
    for (name, new) in seen.collect::<Vec<_>>() {
        if let Some(job) = state.job_mut(pipeline, &name) {
            job.has_new_inputs = new;
        }
    }
}

/// `None` as long as an input is not there.
fn sees_new_inputs(state: &State, pipeline: &PipelineRecord, job: &JobRecord) -> Option<bool> {
    let is_held = matches!(job.script.hold, Hold::Input { .. });
    if is_held || !missing_inputs(state, pipeline, job, &job.script).is_empty() {
        return None;
    }
    let mut any = false;
    for step in job.script.inputs() {
        let version = pipeline.next_version(step)?;
        let mut started = state.job_builds(pipeline.id, &job.name).filter(|it| it.start_time.is_some());
        any |= !started.any(|it| it.took(&step.name, &version));
    }
    Some(any)
}

/// Whether an older build of the job waits.
pub(super) fn waits_behind_another(state: &State, build: &BuildRecord) -> bool {
    let Some((pipeline, job)) = &build.job else { return false };
    state.job_builds(*pipeline, job).any(|it| it.id < build.id && it.status == Status::Pending)
}
