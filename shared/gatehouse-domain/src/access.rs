//! The operations of the API and who may use them: one reviewed table.
//!
//! The authorizer writes its policies from it, the routers mount from it, and the coverage test compares
//! it with the template, the API description and the sample events.

use std::{fmt, str::FromStr};

/// What a person may do in a tenant; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also triggers, provisions and deploys.
    Developer,
    /// Also edits and mints.
    Admin,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    All,
    /// See jobs.
    JobsRead,
    /// Change, import and discover jobs.
    JobsWrite,
    /// See runs, their events and logs.
    RunsRead,
    /// Trigger, cancel and rerun.
    RunsWrite,
    /// See providers.
    ProvidersRead,
    /// Change and check providers.
    ProvidersWrite,
}

impl Scope {
    /// Every scope, `*` first.
    pub const ALL: [Self; 7] = [
        Self::All,
        Self::JobsRead,
        Self::JobsWrite,
        Self::RunsRead,
        Self::RunsWrite,
        Self::ProvidersRead,
        Self::ProvidersWrite,
    ];

    /// `*`, `jobs:read`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "*",
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::ProvidersRead => "providers:read",
            Self::ProvidersWrite => "providers:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A scope that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(raw: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == raw).ok_or_else(|| UnknownScope(raw.to_owned()))
    }
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Developer, Self::Admin];

    /// `viewer`, `developer` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }
}

/// Whose things an operation touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the caller's tenants.
    Tenant,
    /// Those of the whole installation: only callers for all tenants are admitted.
    Platform,
}

/// One operation of the API: a method on a path, and who is admitted.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The same word in Rust, the API description, logs and docs.
    pub id: &'static str,
    /// The function that serves it: the folder below `functions/`.
    pub function: &'static str,
    /// Upper case.
    pub method: &'static str,
    /// With `{parameters}`, as in the template.
    pub path: &'static str,
    /// What an API key needs.
    pub scope: Scope,
    /// What a person needs.
    pub role: Role,
    /// Whose things it touches.
    pub reach: Reach,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $function:literal, $method:literal $path:literal,
       $scope:ident, $role:ident, $reach:ident;)*) => {
        $($(#[$doc])* pub const $name: Operation = Operation {
            id: $id, function: $function, method: $method, path: $path,
            scope: Scope::$scope, role: Role::$role, reach: Reach::$reach,
        };)*

        /// Every operation that needs a caller.
        pub const OPERATIONS: &[&Operation] = &[$(&$name),*];
    };
}

operations! {
    /// Lists jobs.
    LIST_JOBS = "list_jobs", "jobs", "GET" "/v1/jobs", JobsRead, Viewer, Tenant;
    /// Shows one job.
    SHOW_JOB = "show_job", "jobs", "GET" "/v1/jobs/{job_id}", JobsRead, Viewer, Tenant;
    /// Creates or replaces a job.
    PUT_JOB = "put_job", "jobs", "PUT" "/v1/jobs/{job_id}", JobsWrite, Admin, Tenant;
    /// Deletes a job.
    DELETE_JOB = "delete_job", "jobs", "DELETE" "/v1/jobs/{job_id}", JobsWrite, Admin, Tenant;
    /// Imports a jobs file.
    IMPORT_JOBS = "import_jobs", "jobs", "POST" "/v1/jobs/import", JobsWrite, Admin, Tenant;
    /// Reads a CI system's own jobs and proposes entries.
    DISCOVER_JOBS = "discover_jobs", "jobs", "POST" "/v1/jobs/discover", JobsWrite, Admin, Platform;
    /// Lists providers.
    LIST_PROVIDERS = "list_providers", "jobs", "GET" "/v1/providers", ProvidersRead, Viewer, Tenant;
    /// Shows one provider.
    SHOW_PROVIDER = "show_provider", "jobs", "GET" "/v1/providers/{name}", ProvidersRead, Viewer, Tenant;
    /// Creates or replaces a provider.
    PUT_PROVIDER = "put_provider", "jobs", "PUT" "/v1/providers/{name}", ProvidersWrite, Admin, Platform;
    /// Deletes a provider.
    DELETE_PROVIDER = "delete_provider", "jobs", "DELETE" "/v1/providers/{name}", ProvidersWrite, Admin, Platform;
    /// Asks a provider who we are and what will work.
    CHECK_PROVIDER = "check_provider", "jobs", "POST" "/v1/providers/{name}/check", ProvidersWrite, Admin, Platform;
    /// Triggers a run of a job.
    TRIGGER_RUN = "trigger_run", "runs", "POST" "/v1/jobs/{job_id}/runs", RunsWrite, Developer, Tenant;
    /// Lists the runs of a job.
    LIST_RUNS = "list_runs", "runs", "GET" "/v1/jobs/{job_id}/runs", RunsRead, Viewer, Tenant;
    /// Shows one run.
    SHOW_RUN = "show_run", "runs", "GET" "/v1/runs/{run_id}", RunsRead, Viewer, Tenant;
    /// Streams what happens in a run.
    STREAM_RUN_EVENTS = "stream_run_events", "runs", "GET" "/v1/runs/{run_id}/events", RunsRead, Viewer, Tenant;
    /// Shows the log of a run as plain text.
    SHOW_RUN_LOG = "show_run_log", "runs", "GET" "/v1/runs/{run_id}/log", RunsRead, Viewer, Tenant;
    /// Cancels a run.
    CANCEL_RUN = "cancel_run", "runs", "POST" "/v1/runs/{run_id}/cancel", RunsWrite, Developer, Tenant;
    /// Runs a finished run again.
    RERUN_RUN = "rerun_run", "runs", "POST" "/v1/runs/{run_id}/rerun", RunsWrite, Developer, Tenant;
}
