//! A CI system with one pipeline job, which takes one resource.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::world::{Late, SimulatedBuild, World};
use crate::{
    ci::{
        Build, BuildId, CancelMode, Capabilities, CheckReport, Checkpoint, CiError, CiErrorKind, CiProvider,
        DiscoveredJob, EventStream, PinVersions, Pinned, Position, ProviderDirectory, ProviderLookupError,
        ResourceVersion, RunStatus, StartRequest, Taken, Target, TargetUse, VersionFields,
    },
    clock::Clock,
    name::ProviderName,
};

/// The resource, the input as which the job takes it, and the field that tells its versions.
pub(super) const RESOURCE: &str = "repo";
const INPUT: &str = "source";
pub(super) const FIELD: &str = "ref";

/// How long a call that was lost may take to be carried out, in seconds.
const LATE: usize = 50;

/// The CI system, which is the only one there is.
#[derive(Clone)]
pub(super) struct Ci(pub(super) Arc<World>);

/// What becomes of one call.
enum Fate {
    Answers,
    /// It has its effect, and the answer is lost.
    LosesAnswer,
    LosesCall,
    /// It is carried out later.
    IsLate,
    Refuses,
}

fn failed(kind: CiErrorKind) -> CiError {
    CiError::new(kind, "call", "simulated")
}

pub(super) fn fields(version: &str) -> VersionFields {
    VersionFields::from([(FIELD.to_owned(), version.to_owned())])
}

impl Ci {
    fn fate(&self) -> Fate {
        match self.0.below(40) {
            0 => Fate::LosesAnswer,
            1 => Fate::LosesCall,
            2 => Fate::IsLate,
            3 => Fate::Refuses,
            _ => Fate::Answers,
        }
    }

    /// Reads, or fails.
    async fn read<T: Send>(&self, read: impl FnOnce() -> T + Send) -> Result<T, CiError> {
        self.0.end_looking();
        self.0.turns().await;
        if self.0.chance(60) {
            return Err(failed(CiErrorKind::Unavailable));
        }
        let read = read();
        self.0.turns().await;
        Ok(read)
    }

    /// Changes something of the resource, which may be lost on the way.
    async fn change(&self, change: Late) -> Result<(), CiError> {
        let fate = self.fate();
        let outcome = match fate {
            Fate::Answers => {
                self.0.state().carry_out(change);
                Ok(())
            }
            Fate::LosesAnswer => {
                self.0.note("an answer was lost");
                self.0.state().carry_out(change);
                Err(CiErrorKind::Unavailable)
            }
            Fate::LosesCall => {
                self.0.note("a call was lost");
                Err(CiErrorKind::Unavailable)
            }
            Fate::IsLate => {
                let at = self.0.now() + self.0.seconds(LATE);
                self.0.state().late.push((at, change));
                Err(CiErrorKind::Unavailable)
            }
            Fate::Refuses => Err(CiErrorKind::Forbidden),
        };
        self.0.end_looking();
        self.0.turns().await;
        outcome.map_err(failed)
    }

    fn begin(&self, visible_at: Timestamp) -> BuildId {
        // Now and then a build waits for longer than its version is kept pinned.
        let wait = if self.0.chance(12) { self.0.seconds(1200) } else { self.0.seconds(8) };
        let mut state = self.0.state();
        state.builds.push(SimulatedBuild { visible_at, takes_at: visible_at + wait, took: None });
        BuildId(state.builds.len().to_string())
    }
}

fn build(target: &Target, id: BuildId) -> Build {
    Build {
        id,
        target: target.clone(),
        status: RunStatus::Queued,
        provider_status: "pending".to_owned(),
        reason: None,
        started_at: None,
        finished_at: None,
        web_url: None,
        number: None,
    }
}

