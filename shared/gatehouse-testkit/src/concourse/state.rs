//! What the twin knows: teams, pipelines, jobs, builds and tokens.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use super::calls::Request;
use super::events::{EventLog, status_event};
use super::faults::Faults;
use super::roles::{Auth, Role, Token};
use super::script::{Hold, Script, Status, Step, StepKind};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<String, User>,
    pub(super) clients: BTreeMap<String, String>,
    pub(super) teams: Vec<TeamRecord>,
    pub(super) pipelines: Vec<PipelineRecord>,
    pub(super) builds: BTreeMap<i64, BuildRecord>,
    pub(super) next_build_id: i64,
    /// Of checks where they are no builds.
    pub(super) last_check_id: i64,
    pub(super) last_pipeline_id: i64,
    pub(super) next_job_id: i64,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) refresh_tokens: HashMap<String, Token>,
    pub(super) token_requests: usize,
    pub(super) tokens_issued: u64,
    pub(super) faults: Faults,
    pub(super) requests: VecDeque<Request>,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) password: String,
    pub(super) groups: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct TeamRecord {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) auth: Auth,
}

#[derive(Debug)]
pub(super) struct PipelineRecord {
    pub(super) id: i64,
    pub(super) team: String,
    pub(super) name: String,
    pub(super) instance_vars: Option<Map<String, Value>>,
    pub(super) paused: bool,
    /// Whoever paused it; nobody where it began so.
    pub(super) paused_by: Option<String>,
    pub(super) archived: bool,
    pub(super) public: bool,
    /// The job that set it, and the build that did.
    pub(super) parent: Option<(i64, i64)>,
    pub(super) jobs: Vec<JobRecord>,
    pub(super) resources: Vec<ResourceRecord>,
    /// Resources that a check has looked at, those of scripts as well.
    pub(super) checked: BTreeSet<String>,
}

/// Fields of a version of a resource.
pub(super) type Fields = BTreeMap<String, String>;

