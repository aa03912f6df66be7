//! Makes builds and takes them through their scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::checks;
use super::config::AbortPace;
use super::events::{self, EventLog};
use super::scheduling::{Blocked, look_for_inputs, waits_behind_another};
use super::script::{Action, Hold, Script, Status, StepKind};
use super::state::{BuildRecord, Fields, State};
use super::world::World;

/// Runs `task` until it ends or the twin does.
pub(super) fn spawn(world: &Arc<World>, task: impl Future<Output = ()> + Send + 'static) {
    let mut shutdown = world.shutdown.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => {}
            () = task => {}
        }
    });
}

/// What a new build is made from.
pub(super) struct NewBuild {
    pub(super) team: String,
    pub(super) job: Option<(i64, String)>,
    pub(super) created_by: Option<String>,
    pub(super) rerun_of: Option<i64>,
    /// Whether what it gets is checked first.
    pub(super) checks_inputs: bool,
    pub(super) script: Arc<Script>,
}

/// Makes a pending build and starts to work on it. Returns its id.
pub(super) fn create(world: &Arc<World>, new: NewBuild) -> i64 {
    let id = world.update(|state| {
        let checked = new.job.clone().filter(|_| new.checks_inputs);
        let id = insert(world, state, new);
        if let Some((pipeline, job)) = checked {
            checks::check_inputs(world, state, pipeline, &job);
        }
        id
    });
    let runner = Runner { world: world.clone(), id, step: None };
    spawn(world, runner.run());
    id
}

fn insert(world: &World, state: &mut State, new: NewBuild) -> i64 {
    let id = state.take_build_id();
    let (name, rerun_number) = name(state, id, &new);
    let log = EventLog::new(world.config.version, new.script.event_id_step);
    let build = BuildRecord {
        job: new.job,
        created_by: new.created_by.filter(|_| world.config.version.has_created_by()),
        rerun_of: new.rerun_of,
        rerun_number,
        ..BuildRecord::new(id, name, new.team, new.script, log)
    };
    state.builds.insert(id, build);
    id
}

/// Returns the name, which is a number of the job, and the number of the rerun.
fn name(state: &mut State, id: i64, new: &NewBuild) -> (String, u64) {
    if let Some(original) = new.rerun_of.and_then(|id| state.builds.get(&id)) {
        let earlier = state.builds.values().filter(|build| build.rerun_of == Some(original.id)).count();
        let number = earlier as u64 + 1;
        return (format!("{}.{number}", original.name), number);
    }
    let Some(job) = new.job.as_ref().and_then(|(pipeline, job)| state.job_mut(*pipeline, job)) else {
        return (id.to_string(), 0);
    };
    job.last_number += 1;
    (job.last_number.to_string(), 0)
}

struct Runner {
    world: Arc<World>,
    id: i64,
    /// Plan id of the step at work.
    step: Option<String>,
}

impl Runner {
    async fn run(mut self) {
        let (script, mut abort) = {
            let state = self.world.lock();
            let Some(build) = state.builds.get(&self.id) else { return };
            (build.script.clone(), build.abort.subscribe())
        };
        let starts = tokio::select! {
            biased;
            () = self.aborted_while_pending() => false,
            () = self.started(&script) => true,
        };
        if !starts {
            return;
        }
        for action in &script.actions {
            let aborted = tokio::select! {
                biased;
                _ = abort.wait_for(|abort| *abort) => true,
                () = self.perform(action) => false,
            };
            if aborted {
                return self.interrupt().await;
            }
        }
        self.finish(Status::Succeeded);
    }

    async fn started(&self, script: &Script) {
        match &script.hold {
            Hold::Nothing => {}
            Hold::For(delay) => tokio::time::sleep(*delay).await,
            Hold::UntilReleased | Hold::Input { .. } => self.released().await,
        }
        self.world.when(|state| self.try_start(state, script)).await;
    }

