//! The audit trail: who did what, from where, and how it came out.
//!
//! An entry is written in the same transaction as the act, or before it where the act is not ours to roll
//! back. So nothing happens that the trail does not have: if the trail cannot be written, neither can the
//! act.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    caller::{Caller, Tenants},
    clock::{IdSource, System, ordered_id},
    name::TenantId,
    paging::{ListError, Page, PageRequest},
    store::StoreError,
};

/// From where a request came, as API Gateway saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// What the caller's program says of itself, cut to [`MAX_USER_AGENT`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The longest user agent that is kept, in bytes.
pub const MAX_USER_AGENT: usize = 256;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `session.login`, `token.mint`, …
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// Somebody logged in, or tried to.
    Login = "session.login",
    Logout = "session.logout",
    /// Sessions of a user were ended.
    EndSessions = "session.end",
    /// Somebody said their password again within a session, or tried to.
    Reauthenticate = "session.reauthenticate",
    /// A user was created.
    CreateUser = "user.create",
    /// A user's roles were changed.
    ChangeRoles = "user.roles",
    /// A user may not log in any more.
    DisableUser = "user.disable",
    /// A user may log in again.
    EnableUser = "user.enable",
    /// A user got another password.
    ResetPassword = "user.password_reset",
    /// A user changed their own password.
    ChangePassword = "user.password_change",
    /// Somebody began to enrol a second factor.
    EnrolSecondFactor = "second_factor.enrol",
    /// A second factor counts from then on.
    ConfirmSecondFactor = "second_factor.confirm",
    /// Somebody got other recovery codes.
    RenewRecoveryCodes = "second_factor.recovery_codes",
    /// Somebody removed their own second factor.
    RemoveSecondFactor = "second_factor.remove",
    /// The second factor of a user was removed for them.
    ResetSecondFactor = "second_factor.reset",
    /// An API key was minted.
    MintApiKey = "api_key.mint",
    /// An API key was revoked.
    RevokeApiKey = "api_key.revoke",
    /// A service token was minted.
    MintToken = "token.mint",
    /// A service token was replaced.
    RotateToken = "token.rotate",
    /// A service token was revoked.
    RevokeToken = "token.revoke",
    /// A new signing key was published.
    RotateSigningKey = "signing_key.rotate",
    /// What a module takes and gives was published.
    PutModule = "module.put",
    /// A module is not published any more.
    DeleteModule = "module.delete",
    /// A tenant was created.
    PutTenant = "tenant.put",
    /// A tenant was deleted.
    DeleteTenant = "tenant.delete",
    /// A project was created or changed.
    PutProject = "project.put",
    /// A project was deleted.
    DeleteProject = "project.delete",
    /// A job was created or changed.
    PutJob = "job.put",
    /// A job was deleted.
    DeleteJob = "job.delete",
    /// A provider was registered or changed.
    PutProvider = "provider.put",
    /// A provider was deleted.
    DeleteProvider = "provider.delete",
    /// A run was triggered, or run again.
    TriggerRun = "run.trigger",
    /// A run was asked to stop.
    CancelRun = "run.cancel",
    /// A service was created.
    CreateService = "service.create",
    /// A service was replaced.
    PutService = "service.put",
    /// A service was deleted.
    DeleteService = "service.delete",
    /// An entity of a catalog file was created or changed.
    PutEntity = "entity.put",
    /// An entity was deleted.
    DeleteEntity = "entity.delete",
    /// An environment is to be provisioned.
    ProvisionService = "service.provision",
    /// An environment is to be deprovisioned.
    DeprovisionService = "service.deprovision",
    /// An environment is to be looked at for drift.
    CheckDrift = "service.drift",
    /// An environment was given a later end.
    ExtendEnvironment = "service.extend",
    /// A version is to be deployed.
    DeployService = "service.deploy",
    /// An operation was approved.
    ApproveOperation = "operation.approve",
    /// An operation was rejected.
    RejectOperation = "operation.reject",
    /// An operation was asked to stop.
    CancelOperation = "operation.cancel",
}

/// How it came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done: the entry was written with it.
    Done,
    Refused,
    /// It was about to be asked of another system, whose own records say how it came out.
    Requested,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Requested];

    /// `done`, `refused` or `requested`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Requested => "requested",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unique; later entries sort behind earlier ones.
    #[serde(rename = "entry_id")]
    pub id: String,
    pub at: Timestamp,
    /// Who: `user:ada`, `api_key:key_1`, …
    pub actor: String,
    /// The [`Caller::hand`] behind the actor, where that is somebody else: of a key, whoever minted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    pub action: Action,
    /// To what: `job:job_hello`, `token:tok_1`, …
    pub target: String,
    /// The tenant that it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// How it came out.
    pub outcome: Outcome,
    /// More, for people; never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often it happened, of what is counted; once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    #[serde(flatten)]
    pub origin: Origin,
}

/// Somebody doing something: what every entry of a request has in common.
#[derive(Debug, Clone)]
pub struct AuditContext<'a> {
    pub caller: &'a Caller,
    pub origin: &'a Origin,
}

