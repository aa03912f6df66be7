//! Jobs and providers: what can be run, and where.

mod check;
mod discover;
mod import;
mod job;
mod provider;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use axum::Router;
use gatehouse_domain::{
    access::{
        CHECK_PROVIDER, DELETE_JOB, DELETE_PROVIDER, DISCOVER_JOBS, IMPORT_JOBS, LIST_JOBS, LIST_PROVIDERS,
        PUT_JOB, PUT_PROVIDER, SHOW_JOB, SHOW_PROVIDER,
    },
    ci::{ProviderDirectory, ProviderKind},
    clock::{Clock, IdSource},
    jobs::{DeleteJob, EditPorts, FindForEdit, FindJob, ListJobs, SaveJobs},
    project::FindProject,
    providers::{DeleteProvider, FindProvider, ListProviders, SaveProvider},
    secret::{DeleteSecret, WriteSecret},
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// Reads a job.
    pub find_job: Arc<dyn FindJob>,
    /// Reads what an edit has to know.
    pub find_for_edit: Arc<dyn FindForEdit>,
    /// Lists jobs.
    pub list_jobs: Arc<dyn ListJobs>,
    /// Writes jobs.
    pub save_jobs: Arc<dyn SaveJobs>,
    /// Deletes a job.
    pub delete_job: Arc<dyn DeleteJob>,
    /// Reads a project.
    pub find_project: Arc<dyn FindProject>,
    /// Reads a provider.
    pub find_provider: Arc<dyn FindProvider>,
    /// Lists providers.
    pub list_providers: Arc<dyn ListProviders>,
    /// Writes a provider.
    pub save_provider: Arc<dyn SaveProvider>,
    /// Deletes a provider.
    pub delete_provider: Arc<dyn DeleteProvider>,
    /// Keeps credentials.
    pub write_secret: Arc<dyn WriteSecret>,
    /// Forgets credentials.
    pub delete_secret: Arc<dyn DeleteSecret>,
    /// Finds the CI systems.
    pub providers: Arc<dyn ProviderDirectory>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes revisions.
    pub ids: Arc<dyn IdSource>,
    /// The kinds of provider that this deployment has.
    pub kinds: BTreeSet<ProviderKind>,
}

impl AppState {
    fn edit_ports(&self) -> EditPorts<'_> {
        EditPorts {
            find: &*self.find_for_edit,
            save: &*self.save_jobs,
            clock: &*self.clock,
            ids: &*self.ids,
            kinds: &self.kinds,
        }
    }
}

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
pub fn routes() -> Routes<AppState> {
    Routes::new()
        .on(&LIST_JOBS, job::list)
        .on(&SHOW_JOB, job::show)
        .on(&PUT_JOB, job::put)
        .on(&DELETE_JOB, job::delete)
        .on(&IMPORT_JOBS, import::import)
        .on(&DISCOVER_JOBS, discover::discover)
        .on(&LIST_PROVIDERS, provider::list)
        .on(&SHOW_PROVIDER, provider::show)
        .on(&PUT_PROVIDER, provider::put)
        .on(&DELETE_PROVIDER, provider::delete)
        .on(&CHECK_PROVIDER, check::check)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    job::list,
    job::show,
    job::put,
    job::delete,
    import::import,
    discover::discover,
    provider::list,
    provider::show,
    provider::put,
    provider::delete,
    check::check
))]
pub struct Description;