#[async_trait]
impl CiProvider for Ci {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            parameters: true,
            live_logs: false,
            rerun: false,
            force_cancel: false,
            discover: false,
        }
    }

    async fn checkpoint(&self, _: &Target) -> Result<Checkpoint, CiError> {
        self.read(|| Checkpoint(self.0.state().builds.len().to_string())).await
    }

    async fn start(&self, request: &StartRequest<'_>) -> Result<Build, CiError> {
        self.0.end_looking();
        self.0.turns().await;
        let now = self.0.now();
        let outcome = match self.fate() {
            Fate::Answers => Ok(build(request.target, self.begin(now))),
            Fate::LosesAnswer => {
                self.0.note("an answer was lost");
                self.begin(now);
                Err(CiErrorKind::OutcomeUnknown)
            }
            Fate::LosesCall => {
                self.0.note("a call was lost");
                Err(CiErrorKind::OutcomeUnknown)
            }
            Fate::IsLate => {
                self.0.note("a build began late");
                self.begin(now + self.0.seconds(LATE));
                Err(CiErrorKind::OutcomeUnknown)
            }
            Fate::Refuses => {
                self.0.note("a call was refused");
                Err(CiErrorKind::Refused)
            }
        };
        self.0.turns().await;
        outcome.map_err(failed)
    }

    async fn started_since(&self, request: &StartRequest<'_>) -> Result<Vec<Build>, CiError> {
        let since: usize = request.checkpoint.0.parse().unwrap();
        self.read(|| {
            let state = self.0.state();
            let builds = state.builds.iter().enumerate().skip(since);
            let visible = builds.filter(|(_, build)| build.visible_at <= state.now);
            visible.map(|(place, _)| build(request.target, BuildId((place + 1).to_string()))).collect()
        })
        .await
    }

    async fn build(&self, target: &Target, id: &BuildId) -> Result<Build, CiError> {
        Ok(build(target, id.clone()))
    }

    fn events(self: Arc<Self>, _: Target, _: BuildId, _: Option<Position>) -> EventStream {
        unreachable!("nobody watches")
    }

    async fn cancel(&self, _: &Target, _: &BuildId, _: CancelMode) -> Result<(), CiError> {
        unreachable!("nobody cancels")
    }

    fn pins(&self) -> Option<&dyn PinVersions> {
        Some(self)
    }

    async fn discover(&self, _: &BTreeSet<String>) -> Result<Vec<DiscoveredJob>, CiError> {
        unreachable!("nobody discovers")
    }

    async fn check(&self, _: &[TargetUse]) -> Result<CheckReport, CiError> {
        unreachable!("nobody checks")
    }
}

#[async_trait]
impl ProviderDirectory for Ci {
    async fn provider(&self, _: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl PinVersions for Ci {
    async fn inputs_of(&self, _: &Target, resource: &str) -> Result<BTreeSet<String>, CiError> {
        assert_eq!(resource, RESOURCE);
        self.read(|| BTreeSet::from([INPUT.to_owned()])).await
    }

    async fn find_version(
        &self,
        _: &Target,
        _: &str,
        wanted: &VersionFields,
    ) -> Result<Option<ResourceVersion>, CiError> {
        self.read(|| {
            let known = self.0.state().known.contains(&wanted[FIELD]);
            known.then(|| ResourceVersion { id: wanted[FIELD].clone(), fields: wanted.clone() })
        })
        .await
    }

    async fn look_for(&self, _: &Target, _: &str, wanted: &VersionFields) -> Result<(), CiError> {
        let found = (self.0.now() + self.0.seconds(4), Late::Check(wanted[FIELD].clone()));
        self.read(|| self.0.state().late.push(found)).await
    }

    async fn pinned(&self, _: &Target, _: &str) -> Result<Pinned, CiError> {
        self.0.end_looking();
        self.0.turns().await;
        if self.0.chance(60) {
            return Err(failed(CiErrorKind::Unavailable));
        }
        self.0.begin_looking();
        let pin = self.0.state().pin.clone();
        if pin.as_ref().is_some_and(|pin| pin.is_a_persons) {
            self.0.note("somebody's pin was respected");
        }
        Ok(pin
            .map_or(Pinned::Nothing, |pin| Pinned::To { fields: fields(&pin.version), comment: pin.comment }))
    }

    async fn pin(&self, _: &Target, _: &str, version: &ResourceVersion) -> Result<(), CiError> {
        self.change(Late::Pin(version.id.clone())).await
    }

    async fn comment(&self, _: &Target, _: &str, comment: &str) -> Result<(), CiError> {
        self.change(Late::Comment(comment.to_owned())).await
    }

    async fn unpin(&self, _: &Target, _: &str) -> Result<(), CiError> {
        self.change(Late::Unpin).await
    }

    async fn taken(&self, _: &Target, build: &BuildId) -> Result<Taken, CiError> {
        let place: usize = build.0.parse().unwrap();
        self.read(|| {
            let took = self.0.state().builds[place - 1].took.clone();
            took.map_or(Taken::NotYet, |took| {
                Taken::Versions(BTreeMap::from([(INPUT.to_owned(), fields(&took))]))
            })
        })
        .await
    }
}
