//! How a test describes the Concourse it wants.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::{AbortPace, Config};
use super::roles::Role;
use super::script::Script;
use super::server;
use super::state::{JobRecord, PinRecord, PipelineRecord, ResourceRecord, State, TeamRecord, User, fields};
use super::twin::ConcourseTwin;
use super::version::Version;

/// A Concourse to be started.
#[derive(Debug)]
pub struct TwinBuilder {
    address: SocketAddr,
    config: Config,
    state: State,
}

impl ConcourseTwin {
    /// Describes a Concourse: version 7.14 on a free port, with nothing in it.
    pub fn builder() -> TwinBuilder {
        TwinBuilder::default()
    }

    /// Sets a pipeline under a name that is free, that of a destroyed one for instance.
    pub fn set_pipeline(
        &self,
        team: &str,
        name: &str,
        fill: impl FnOnce(PipelineBuilder) -> PipelineBuilder,
    ) {
        self.add_pipeline(fill(PipelineBuilder { record: PipelineRecord::new(team, name) }).record);
    }
}

impl Default for TwinBuilder {
    fn default() -> Self {
        let config = Config {
            version: Version::V7_14,
            token_lifetime: Duration::from_hours(24),
            grants_only_openid: false,
            abort: AbortPace::After(Duration::ZERO),
            fixed_time: None,
        };
        let state = State { next_build_id: 1, ..State::default() };
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), config, state }
    }
}

impl TwinBuilder {
    /// Takes on the behaviour of `version`; 7.14 if not said.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.config.version = version;
        self
    }

    /// Listens on `port` of loopback instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.address.set_port(port);
        self
    }

    /// Listens on `address`.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Adds a local user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        let user = User { password: password.to_owned(), groups: Vec::new() };
        self.state.users.insert(name.to_owned(), user);
        self
    }

    /// Puts a local user into a group, which reaches its token with scope `groups`.
    #[must_use]
    pub fn group(mut self, user: &str, group: &str) -> Self {
        if let Some(user) = self.state.users.get_mut(user) {
            user.groups.push(group.to_owned());
        }
        self
    }

    /// Adds an OAuth client, as `CONCOURSE_ADD_CLIENT` does; its roles go to `client:<id>`.
    #[must_use]
    pub fn client(mut self, id: &str, secret: &str) -> Self {
        self.state.clients.insert(id.to_owned(), secret.to_owned());
        self
    }

    /// Adds a team, or adds roles to it.
    #[must_use]
    pub fn team(mut self, name: &str, roles: impl FnOnce(TeamBuilder) -> TeamBuilder) -> Self {
        let team = self.state.team_or_insert(name);
        let filled = roles(TeamBuilder { record: team.clone() });
        *team = filled.record;
        self
    }

    /// Adds a pipeline to a team; the team is made if need be.
    #[must_use]
    pub fn pipeline(
        mut self,
        team: &str,
        name: &str,
        fill: impl FnOnce(PipelineBuilder) -> PipelineBuilder,
    ) -> Self {
        self.state.team_or_insert(team);
        let filled = fill(PipelineBuilder { record: PipelineRecord::new(team, name) });
        self.state.add_pipeline(filled.record);
        self
    }

    /// Gives the first build this id; ids of old installations do not fit 32 bits.
    #[must_use]
    pub fn first_build_id(mut self, id: i64) -> Self {
        self.state.next_build_id = id;
        self
    }

    /// Sets how long a token is good; 24 hours if not said.
    #[must_use]
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.config.token_lifetime = lifetime;
        self
    }

    /// Hands out tokens that lack every claim but `openid`'s, whatever scope is asked for.
    #[must_use]
    pub fn grants_only_openid(mut self) -> Self {
        self.config.grants_only_openid = true;
        self
    }

    /// Lets `delay` pass between the answer to an abort and its effect.
    #[must_use]
    pub fn abort_delay(mut self, delay: Duration) -> Self {
        self.config.abort = AbortPace::After(delay);
        self
    }

    /// Gives an abort its effect only when the test releases the build.
    #[must_use]
    pub fn abort_waits_for_release(mut self) -> Self {
        self.config.abort = AbortPace::UntilReleased;
        self
    }

    /// Writes `unix_seconds` wherever a time goes, for tests that compare every byte.
    #[must_use]
    pub fn fixed_time(mut self, unix_seconds: i64) -> Self {
        self.config.fixed_time = Some(unix_seconds);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    ///
    /// Fails when the address is taken.
    pub async fn bind(self) -> io::Result<ConcourseTwin> {
        let Self { address, config, state } = self;
        Ok(ConcourseTwin::new(server::start(address, config, state).await?))
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// Panics when the address is taken; a test has no use for that error.
    pub async fn start(self) -> ConcourseTwin {
        self.bind().await.expect("the twin could not listen on its address")
    }
}

/// The roles of a team.
#[derive(Debug)]
pub struct TeamBuilder {
    record: TeamRecord,
}

impl TeamBuilder {
    /// Gives a user a role. A name without a connector (`local:`, `client:`) means a local user.
    #[must_use]
    pub fn role(mut self, user: &str, role: Role) -> Self {
        let user = if user.contains(':') { user.to_owned() } else { format!("local:{user}") };
        self.record.auth.entry(role).or_default().users.push(user);
        self
    }

    /// Gives a group, such as `local:developers`, a role.
    #[must_use]
    pub fn group_role(mut self, group: &str, role: Role) -> Self {
        self.record.auth.entry(role).or_default().groups.push(group.to_owned());
        self
    }

    /// Gives everybody a role, by a role without users and groups as old teams have it.
    #[must_use]
    pub fn everybody(mut self, role: Role) -> Self {
        self.record.auth.entry(role).or_default();
        self
    }
}

/// A pipeline and its jobs.
#[derive(Debug)]
pub struct PipelineBuilder {
    record: PipelineRecord,
}

impl PipelineBuilder {
    /// Makes this one instance of the pipeline. Versions before 7.0 have no instances: the twin leaves it out.
    #[must_use]
    pub fn instance_vars(mut self, vars: &Value) -> Self {
        self.record.instance_vars = vars.as_object().cloned().filter(|vars: &Map<_, _>| !vars.is_empty());
        self
    }

    /// Adds a job; it does [`Script::quick`] unless told otherwise.
    #[must_use]
    pub fn job(mut self, name: &str, fill: impl FnOnce(JobBuilder) -> JobBuilder) -> Self {
        let filled = fill(JobBuilder { record: JobRecord::new(name, Script::quick()) });
        self.record.jobs.push(filled.record);
        self
    }

    /// Adds a resource that can be pinned, with the versions that are known, the oldest first.
    #[must_use]
    pub fn resource(mut self, name: &str, versions: &[Value]) -> Self {
        let mut resource = ResourceRecord { name: name.to_owned(), ..ResourceRecord::default() };
        resource.upstream = versions.iter().map(fields).collect();
        for version in resource.upstream.clone() {
            resource.learn(version);
        }
        self.record.resources.push(resource);
        self
    }

    /// Lets the resource that was added last have more versions, which only a check finds.
    #[must_use]
    pub fn upstream(mut self, versions: &[Value]) -> Self {
        if let Some(resource) = self.record.resources.last_mut() {
            resource.upstream.extend(versions.iter().map(fields));
        }
        self
    }

    /// Pins the resource that was added last to its oldest version, in the configuration.
    #[must_use]
    pub fn pinned_in_config(mut self) -> Self {
        if let Some(resource) = self.record.resources.last_mut() {
            let fields = resource.upstream.first().cloned().unwrap_or_default();
            resource.pin = Some(PinRecord { fields, comment: String::new(), in_config: true });
        }
        self
    }

    /// Shows the pipeline to everybody.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.record.public = true;
        self
    }

    /// Says which job's build has set the pipeline, as the step `set_pipeline` does.
    #[must_use]
    pub fn set_by(mut self, job: i64, build: i64) -> Self {
        self.record.parent = Some((job, build));
        self
    }

    /// Starts with the pipeline paused.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.record.paused = true;
        self
    }

    /// Starts with the pipeline archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.record.archived = true;
        self
    }
}

