//! The endpoints of the API and who may use them: one reviewed table.
//!
//! The authorizer writes its policies from it, the routers mount from it, and the coverage test compares
//! it with the template, the API description and the sample events.

use std::{fmt, str::FromStr};

/// What a person may do in a tenant; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Viewer,
    /// Also triggers, provisions and deploys.
    Developer,
    /// Also edits and mints.
    Admin,
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What an API key may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[$doc])* $name,)*
        }

        impl Scope {
            /// Every scope, `*` first.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `*`, `jobs:read`, …
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

scopes! {
    /// Everything.
    All = "*",
    /// See jobs.
    JobsRead = "jobs:read",
    /// Change, import and discover jobs.
    JobsWrite = "jobs:write",
    /// See runs, their events and logs.
    RunsRead = "runs:read",
    /// Trigger, cancel and rerun.
    RunsWrite = "runs:write",
    /// See providers.
    ProvidersRead = "providers:read",
    /// Change and check providers.
    ProvidersWrite = "providers:write",
    /// See tenants and projects.
    ProjectsRead = "projects:read",
    /// Change tenants and projects.
    ProjectsWrite = "projects:write",
    /// See service tokens.
    TokensRead = "tokens:read",
    /// Mint, rotate and revoke service tokens.
    TokensWrite = "tokens:write",
    /// See users.
    UsersRead = "users:read",
    /// Create and change users.
    UsersWrite = "users:write",
    /// See API keys and signing keys.
    KeysRead = "keys:read",
    /// Mint and revoke API keys, rotate signing keys.
    KeysWrite = "keys:write",
    /// Read the audit trail.
    AuditRead = "audit:read",
    /// See services, their endpoints, the entities of catalog files, and modules.
    CatalogRead = "catalog:read",
    /// Create, replace and delete services, import and delete entities.
    CatalogWrite = "catalog:write",
    /// What is left to admins in the catalog: take away what protects an environment, delete by force, say who is in a
    /// group, and for those of all tenants, publish modules.
    CatalogAdmin = "catalog:admin",
    /// Provision, deprovision, deploy, look for drift and cancel.
    OperationsWrite = "operations:write",
    /// Approve and reject what others asked for.
    OperationsApprove = "operations:approve",
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
        let known = Self::ALL.iter().find(|scope| scope.as_str() == raw);
        known.copied().ok_or_else(|| UnknownScope(raw.to_owned()))
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

/// A role that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: there are viewer, developer and admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(raw: &str) -> Result<Self, UnknownRole> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == raw);
        known.ok_or_else(|| UnknownRole(raw.to_owned()))
    }
}

/// Whose things an endpoint touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the caller's tenants.
    Tenant,
    /// Those of the whole installation: only callers for all tenants are admitted.
    Platform,
}

/// Who is admitted to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everybody who is known: people, API keys and services.
    Known,
    /// People, whatever their role: it is about themselves.
    Person,
    /// Who was given the right.
    Granted {
        /// What an API key needs.
        scope: Scope,
        /// What a person needs.
        role: Role,
        /// Whose things are touched.
        reach: Reach,
    },
}

/// One endpoint of the API: methods on a path, and who is admitted.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The same word in Rust, the API description, logs and docs.
    pub id: &'static str,
    /// The function that serves it: the folder below `functions/`.
    pub function: &'static str,
    /// Upper case, each by its name: a route that takes any method lists those that it means, since the literal
    /// `ANY` would admit to methods that nobody reviewed.
    pub methods: &'static [&'static str],
    /// With `{parameters}`, as in the template; a greedy one, `{proxy+}`, comes last.
    pub path: &'static str,
    /// Who may use it.
    pub admission: Admission,
}

impl Endpoint {
    /// Each of its methods with its path.
    pub fn routes(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let path = self.path;
        self.methods.iter().map(move |method| (*method, path))
    }

    /// The role that it asks people for, where it asks keys for `scope`.
    pub fn role_for(&self, scope: Scope) -> Option<Role> {
        match self.admission {
            Admission::Granted { scope: asked, role, .. } if asked == scope => Some(role),
            Admission::Granted { .. } | Admission::Known | Admission::Person => None,
        }
    }
}