/// What an act was done to.
#[derive(Debug, Clone, Default)]
pub struct AuditTarget {
    /// `job:job_hello`, `token:tok_1`, …
    pub target: String,
    /// The tenant that it belongs to, if any.
    pub tenant: Option<TenantId>,
    /// More, for people; never a secret.
    pub detail: Option<String>,
}

impl AuditContext<'_> {
    /// The entry for this act.
    pub fn entry(
        &self,
        system: &dyn System,
        action: Action,
        outcome: Outcome,
        audit_target: AuditTarget,
    ) -> Entry {
        let (actor, hand) = (self.caller.actor(), self.caller.hand());
        let on_behalf_of = (hand != actor).then_some(hand);
        let entry = Entry::new(system, actor, self.origin, action, outcome, audit_target);
        Entry { on_behalf_of, ..entry }
    }
}

impl Entry {
    pub fn new(
        system: &dyn System,
        actor: String,
        origin: &Origin,
        action: Action,
        outcome: Outcome,
        audit_target: AuditTarget,
    ) -> Self {
        let at = system.now();
        Self {
            id: ordered_id(system, at, "aud"),
            at,
            actor,
            on_behalf_of: None,
            action,
            target: audit_target.target,
            tenant: audit_target.tenant,
            outcome,
            detail: audit_target.detail,
            count: None,
            origin: origin.clone(),
        }
    }

    /// The entry as it is counted: one for each window of this length and each `of`, whatever the request. It is of
    /// the beginning of its window.
    #[must_use]
    pub fn counted(self, length: Duration, of: &str) -> Self {
        let second = self.at.as_second();
        let length = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let at = Timestamp::from_second(second - second.rem_euclid(length)).unwrap_or(self.at);
        let what = format!("{}\0{}\0{of}", self.action.as_str(), self.outcome.as_str());
        Self { id: ordered_id(&Same(what), at, "aud"), at, count: Some(1), ..self }
    }
}

/// The same bits for the same text.
struct Same(String);

impl IdSource for Same {
    fn random(&self) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        std::array::from_fn(|place| digest[place])
    }
}

/// Writes entries that no transaction carries. Needs `dynamodb:PutItem`.
#[async_trait]
pub trait AppendAudit: Send + Sync {
    /// Writes the entry; writing it again changes nothing.
    async fn append_audit(&self, entry: &Entry) -> Result<(), StoreError>;
}

/// Counts what happens too often for an entry each. Needs `dynamodb:UpdateItem`.
#[async_trait]
pub trait CountAudit: Send + Sync {
    /// Adds one to the count of this entry, which is written first where there is none yet. An answer that is lost
    /// may let it count twice.
    async fn count_audit(&self, entry: &Entry) -> Result<(), StoreError>;
}

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFilter {
    Everything,
    /// Those of a tenant.
    Tenant(TenantId),
    /// Those of somebody, in these tenants.
    Actor {
        /// Who: `user:ada`.
        actor: String,
        /// The tenants that may be seen. Acts that belong to no tenant are seen by those who see all.
        tenants: Tenants,
    },
}

/// Lists the audit trail. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListAudit: Send + Sync {
    /// A page of entries, the newest first, of `until` and before. A page may be short, or empty, and
    /// still have a next one.
    async fn list_audit(
        &self,
        filter: &AuditFilter,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Entry>, ListError>;
}

/// What a caller asks of the trail.
#[derive(Debug, Clone)]
pub struct AuditQuery {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only of this actor.
    pub actor: Option<String>,
    pub until: Timestamp,
}

/// Why the trail cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The caller sees some tenants only, and did not say which one they want.
    #[error("say with ?tenant= which tenant's trail you want to read")]
    TenantUnclear,
    /// Both filters were given.
    #[error("filter by tenant or by actor, not by both")]
    TwoFilters,
    #[error(transparent)]
    List(#[from] ListError),
}

/// Shows the trail: of everything to those who may read everything, and of their tenants to others.
/// Another tenant's trail is empty.
pub async fn list<S: ListAudit>(
    store: &S,
    caller: &Caller,
    query: AuditQuery,
    page: &PageRequest,
) -> Result<Page<Entry>, AuditError> {
    let tenants = caller.tenants_for(&crate::access::LIST_AUDIT);
    let filter = match (query.tenant, query.actor) {
        (Some(_), Some(_)) => return Err(AuditError::TwoFilters),
        (Some(tenant), None) if !tenants.include(&tenant) => {
            return Ok(Page { items: Vec::new(), next: None });
        }
        (Some(tenant), None) => AuditFilter::Tenant(tenant),
        (None, Some(actor)) => AuditFilter::Actor { actor, tenants },
        (None, None) if tenants == Tenants::All => AuditFilter::Everything,
        (None, None) => AuditFilter::Tenant(tenants.sole().cloned().ok_or(AuditError::TenantUnclear)?),
    };
    Ok(store.list_audit(&filter, query.until, page).await?)
}

/// Who asks for what nobody asked for.
pub(super) const JANITOR: &str = "gatehouse:janitor";
