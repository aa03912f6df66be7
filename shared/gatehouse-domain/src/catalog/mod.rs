//! The catalog: the services of a tenant, and the environments they are provisioned in and deployed to.

mod diff;
mod drift_schedule;
mod edit;
mod environment;
mod extend;
mod files;
mod kept_secrets;
mod list;
mod protection;
pub(crate) mod secret_inputs;
mod service;
mod spec;
#[cfg(test)]
mod tests;

pub(crate) use self::spec::check_inputs;
pub use self::{
    drift_schedule::{DriftSchedule, DriftScheduleEdits},
    edit::{
        CreateService, CreatedService, DeletedService, EditServiceError, EnvironmentEdits, Force,
        ReplacedService, SaveService, ServiceDraft, create, delete, replace,
    },
    environment::{
        Deployed, Drift, DriftState, EnvironmentState, Infrastructure, ModuleArtifact, OutputValue,
        PlanSummary, Provisioned, Settled,
    },
    extend::{ExtendEnvironment, ExtendError, extend},
    files::{
        EntityEdit, EntityFile, EntryOutcome, FileEntry, FindForImport, ForgetEntityError, Forgotten,
        FoundForImport, ImportFileError, ImportedEntry, LeftService, SaveEntities, SeenComponent,
        ServiceEdit, WrittenEntry, forget, import_entities,
    },
    kept_secrets::KeptSecrets,
    list::{ListServices, ServiceFilter, ServiceQuery, list},
    secret_inputs::{InputOwner, OpenInputs, SealError, SealInputs, SealedInput, SecretInputs},
    service::{Described, FindService, Registered, Service, ShowServiceError, show},
    spec::{Category, DeployTarget, EnvironmentSpec, Lifecycle, Link, MAX_ENVIRONMENTS, ServiceSpec},
};