macro_rules! admission {
    (Known) => {
        Admission::Known
    };
    (Person) => {
        Admission::Person
    };
    ($scope:ident, $role:ident, $reach:ident) => {
        Admission::Granted { scope: Scope::$scope, role: Role::$role, reach: Reach::$reach }
    };
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $function:literal, $($method:literal)|+ $path:literal,
       $($admission:ident),+;)*) => {
        $($(#[$doc])* pub const $name: Endpoint = Endpoint {
            id: $id,
            function: $function,
            methods: &[$($method),+],
            path: $path,
            admission: admission!($($admission),+),
        };)*

        /// Every endpoint that needs a caller.
        pub const ENDPOINTS: &[&Endpoint] = &[$(&$name),*];
    };
}

endpoints! {
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
    STREAM_RUN_EVENTS = "stream_run_events", "streams", "GET" "/v1/runs/{run_id}/events", RunsRead, Viewer, Tenant;
    /// Shows the log of a run as plain text.
    SHOW_RUN_LOG = "show_run_log", "streams", "GET" "/v1/runs/{run_id}/log", RunsRead, Viewer, Tenant;
    /// Cancels a run.
    CANCEL_RUN = "cancel_run", "runs", "POST" "/v1/runs/{run_id}/cancel", RunsWrite, Developer, Tenant;
    /// Runs a finished run again.
    RERUN_RUN = "rerun_run", "runs", "POST" "/v1/runs/{run_id}/rerun", RunsWrite, Developer, Tenant;
    /// Says who is calling.
    SHOW_CALLER = "show_caller", "identity", "GET" "/auth/me", Known;
    /// Ends the caller's session.
    LOG_OUT = "log_out", "identity", "POST" "/auth/logout", Person;
    /// Proves again, within the session, who the caller is.
    REAUTHENTICATE = "reauthenticate", "identity", "POST" "/auth/reauthenticate", Person;
    /// Lists the caller's sessions.
    LIST_SESSIONS = "list_sessions", "identity", "GET" "/auth/sessions", Person;
    /// Ends the caller's sessions but the one that they are in.
    END_OTHER_SESSIONS = "end_other_sessions", "identity", "DELETE" "/auth/sessions", Person;
    /// Ends one of the caller's sessions.
    END_SESSION = "end_session", "identity", "DELETE" "/auth/sessions/{session_id}", Person;
    /// Makes a secret for the caller's device, as their second factor.
    ENROL_SECOND_FACTOR = "enrol_second_factor", "identity", "POST" "/auth/second-factor", Person;
    /// Confirms that the caller's device makes the right codes.
    CONFIRM_SECOND_FACTOR = "confirm_second_factor", "identity", "POST" "/auth/second-factor/confirm", Person;
    /// Makes new recovery codes in the place of the caller's.
    RENEW_RECOVERY_CODES = "renew_recovery_codes", "identity", "POST" "/auth/second-factor/recovery-codes", Person;
    /// Removes the caller's second factor.
    REMOVE_SECOND_FACTOR = "remove_second_factor", "identity", "DELETE" "/auth/second-factor", Person;
    /// Changes the caller's own password.
    CHANGE_PASSWORD = "change_password", "identity", "POST" "/auth/password", Person;
    /// Lists users.
    LIST_USERS = "list_users", "identity", "GET" "/v1/users", UsersRead, Admin, Platform;
    /// Creates a user.
    CREATE_USER = "create_user", "identity", "POST" "/v1/users", UsersWrite, Admin, Platform;
    /// Shows one user.
    SHOW_USER = "show_user", "identity", "GET" "/v1/users/{user_name}", UsersRead, Admin, Platform;
    /// Changes a user's roles, or disables or enables them.
    EDIT_USER = "edit_user", "identity", "PATCH" "/v1/users/{user_name}", UsersWrite, Admin, Platform;
    /// Gives a user another password and ends their sessions.
    RESET_PASSWORD = "reset_password", "identity", "POST" "/v1/users/{user_name}/password", UsersWrite, Admin, Platform;
    /// Ends all sessions of a user.
    END_USER_SESSIONS = "end_user_sessions", "identity", "DELETE" "/v1/users/{user_name}/sessions", UsersWrite, Admin, Platform;
    /// Removes the second factor of a user who has lost it.
    RESET_SECOND_FACTOR = "reset_second_factor", "identity", "DELETE" "/v1/users/{user_name}/second-factor", UsersWrite, Admin, Platform;
    /// Lists API keys.
    LIST_API_KEYS = "list_api_keys", "identity", "GET" "/v1/api-keys", KeysRead, Admin, Platform;
    /// Mints an API key.
    MINT_API_KEY = "mint_api_key", "identity", "POST" "/v1/api-keys", KeysWrite, Admin, Platform;
    /// Shows one API key.
    SHOW_API_KEY = "show_api_key", "identity", "GET" "/v1/api-keys/{key_id}", KeysRead, Admin, Platform;
    /// Revokes an API key.
    REVOKE_API_KEY = "revoke_api_key", "identity", "POST" "/v1/api-keys/{key_id}/revoke", KeysWrite, Admin, Platform;
    /// Lists service tokens.
    LIST_TOKENS = "list_tokens", "tokens", "GET" "/v1/tokens", TokensRead, Admin, Tenant;
    /// Mints a service token.
    MINT_TOKEN = "mint_token", "tokens", "POST" "/v1/tokens", TokensWrite, Admin, Tenant;
    /// Shows one service token.
    SHOW_TOKEN = "show_token", "tokens", "GET" "/v1/tokens/{jti}", TokensRead, Admin, Tenant;
    /// Revokes a service token.
    REVOKE_TOKEN = "revoke_token", "tokens", "POST" "/v1/tokens/{jti}/revoke", TokensWrite, Admin, Tenant;
    /// Replaces a service token by a new one.
    ROTATE_TOKEN = "rotate_token", "tokens", "POST" "/v1/tokens/{jti}/rotate", TokensWrite, Admin, Tenant;
    /// Lists signing keys.
    LIST_SIGNING_KEYS = "list_signing_keys", "tokens", "GET" "/v1/signing-keys", KeysRead, Admin, Platform;
    /// Publishes a new signing key, which soon signs.
    ROTATE_SIGNING_KEY = "rotate_signing_key", "tokens", "POST" "/v1/signing-keys/rotate", KeysWrite, Admin, Platform;
    /// Reads the audit trail.
    LIST_AUDIT = "list_audit", "identity", "GET" "/v1/audit", AuditRead, Admin, Tenant;
    /// Lists tenants.
    LIST_TENANTS = "list_tenants", "identity", "GET" "/v1/tenants", ProjectsRead, Viewer, Tenant;
    /// Creates a tenant.
    PUT_TENANT = "put_tenant", "identity", "PUT" "/v1/tenants/{tenant}", ProjectsWrite, Admin, Platform;
    /// Deletes a tenant that has no projects.
    DELETE_TENANT = "delete_tenant", "identity", "DELETE" "/v1/tenants/{tenant}", ProjectsWrite, Admin, Platform;
    /// Lists projects.
    LIST_PROJECTS = "list_projects", "identity", "GET" "/v1/projects", ProjectsRead, Viewer, Tenant;
    /// Shows one project.
    SHOW_PROJECT = "show_project", "identity", "GET" "/v1/projects/{project}", ProjectsRead, Viewer, Tenant;
    /// Creates or replaces a project.
    PUT_PROJECT = "put_project", "identity", "PUT" "/v1/projects/{project}", ProjectsWrite, Admin, Tenant;
    /// Deletes a project that nothing belongs to.
    DELETE_PROJECT = "delete_project", "identity", "DELETE" "/v1/projects/{project}", ProjectsWrite, Admin, Tenant;
    /// Lists services.
    LIST_SERVICES = "list_services", "catalog", "GET" "/services", CatalogRead, Viewer, Tenant;
    /// Creates a service.
    CREATE_SERVICE = "create_service", "catalog", "POST" "/services", CatalogWrite, Developer, Tenant;
    /// Shows one service.
    SHOW_SERVICE = "show_service", "catalog", "GET" "/services/{service_id}", CatalogRead, Viewer, Tenant;
    /// Replaces a service.
    PUT_SERVICE = "put_service", "catalog", "PUT" "/services/{service_id}", CatalogWrite, Developer, Tenant;
    /// Deletes a service; by force only as an admin.
    DELETE_SERVICE = "delete_service", "catalog", "DELETE" "/services/{service_id}", CatalogWrite, Developer, Tenant;
    /// Imports a catalog file.
    IMPORT_ENTITIES = "import_entities", "catalog", "POST" "/v1/catalog/import", CatalogWrite, Developer, Tenant;
    /// Lists modules.
    LIST_MODULES = "list_modules", "catalog", "GET" "/v1/modules", CatalogRead, Viewer, Tenant;
    /// Shows one module.
    SHOW_MODULE = "show_module", "catalog", "GET" "/v1/modules/{module}", CatalogRead, Viewer, Tenant;
    /// Publishes what a module takes and gives.
    PUT_MODULE = "put_module", "catalog", "PUT" "/v1/modules/{module}", CatalogAdmin, Admin, Platform;
    /// Withdraws a module.
    DELETE_MODULE = "delete_module", "catalog", "DELETE" "/v1/modules/{module}", CatalogAdmin, Admin, Platform;
    /// Lists the entities of catalog files.
    LIST_ENTITIES = "list_entities", "catalog", "GET" "/v1/catalog/entities", CatalogRead, Viewer, Tenant;
    /// Shows one entity, with its relations.
    SHOW_ENTITY = "show_entity", "catalog", "GET" "/v1/catalog/entities/{kind}/{namespace}/{name}", CatalogRead, Viewer, Tenant;
    /// Deletes an entity; a group with members only as an admin.
    DELETE_ENTITY = "delete_entity", "catalog", "DELETE" "/v1/catalog/entities/{kind}/{namespace}/{name}", CatalogWrite, Developer, Tenant;
    /// Provisions an environment.
    PROVISION_SERVICE = "provision_service", "catalog", "POST" "/services/{service_id}/actions/provision", OperationsWrite, Developer, Tenant;
    /// Deprovisions an environment.
    DEPROVISION_SERVICE = "deprovision_service", "catalog", "POST" "/services/{service_id}/actions/deprovision", OperationsWrite, Developer, Tenant;
    /// Looks whether what exists is what was provisioned.
    CHECK_DRIFT = "check_drift", "catalog", "POST" "/services/{service_id}/actions/drift", OperationsWrite, Developer, Tenant;
    /// Lets an environment live longer.
    EXTEND_ENVIRONMENT = "extend_environment", "catalog", "POST" "/services/{service_id}/actions/extend", OperationsWrite, Developer, Tenant;
    /// Deploys a version to an environment.
    DEPLOY_SERVICE = "deploy_service", "catalog", "POST" "/services/{service_id}/actions/deploy", OperationsWrite, Developer, Tenant;
    /// Shows, or streams, how a service's environments stand.
    SHOW_STATUS = "show_status", "streams", "GET" "/services/{service_id}/actions/status", CatalogRead, Viewer, Tenant;
    /// Shows, or streams, how a service's deploys stand.
    SHOW_DEPLOY_STATUS = "show_deploy_status", "streams", "GET" "/services/{service_id}/actions/deploy/status", CatalogRead, Viewer, Tenant;
    /// Lists the operations of all services.
    LIST_ALL_OPERATIONS = "list_all_operations", "catalog", "GET" "/v1/operations", CatalogRead, Viewer, Tenant;
    /// Finds an operation by its id alone.
    FIND_OPERATION = "find_operation", "catalog", "GET" "/v1/operations/{operation_id}", CatalogRead, Viewer, Tenant;
    /// Lists the endpoints of a service.
    LIST_OPERATIONS = "list_operations", "catalog", "GET" "/services/{service_id}/operations", CatalogRead, Viewer, Tenant;
    /// Shows one endpoint.
    SHOW_OPERATION = "show_operation", "catalog", "GET" "/services/{service_id}/operations/{operation_id}", CatalogRead, Viewer, Tenant;
    /// Approves an endpoint that somebody else asked for.
    APPROVE_OPERATION = "approve_operation", "catalog", "POST" "/services/{service_id}/operations/{operation_id}/approve", OperationsApprove, Developer, Tenant;
    /// Rejects an endpoint that somebody else asked for.
    REJECT_OPERATION = "reject_operation", "catalog", "POST" "/services/{service_id}/operations/{operation_id}/reject", OperationsApprove, Developer, Tenant;
    /// Cancels an endpoint.
    CANCEL_OPERATION = "cancel_operation", "catalog", "POST" "/services/{service_id}/operations/{operation_id}/cancel", OperationsWrite, Developer, Tenant;
}