/// The fields of a version, whose values are text.
pub(super) fn fields(version: &Value) -> Fields {
    let fields = version.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// A resource that can be pinned. What a script gets without one has the version of the script.
#[derive(Clone, Debug, Default)]
pub(super) struct ResourceRecord {
    pub(super) name: String,
    /// Those that are known, the oldest first.
    pub(super) versions: Vec<VersionRecord>,
    /// Those that a check finds.
    pub(super) upstream: Vec<Fields>,
    pub(super) pin: Option<PinRecord>,
}

#[derive(Clone, Debug)]
pub(super) struct VersionRecord {
    pub(super) id: i64,
    pub(super) fields: Fields,
    pub(super) enabled: bool,
}

#[derive(Clone, Debug)]
pub(super) struct PinRecord {
    pub(super) fields: Fields,
    pub(super) comment: String,
    pub(super) in_config: bool,
}

impl ResourceRecord {
    /// Makes a version known that is not yet.
    pub(super) fn learn(&mut self, fields: Fields) {
        if self.versions.iter().all(|known| known.fields != fields) {
            let id = self.versions.last().map_or(1, |last| last.id + 1);
            self.versions.push(VersionRecord { id, fields, enabled: true });
        }
    }

    /// Pins to known fields. The comment of an earlier pin stays, as in Concourse.
    pub(super) fn pin(&mut self, fields: Fields) {
        match &mut self.pin {
            Some(pin) => pin.fields = fields,
            None => self.pin = Some(PinRecord { fields, comment: String::new(), in_config: false }),
        }
    }

    /// What a build takes.
    fn current(&self) -> Option<&Fields> {
        let newest = || self.versions.iter().rfind(|version| version.enabled).map(|version| &version.fields);
        self.pin.as_ref().map(|pin| &pin.fields).or_else(newest)
    }
}

impl PipelineRecord {
    pub(super) fn new(team: &str, name: &str) -> Self {
        Self {
            id: 0,
            team: team.to_owned(),
            name: name.to_owned(),
            instance_vars: None,
            paused: false,
            paused_by: None,
            archived: false,
            public: false,
            parent: None,
            jobs: Vec::new(),
            resources: Vec::new(),
            checked: BTreeSet::new(),
        }
    }

    /// The version of `resource` that a build takes now, where that is known here.
    pub(super) fn version_of(&self, resource: &str) -> Option<&Fields> {
        self.resources.iter().find(|known| known.name == resource)?.current()
    }

    /// Whether it has a resource: one that can be pinned, or one of a script.
    pub(super) fn has_resource(&self, name: &str) -> bool {
        let mut steps = self.jobs.iter().flat_map(|job| &job.script.steps);
        self.resources.iter().any(|known| known.name == name)
            || steps.any(|step| step.kind != StepKind::Task && step.name == name)
    }

    /// Whether nobody can tell which versions a resource has.
    pub(super) fn is_broken(&self, resource: &str) -> bool {
        let holds = self.jobs.iter().map(|job| &job.script.hold);
        holds.into_iter().any(|hold| matches!(hold, Hold::Input { name, broken: true } if name == resource))
    }

    /// Makes known what a check finds: the version that it begins at, and those after it; nothing where that is not there.
    /// Returns whether there was anything new.
    pub(super) fn find_versions(&mut self, resource: &str, from: Option<Fields>) -> bool {
        let is_first = self.checked.insert(resource.to_owned());
        let Some(found) = self.resources.iter_mut().find(|known| known.name == resource) else {
            return is_first;
        };
        let known = found.versions.len();
        let begin = match from.or_else(|| found.current().cloned()) {
            Some(from) => found.upstream.iter().position(|fields| *fields == from),
            None => found.upstream.len().checked_sub(1),
        };
        for fields in found.upstream.clone().into_iter().skip(begin.unwrap_or(usize::MAX)) {
            found.learn(fields);
        }
        is_first || found.versions.len() > known
    }

    /// The version that a step is to get next, if a check has found one.
    pub(super) fn next_version(&self, step: &Step) -> Option<Value> {
        if self.resources.iter().any(|known| known.name == step.name) {
            return self.version_of(&step.name).map(|fields| json!(fields));
        }
        self.checked.contains(&step.name).then(|| step.version.clone())
    }

    pub(super) fn job(&self, name: &str) -> Option<&JobRecord> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a job of Concourse has these independent switches")]
pub(super) struct JobRecord {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) public: bool,
    pub(super) disable_manual_trigger: bool,
    pub(super) disable_reruns: bool,
    pub(super) input_check_fails: bool,
    pub(super) max_in_flight: Option<usize>,
    /// Of the jobs of a group one build runs at a time.
    pub(super) serial_groups: Vec<String>,
    /// Whether the scheduler has seen versions that no build has taken, when it looked last.
    pub(super) has_new_inputs: bool,
    /// The jobs that versions of an input must have passed.
    pub(super) passed: BTreeMap<String, Vec<String>>,
    pub(super) script: Arc<Script>,
    pub(super) last_number: u64,
    pub(super) triggers: usize,
}

impl JobRecord {
    pub(super) fn new(name: &str, script: Script) -> Self {
        Self {
            id: 0,
            name: name.to_owned(),
            paused: false,
            public: false,
            disable_manual_trigger: false,
            disable_reruns: false,
            input_check_fails: false,
            max_in_flight: None,
            serial_groups: Vec::new(),
            has_new_inputs: false,
            passed: BTreeMap::new(),
            script: Arc::new(script),
            last_number: 0,
            triggers: 0,
        }
    }
}

/// What a check is of.
#[derive(Clone, Debug)]
pub(super) struct CheckOf {
    pub(super) pipeline: i64,
    pub(super) resource: String,
    /// Whether it is in the memory of a web node, and in no list.
    pub(super) in_memory: bool,
}

#[derive(Debug)]
pub(super) struct BuildRecord {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) team: String,
    /// Pipeline id and job name; one-off builds and checks have neither.
    pub(super) job: Option<(i64, String)>,
    /// What it checks, if it is a check.
    pub(super) check: Option<CheckOf>,
    pub(super) status: Status,
    pub(super) created_by: Option<String>,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) reap_time: Option<i64>,
    pub(super) comment: String,
    pub(super) rerun_of: Option<i64>,
    pub(super) rerun_number: u64,
    /// What it took of resources that can be pinned, by step. Set when it starts.
    pub(super) taken: BTreeMap<String, Fields>,
    pub(super) script: Arc<Script>,
    pub(super) log: EventLog,
    /// Says that the log or the status changed.
    pub(super) changed: watch::Sender<()>,
    pub(super) abort: watch::Sender<bool>,
    /// Lets waits of the script pass.
    pub(super) released: Arc<Semaphore>,
}

impl BuildRecord {
    /// A pending build of no job, which nobody has started.
    pub(super) fn new(id: i64, name: String, team: String, script: Arc<Script>, log: EventLog) -> Self {
        Self {
            id,
            name,
            team,
            job: None,
            check: None,
            status: Status::Pending,
            created_by: None,
            start_time: None,
            end_time: None,
            reap_time: None,
            comment: String::new(),
            rerun_of: None,
            rerun_number: 0,
            taken: BTreeMap::new(),
            script,
            log,
            changed: watch::Sender::new(()),
            abort: watch::Sender::new(false),
            released: Arc::new(Semaphore::new(0)),
        }
    }

    /// Ends it if it is not over yet: the event and the status come together.
    pub(super) fn end(&mut self, status: Status, now: i64) {
        if !self.status.is_terminal() {
            self.log.push(&status_event(status.as_str()), now);
            self.status = status;
            self.end_time = Some(now);
            self.changed.send_replace(());
        }
    }

