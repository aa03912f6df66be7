//! The handle with which a test looks into the twin and moves it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::calls::{Request, Route};
use super::faults::Fault;
use super::run::{self, NewBuild};
use super::script::{Script, Status};
use super::state::{BuildRecord, JobRecord, PipelineRecord, ResourceRecord, State, fields};
use super::version::Version;
use super::world::World;

/// A running twin. It stops when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct ConcourseTwin {
    world: Arc<World>,
    _stop: Arc<StopOnDrop>,
}

#[derive(Debug)]
struct StopOnDrop(Arc<World>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.shutdown.send_replace(true);
    }
}

/// Names a pipeline: by its name, or by its name and instance vars.
#[derive(Clone, Debug)]
pub struct PipelineName {
    name: String,
    vars: Option<Map<String, Value>>,
}

impl From<&str> for PipelineName {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), vars: None }
    }
}

impl From<(&str, Value)> for PipelineName {
    fn from((name, vars): (&str, Value)) -> Self {
        Self { name: name.to_owned(), vars: vars.as_object().cloned() }
    }
}

/// A build as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSnapshot {
    pub id: i64,
    /// Its number in the job, `17.1` for a rerun.
    pub name: String,
    pub team: String,
    /// Its pipeline, if it is not a one-off build.
    pub pipeline: Option<String>,
    /// Instance vars of the pipeline.
    pub instance_vars: Option<Map<String, Value>>,
    /// Its job, if it is neither a one-off build nor a check.
    pub job: Option<String>,
    /// The resource that it checks, if it is a check.
    pub resource: Option<String>,
    pub status: Status,
    pub created_by: Option<String>,
    pub comment: String,
    /// The build that this one repeats.
    pub rerun_of: Option<i64>,
    /// Whether somebody asked to abort it.
    pub abort_requested: bool,
    /// Events in its log.
    pub events: u64,
}

impl ConcourseTwin {
    pub(super) fn new(world: Arc<World>) -> Self {
        let stop = Arc::new(StopOnDrop(world.clone()));
        Self { world, _stop: stop }
    }