    fn try_start(&self, state: &mut State, script: &Script) -> Option<()> {
        let build = state.builds.get(&self.id)?;
        let blocked = Blocked::of(state, build);
        if *build.abort.borrow()
            || build.status != Status::Pending
            || blocked.is_paused()
            || blocked.in_flight
            || !blocked.missing.is_empty()
        {
            return None;
        }
        if let Some((pipeline, name)) = build.job.clone() {
            look_for_inputs(state, pipeline, |job| job.name == name);
        }
        let build = state.builds.get(&self.id)?;
        let taken = taken(state, build);
        let build = state.builds.get_mut(&self.id)?;
        let now = self.world.now();
        build.status = Status::Started;
        build.taken = taken;
        build.start_time = Some(now);
        if script.announces_start {
            build.log.push(&events::status_event("started"), now);
        }
        build.changed.send_replace(());
        Some(())
    }

    /// Ends when an abort has taken a build that did not start. A forced abort has done so already.
    async fn aborted_while_pending(&self) {
        let version = self.world.config.version;
        self.world
            .when(|state| {
                let build = state.builds.get(&self.id)?;
                // What is paused is gone through in its order, if at all.
                let held = Blocked::of(state, build).is_paused()
                    && (!version.aborts_pending_builds_when_paused() || waits_behind_another(state, build));
                (build.status == Status::Pending && *build.abort.borrow() && !held
                    || build.status == Status::Aborted)
                    .then_some(())
            })
            .await;
        self.abort_pace().await;
        self.finish(Status::Aborted);
    }

    async fn perform(&mut self, action: &Action) {
        match action {
            Action::Emit { event, origin } => {
                if origin.is_some() {
                    self.step.clone_from(origin);
                }
                if event.is_known_to(self.world.config.version) {
                    self.change(|build, now| build.log.push(event, now));
                }
            }
            Action::Lines { origin, count } => {
                self.change(|build, now| build.log.push_lines(origin, *count, now));
            }
            Action::Sleep(delay) => tokio::time::sleep(*delay).await,
            Action::WaitForRelease => self.released().await,
            Action::Finish(status) => self.finish(*status),
            Action::End(status) => self.change(|build, now| {
                build.status = *status;
                build.end_time = Some(now);
            }),
        }
    }

    /// What an abort does to a running build: the step is interrupted, then the build is `aborted`.
    ///
    /// After a forced abort the build is so already, and this comes behind its end.
    async fn interrupt(self) {
        self.abort_pace().await;
        self.change(|build, now| {
            if let Some(step) = &self.step {
                build.log.push(&events::error_event(step, "interrupted"), now);
            }
            if build.status.is_terminal() {
                build.log.push(&events::status_event("aborted"), now);
            }
        });
        self.finish(Status::Aborted);
    }

    async fn abort_pace(&self) {
        match self.world.config.abort {
            AbortPace::After(delay) => tokio::time::sleep(delay).await,
            AbortPace::UntilReleased => self.released().await,
        }
    }

    async fn released(&self) {
        let released = self.world.lock().builds.get(&self.id).map(|build| build.released.clone());
        if let Some(released) = released
            && let Ok(permit) = released.acquire().await
        {
            permit.forget();
        }
    }

    fn finish(&self, status: Status) {
        self.change(|build, now| build.end(status, now));
    }

    fn change(&self, change: impl FnOnce(&mut BuildRecord, i64)) {
        let now = self.world.now();
        let end_before = self.world.lock().builds.get_mut(&self.id).map(|build| {
            let was_terminal = build.status.is_terminal();
            change(build, now);
            build.changed.send_replace(());
            build.status.is_terminal() && !was_terminal
        });
        if end_before == Some(true) {
            // Another build of the job may start now, or of one behind it.
            self.world.update(|state| {
                let Some((pipeline, name)) = state.builds.get(&self.id).and_then(|it| it.job.clone()) else {
                    return;
                };
                look_for_inputs(state, pipeline, |job| job.passed.values().flatten().any(|it| *it == name));
            });
        }
    }
}

/// What a build takes of resources that can be pinned: what a rerun repeats, or what is pinned or newest now.
fn taken(state: &State, build: &BuildRecord) -> BTreeMap<String, Fields> {
    if let Some(original) = build.rerun_of.and_then(|id| state.builds.get(&id)) {
        return original.taken.clone();
    }
    let pipeline = build.job.as_ref().and_then(|(id, _)| state.pipeline_by_id(*id));
    let Some(pipeline) = pipeline else { return BTreeMap::new() };
    let gets = build.script.steps.iter().filter(|step| step.kind == StepKind::Get);
    gets.filter_map(|step| Some((step.name.clone(), pipeline.version_of(&step.name)?.clone()))).collect()
}
