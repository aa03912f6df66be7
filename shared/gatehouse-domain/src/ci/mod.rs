//! CI systems: what they all do, what differs, and how they fail.
//!
//! [`CiProvider`] holds the verbs that all CI systems share, [`Capabilities`] what differs. Errors carry a
//! [`CiErrorKind`]; whether trying again makes sense follows from the kind alone. What a kind of CI system
//! decides for itself is in its file below [`targets`].

mod build;
mod check;
mod connection;
mod delivery;
mod directory;
mod error;
mod event;
mod pins;
mod provider;
mod sharing;
pub mod targets;

pub use self::{
    build::{Build, BuildId, Reason, ReasonCode, RunStatus},
    check::{CheckReport, Outlook, ScopeCheck, TargetUse},
    connection::{Account, Connection, KeptSecret},
    delivery::Delivery,
    directory::{ProviderDirectory, ProviderLookupError},
    error::{CiError, CiErrorKind},
    event::{
        AcrossValue, EventStream, LogStream, MetadataField, Position, RunEvent, RunEventBody, StepFacts,
        StepPhase,
    },
    pins::{AskedVersion, PinVersions, Pinned, ResourceVersion, Taken, VersionFields, WantedVersion},
    provider::{CancelMode, Capabilities, Checkpoint, CiProvider, DiscoveredJob, StartKind, StartRequest},
    sharing::{Scopes, Sharing},
    targets::{ConcourseTarget, NamedBuild, ProcessTarget, ProviderKind, Target},
};