    /// Where it listens, such as `http://127.0.0.1:41234`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.world.url
    }

    /// The version it plays.
    pub fn version(&self) -> Version {
        self.world.config.version
    }

    /// Every build that is no check, oldest first.
    pub fn builds(&self) -> Vec<BuildSnapshot> {
        let state = self.world.lock();
        state.builds.values().filter(|it| it.check.is_none()).map(|build| snapshot(&state, build)).collect()
    }

    /// Every check of a resource that is a build, oldest first.
    pub fn checks(&self) -> Vec<BuildSnapshot> {
        let state = self.world.lock();
        state.builds.values().filter(|it| it.check.is_some()).map(|build| snapshot(&state, build)).collect()
    }

    pub fn build(&self, id: i64) -> Option<BuildSnapshot> {
        let state = self.world.lock();
        state.builds.get(&id).map(|build| snapshot(&state, build))
    }

    /// Waits until `id` has a status that `is` likes.
    ///
    /// # Panics
    ///
    /// Panics when there is no such build.
    pub async fn wait_for_build(&self, id: i64, is: impl Fn(Status) -> bool) -> BuildSnapshot {
        let mut changed = self.with_build(id, |build| build.changed.subscribe());
        loop {
            changed.borrow_and_update();
            let build = self.build(id).expect("builds are never removed");
            if is(build.status) {
                return build;
            }
            // The sender is in the build, which stays.
            let _ = changed.changed().await;
        }
    }

    /// Waits until a build is over.
    pub async fn wait_until_finished(&self, id: i64) -> BuildSnapshot {
        self.wait_for_build(id, Status::is_terminal).await
    }

    /// How many builds of the job calls to the trigger route have made.
    ///
    /// # Panics
    ///
    /// Panics when there is no such job.
    pub fn trigger_count(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str) -> usize {
        self.with_job(team, &pipeline.into(), job, |job| job.triggers)
    }

    /// How many calls to the token route there were, refused ones too.
    pub fn token_requests(&self) -> usize {
        self.world.lock().token_requests
    }

    /// Every call since the start or the last [`Self::forget_requests`], as far as it can be remembered.
    pub fn requests(&self) -> Vec<Request> {
        self.world.lock().requests.iter().cloned().collect()
    }

    /// How many of the remembered calls were to `route`.
    pub fn request_count(&self, route: Route) -> usize {
        let state = self.world.lock();
        state.requests.iter().filter(|call| route == Route::Any || call.route == route).count()
    }

    /// Forgets the calls so far.
    pub fn forget_requests(&self) {
        self.world.lock().requests.clear();
    }

    /// How many event streams are open, those that wait for their first event too.
    pub fn open_streams(&self) -> usize {
        self.world.open_streams.load(Ordering::SeqCst)
    }

    /// Arms a fault. Of several that match a call, the one armed first strikes.
    pub fn fault(&self, fault: Fault) {
        self.world.update(|state| state.faults.arm(fault));
    }

    pub fn clear_faults(&self) {
        self.world.update(|state| state.faults.clear());
    }

    /// Makes every token that was given out so far bad.
    pub fn expire_tokens(&self) {
        self.world.update(|state| state.tokens.clear());
    }

    /// Changes a local user's password. Tokens stay good, as with Concourse.
    pub fn set_password(&self, user: &str, password: &str) {
        self.world.update(|state| {
            if let Some(user) = state.users.get_mut(user) {
                password.clone_into(&mut user.password);
            }
        });
    }

    /// Takes every role in `team` away from `user`, at once.
    pub fn revoke_roles(&self, team: &str, user: &str) {
        let user = if user.contains(':') { user.to_owned() } else { format!("local:{user}") };
        self.world.update(|state| {
            for members in state.team_or_insert(team).auth.values_mut() {
                members.users.retain(|member| *member != user);
            }
            // A role without members would be open to everybody.
            state.team_or_insert(team).auth.retain(|_, it| !it.users.is_empty() || !it.groups.is_empty());
        });
    }

    /// Pins a resource as a person does, with a comment.
    pub fn pin(&self, team: &str, pipeline: impl Into<PipelineName>, resource: &str, version: &Value) {
        self.with_resource(team, &pipeline.into(), resource, |resource| {
            resource.pin(fields(version));
            if let Some(pin) = &mut resource.pin {
                "by hand".clone_into(&mut pin.comment);
            }
        });
    }

    /// Gives a resource one more version, which a check finds.
    pub fn publish(&self, team: &str, pipeline: impl Into<PipelineName>, resource: &str, version: &Value) {
        self.with_resource(team, &pipeline.into(), resource, |resource| {
            resource.upstream.push(fields(version));
        });
    }

    /// What a resource is pinned to.
    pub fn pinned(&self, team: &str, pipeline: impl Into<PipelineName>, resource: &str) -> Option<Value> {
        self.with_resource(team, &pipeline.into(), resource, |resource| {
            resource.pin.as_ref().map(|pin| json!(pin.fields))
        })
    }

    /// What a build took of resources that can be pinned, by step.
    pub fn taken(&self, build: i64) -> Value {
        self.with_build(build, |build| json!(build.taken))
    }

    pub fn pause_job(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str) {
        self.with_job(team, &pipeline.into(), job, |job| job.paused = true);
    }

    pub fn unpause_job(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str) {
        self.with_job(team, &pipeline.into(), job, |job| job.paused = false);
    }

    pub fn pause_pipeline(&self, team: &str, pipeline: impl Into<PipelineName>) {
        self.with_pipeline(team, &pipeline.into(), |pipeline| {
            pipeline.paused = true;
            pipeline.paused_by = Some("admin".to_owned());
        });
    }

    pub fn unpause_pipeline(&self, team: &str, pipeline: impl Into<PipelineName>) {
        self.with_pipeline(team, &pipeline.into(), |pipeline| pipeline.paused = false);
    }

    pub fn archive_pipeline(&self, team: &str, pipeline: impl Into<PipelineName>) {
        self.with_pipeline(team, &pipeline.into(), |pipeline| pipeline.archived = true);
    }

    /// Gives a team another name. Its pipelines and builds go with it.
    pub fn rename_team(&self, team: &str, name: &str) {
        self.world.update(|state| {
            let teams = state.teams.iter_mut().map(|it| &mut it.name);
            let teams = teams.chain(state.pipelines.iter_mut().map(|it| &mut it.team));
            for it in teams.chain(state.builds.values_mut().map(|it| &mut it.team)).filter(|it| *it == team) {
                name.clone_into(it);
            }
        });
    }

    pub fn rename_pipeline(&self, team: &str, pipeline: impl Into<PipelineName>, name: &str) {
        self.with_pipeline(team, &pipeline.into(), |pipeline| name.clone_into(&mut pipeline.name));
    }

    /// Gives a job another name, as `old_name` in its pipeline does. Its builds go with it.
    pub fn rename_job(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str, name: &str) {
        let pipeline = pipeline.into();
        let id = self.with_pipeline(team, &pipeline, |pipeline| pipeline.id);
        self.with_job(team, &pipeline, job, |job| name.clone_into(&mut job.name));
        self.world.update(|state| {
            let jobs = state.builds.values_mut().filter_map(|build| build.job.as_mut());
            for (_, its) in jobs.filter(|(pipeline, its)| *pipeline == id && its == job) {
                name.clone_into(its);
            }
        });
    }

    /// Takes a job out of its pipeline. Its builds stay.
    pub fn remove_job(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str) {
        self.with_pipeline(team, &pipeline.into(), |pipeline| pipeline.jobs.retain(|it| it.name != job));
    }

    /// Destroys a pipeline. Its builds go with it, and open streams of theirs are cut.
    pub fn destroy_pipeline(&self, team: &str, pipeline: impl Into<PipelineName>) {
        let id = self.with_pipeline(team, &pipeline.into(), |pipeline| pipeline.id);
        self.world.update(|state| state.destroy_pipeline(id));
        self.cut_streams();
    }

    pub(super) fn add_pipeline(&self, pipeline: PipelineRecord) {
        self.world.update(|state| state.add_pipeline(pipeline));
    }

    /// Says what builds of a job do from now on.
    pub fn set_script(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str, script: Script) {
        self.with_job(team, &pipeline.into(), job, |job| job.script = script.into());
    }

    /// Makes a build as Concourse itself would, with nobody in `created_by`. Returns its id.
    pub fn schedule(&self, team: &str, pipeline: impl Into<PipelineName>, job: &str) -> i64 {
        let pipeline = pipeline.into();
        let script = self.with_job(team, &pipeline, job, |job| job.script.clone());
        let pipeline = self.with_pipeline(team, &pipeline, |pipeline| pipeline.id);
        let job = Some((pipeline, job.to_owned()));
        let new = NewBuild {
            team: team.to_owned(),
            job,
            created_by: None,
            rerun_of: None,
            checks_inputs: false,
            script,
        };
        run::create(&self.world, new)
    }

    /// Lets one wait of the build's script pass, now or when it comes to it.
    pub fn release(&self, build: i64) {
        self.with_build(build, |build| build.released.add_permits(1));
    }

    /// Deletes the log of a finished build: its stream is only `end` from now on.
    pub fn reap(&self, build: i64) {
        let now = self.world.now();
        self.with_build(build, |build| {
            build.log.clear();
            build.reap_time = Some(now);
            build.changed.send_replace(());
        });
    }

    /// Cuts every event stream that is open and past its first event.
    pub fn cut_streams(&self) {
        self.world.cut_streams.send_modify(|generation| *generation += 1);
    }

    /// Closes every connection and refuses new ones, as a server that is down.
    pub fn go_down(&self) {
        self.world.listening.send_replace(false);
    }

    /// Listens again on the same address.
    pub fn come_up(&self) {
        self.world.listening.send_replace(true);
    }

    fn with_build<T>(&self, id: i64, f: impl FnOnce(&mut BuildRecord) -> T) -> T {
        self.world.update(|state| {
            let build = state.builds.get_mut(&id);
            f(build.unwrap_or_else(|| panic!("the twin has no build {id}")))
        })
    }

    fn with_pipeline<T>(
        &self,
        team: &str,
        name: &PipelineName,
        f: impl FnOnce(&mut PipelineRecord) -> T,
    ) -> T {
        self.world.update(|state| {
            let id = state.pipeline(team, &name.name, name.vars.as_ref()).map(|pipeline| pipeline.id);
            let pipeline = id.and_then(|id| state.pipeline_mut(id));
            f(pipeline.unwrap_or_else(|| panic!("the twin has no pipeline {team}/{name:?}")))
        })
    }

    fn with_resource<T>(
        &self,
        team: &str,
        pipeline: &PipelineName,
        resource: &str,
        f: impl FnOnce(&mut ResourceRecord) -> T,
    ) -> T {
        self.with_pipeline(team, pipeline, |it| {
            let found = it.resources.iter_mut().find(|known| known.name == resource);
            f(found.unwrap_or_else(|| panic!("the twin has no resource {team}/{pipeline:?}/{resource}")))
        })
    }

    fn with_job<T>(
        &self,
        team: &str,
        pipeline: &PipelineName,
        job: &str,
        f: impl FnOnce(&mut JobRecord) -> T,
    ) -> T {
        self.with_pipeline(team, pipeline, |it| {
            let found = it.jobs.iter_mut().find(|known| known.name == job);
            f(found.unwrap_or_else(|| panic!("the twin has no job {team}/{pipeline:?}/{job}")))
        })
    }
}

fn snapshot(state: &State, build: &BuildRecord) -> BuildSnapshot {
    let pipeline = build.pipeline().and_then(|id| state.pipeline_by_id(id));
    BuildSnapshot {
        id: build.id,
        name: build.name.clone(),
        team: build.team.clone(),
        pipeline: pipeline.map(|pipeline| pipeline.name.clone()),
        instance_vars: pipeline.and_then(|pipeline| pipeline.instance_vars.clone()),
        job: build.job.as_ref().map(|(_, job)| job.clone()),
        resource: build.check.as_ref().map(|check| check.resource.clone()),
        status: build.status,
        created_by: build.created_by.clone(),
        comment: build.comment.clone(),
        rerun_of: build.rerun_of,
        abort_requested: *build.abort.borrow(),
        events: build.log.len(),
    }
}