    /// The pipeline that its job, or the resource that it checks, belongs to.
    pub(super) fn pipeline(&self) -> Option<i64> {
        let of_check = || self.check.as_ref().map(|check| check.pipeline);
        self.job.as_ref().map(|(pipeline, _)| *pipeline).or_else(of_check)
    }

    /// Whether it is in the memory of a web node only.
    pub(super) fn is_in_memory(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.in_memory)
    }

    /// Whether it took this version of an input.
    pub(super) fn took(&self, input: &str, version: &Value) -> bool {
        self.script.inputs().any(|step| step.name == input && self.version_taken(step) == *version)
    }

    /// The version of an input that it took: that of a resource, or else the script's.
    pub(super) fn version_taken(&self, step: &Step) -> Value {
        self.taken.get(&step.name).map_or_else(|| json!(step.version), |taken| json!(taken))
    }

    /// Reruns stand beside their original: first by the original's id, then by their own.
    pub(super) fn order_key(&self) -> (i64, i64) {
        (self.rerun_of.unwrap_or(self.id), self.id)
    }
}

/// Whether both are the same to the database, for which 1 is 1.0.
fn are_same(one: Option<&Map<String, Value>>, other: Option<&Map<String, Value>>) -> bool {
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => are_same(Some(one), Some(other)),
            _ => one == other,
        }
    }
    match (one, other) {
        (Some(one), Some(other)) => {
            let is_there =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|it| same(value, it));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one.is_none() && other.is_none(),
    }
}

fn is_team(name: &str, other: &str) -> bool {
    name.to_lowercase() == other.to_lowercase()
}

impl State {
    /// Finds a team, without regard to case.
    pub(super) fn team(&self, name: &str) -> Option<&TeamRecord> {
        self.teams.iter().find(|team| is_team(&team.name, name))
    }

    pub(super) fn team_or_insert(&mut self, name: &str) -> &mut TeamRecord {
        if let Some(at) = self.teams.iter().position(|team| team.name == name) {
            return &mut self.teams[at];
        }
        let id = self.teams.last().map_or(1, |team| team.id + 1);
        self.teams.push(TeamRecord { id, name: name.to_owned(), auth: Auth::new() });
        self.teams.last_mut().expect("a team was just pushed")
    }

    pub(super) fn add_pipeline(&mut self, mut pipeline: PipelineRecord) {
        // None is given twice, whatever was destroyed meanwhile.
        self.last_pipeline_id += 1;
        pipeline.id = self.last_pipeline_id;
        for job in &mut pipeline.jobs {
            self.next_job_id += 1;
            job.id = self.next_job_id;
        }
        self.pipelines.push(pipeline);
    }

    pub(super) fn pipeline(
        &self,
        team: &str,
        name: &str,
        vars: Option<&Map<String, Value>>,
    ) -> Option<&PipelineRecord> {
        self.pipelines.iter().find(|it| {
            is_team(&it.team, team) && it.name == name && are_same(it.instance_vars.as_ref(), vars)
        })
    }

    /// Takes a pipeline out, with its builds.
    pub(super) fn destroy_pipeline(&mut self, id: i64) {
        self.pipelines.retain(|pipeline| pipeline.id != id);
        self.builds.retain(|_, build| build.pipeline() != Some(id));
    }

    pub(super) fn take_build_id(&mut self) -> i64 {
        let id = self.next_build_id;
        self.next_build_id += 1;
        id
    }

    pub(super) fn pipeline_by_id(&self, id: i64) -> Option<&PipelineRecord> {
        self.pipelines.iter().find(|pipeline| pipeline.id == id)
    }

    pub(super) fn pipeline_mut(&mut self, id: i64) -> Option<&mut PipelineRecord> {
        self.pipelines.iter_mut().find(|pipeline| pipeline.id == id)
    }

    pub(super) fn job_mut(&mut self, pipeline: i64, name: &str) -> Option<&mut JobRecord> {
        self.pipeline_mut(pipeline)?.jobs.iter_mut().find(|job| job.name == name)
    }

    /// Returns the builds of a job, oldest first.
    pub(super) fn job_builds<'a>(
        &'a self,
        pipeline: i64,
        job: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a BuildRecord> {
        self.builds
            .values()
            .filter(move |build| build.job.as_ref().is_some_and(|(id, name)| *id == pipeline && name == job))
    }

    /// Returns the roles that the bearer of `token` has in `team`, whose name is exact here.
    pub(super) fn roles(&self, token: &Token, team: &str) -> Vec<Role> {
        let Some(team) = self.teams.iter().find(|it| it.name == team) else { return Vec::new() };
        team.auth
            .iter()
            .filter(|(_, members)| token.claims.is_among(members))
            .map(|(role, _)| *role)
            .collect()
    }

    /// Owners of the team `main` may do anything in every team.
    pub(super) fn is_admin(&self, token: &Token) -> bool {
        self.roles(token, "main").contains(&Role::Owner)
    }
}