/// A job and what its builds do.
#[derive(Debug)]
pub struct JobBuilder {
    record: JobRecord,
}

impl JobBuilder {
    /// Says what a build of the job does.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.record.script = script.into();
        self
    }

    /// Starts with the job paused.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.record.paused = true;
        self
    }

    /// Shows the logs of the job to everybody, in a public pipeline.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.record.public = true;
        self
    }

    #[must_use]
    pub fn disable_manual_trigger(mut self) -> Self {
        self.record.disable_manual_trigger = true;
        self
    }

    /// Refuses reruns, from 8.1 on.
    #[must_use]
    pub fn disable_reruns(mut self) -> Self {
        self.record.disable_reruns = true;
        self
    }

    /// Runs at most `builds` at a time.
    #[must_use]
    pub fn max_in_flight(mut self, builds: usize) -> Self {
        self.record.max_in_flight = Some(builds);
        self
    }

    /// Runs when no build of another job of `group`, or of this one, does.
    #[must_use]
    pub fn serial_group(mut self, group: &str) -> Self {
        self.record.serial_groups.push(group.to_owned());
        self
    }

    /// Wants versions of `input` that have passed `job`.
    #[must_use]
    pub fn passed(mut self, input: &str, job: &str) -> Self {
        self.record.passed.entry(input.to_owned()).or_default().push(job.to_owned());
        self
    }

    /// Breaks the input check: up to 8.1 a trigger answers 500 after it has made the build.
    #[must_use]
    pub fn input_check_fails(mut self) -> Self {
        self.record.input_check_fails = true;
        self
    }
}
