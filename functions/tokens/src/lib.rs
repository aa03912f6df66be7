//! Who is calling: sessions, users, API keys, service tokens and the keys that sign them; and whose things
//! there are: tenants and projects; and what everybody did: the audit trail.

mod api_keys;
mod audit;
pub mod password;
mod projects;
mod revocation;
mod sessions;
mod signer;
mod signing_keys;
mod tenants;
mod tokens;
mod users;

use std::sync::Arc;

use axum::{Router, extract::FromRequestParts, http::request::Parts};
use gatehouse_domain::{
    access::{
        CHANGE_PASSWORD, CREATE_USER, DELETE_PROJECT, DELETE_TENANT, EDIT_USER, LIST_API_KEYS, LIST_AUDIT,
        LIST_PROJECTS, LIST_SIGNING_KEYS, LIST_TENANTS, LIST_TOKENS, LIST_USERS, LOG_OUT, MINT_API_KEY,
        MINT_TOKEN, PUT_PROJECT, PUT_TENANT, RESET_PASSWORD, REVOKE_API_KEY, REVOKE_TOKEN,
        ROTATE_SIGNING_KEY, ROTATE_TOKEN, SHOW_API_KEY, SHOW_CALLER, SHOW_PROJECT, SHOW_TOKEN, SHOW_USER,
    },
    api_key::{FindApiKey, ListApiKeys, SaveApiKey},
    audit::{AppendAudit, ListAudit},
    clock::{Clock, IdSource},
    project::{FindProject, ListProjects, SaveProject},
    revocation::{FlushAuthorizer, FlushStage, PendingFlush},
    secret::{ReadSecret, WriteSecret},
    sign::SignToken,
    signing::{FindKeyRing, MakeKeyPair, RotatePorts, SaveKeyRing},
    tenant::{ListTenants, SaveTenant},
    tokens::{FindToken, ListTokens, SaveToken},
    users::{FindUser, HashPassword, SaveSession, SaveUser, Throttle},
};
use gatehouse_http::{Problem, Routes, extract::CalledStage};
use gatehouse_jwt::Issuer;
use utoipa::OpenApi;

use self::{
    password::Argon2id,
    signer::{Memory, SecretKeyPairs, Signer},
};

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// Reads users.
    pub find_user: Arc<dyn FindUser>,
    /// Writes users.
    pub save_user: Arc<dyn SaveUser>,
    /// Writes sessions.
    pub save_session: Arc<dyn SaveSession>,
    /// Counts attempts to log in.
    pub throttle: Arc<dyn Throttle>,
    /// Hashes passwords.
    pub passwords: Arc<dyn HashPassword>,
    /// Reads API keys.
    pub find_api_key: Arc<dyn FindApiKey>,
    /// Lists API keys.
    pub list_api_keys: Arc<dyn ListApiKeys>,
    /// Writes API keys.
    pub save_api_key: Arc<dyn SaveApiKey>,
    /// Reads service tokens.
    pub find_token: Arc<dyn FindToken>,
    /// Lists service tokens.
    pub list_tokens: Arc<dyn ListTokens>,
    /// Writes service tokens.
    pub save_token: Arc<dyn SaveToken>,
    /// Signs.
    pub sign: Arc<dyn SignToken>,
    /// Reads the ring of signing keys.
    pub find_key_ring: Arc<dyn FindKeyRing>,
    /// Writes the ring of signing keys.
    pub save_key_ring: Arc<dyn SaveKeyRing>,
    /// Makes signing keys.
    pub make_key_pair: Arc<dyn MakeKeyPair>,
    /// Makes API Gateway forget.
    pub flush: Arc<dyn FlushStage>,
    /// Keeps that it has to.
    pub pending_flush: Arc<dyn PendingFlush>,
    /// Reads projects.
    pub find_project: Arc<dyn FindProject>,
    /// Lists projects.
    pub list_projects: Arc<dyn ListProjects>,
    /// Writes projects.
    pub save_project: Arc<dyn SaveProject>,
    /// Lists tenants.
    pub list_tenants: Arc<dyn ListTenants>,
    /// Writes tenants.
    pub save_tenant: Arc<dyn SaveTenant>,
    /// Writes the audit trail.
    pub append_audit: Arc<dyn AppendAudit>,
    /// Reads the audit trail.
    pub list_audit: Arc<dyn ListAudit>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

/// What the handlers are given besides the store.
pub struct Dependencies {
    /// Who signs: the claim `iss`.
    pub issuer: Issuer,
    /// Reads private keys.
    pub read_secret: Arc<dyn ReadSecret>,
    /// Keeps private keys.
    pub write_secret: Arc<dyn WriteSecret>,
    /// Makes API Gateway forget.
    pub flush: Arc<dyn FlushStage>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl AppState {
    /// Everything that is kept in one store.
    pub fn of<S>(store: &Arc<S>, dependencies: Dependencies) -> Self
    where
        S: FindUser + SaveUser + SaveSession + Throttle,
        S: FindApiKey + ListApiKeys + SaveApiKey,
        S: FindToken + ListTokens + SaveToken,
        S: FindKeyRing + SaveKeyRing + PendingFlush,
        S: FindProject + ListProjects + SaveProject + ListTenants + SaveTenant,
        S: AppendAudit + ListAudit + 'static,
    {
        let Dependencies { issuer, read_secret, write_secret, flush, clock, ids } = dependencies;
        let pairs = Arc::new(SecretKeyPairs { write: write_secret });
        let signer = Signer {
            issuer,
            secrets: read_secret,
            find: store.clone(),
            save: store.clone(),
            pairs: pairs.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            memory: Memory::default(),
        };
        Self {
            find_user: store.clone(),
            save_user: store.clone(),
            save_session: store.clone(),
            throttle: store.clone(),
            passwords: Arc::new(Argon2id::new(ids.clone())),
            find_api_key: store.clone(),
            list_api_keys: store.clone(),
            save_api_key: store.clone(),
            find_token: store.clone(),
            list_tokens: store.clone(),
            save_token: store.clone(),
            sign: Arc::new(signer),
            find_key_ring: store.clone(),
            save_key_ring: store.clone(),
            make_key_pair: pairs,
            flush,
            pending_flush: store.clone(),
            find_project: store.clone(),
            list_projects: store.clone(),
            save_project: store.clone(),
            list_tenants: store.clone(),
            save_tenant: store.clone(),
            append_audit: store.clone(),
            list_audit: store.clone(),
            clock,
            ids,
        }
    }

    fn rotate_ports(&self) -> RotatePorts<'_> {
        RotatePorts {
            find: &*self.find_key_ring,
            save: &*self.save_key_ring,
            pairs: &*self.make_key_pair,
            clock: &*self.clock,
            ids: &*self.ids,
        }
    }
}

/// API Gateway's memory of the stage through which the request came, to be flushed.
pub(crate) struct Flush(Arc<dyn FlushAuthorizer>);

impl FromRequestParts<AppState> for Flush {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let called = CalledStage::from_request_parts(parts, state).await?;
        Ok(Self(state.flush.of(called.0)))
    }
}

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
pub fn routes() -> Routes<AppState> {
    Routes::new()
        .open("POST", "/auth/login", sessions::log_in)
        .open("GET", "/.well-known/jwks.json", signing_keys::jwks)
        .on(&SHOW_CALLER, sessions::show_caller)
        .on(&LOG_OUT, sessions::log_out)
        .on(&CHANGE_PASSWORD, sessions::change_password)
        .on(&LIST_USERS, users::list)
        .on(&CREATE_USER, users::create)
        .on(&SHOW_USER, users::show)
        .on(&EDIT_USER, users::edit)
        .on(&RESET_PASSWORD, users::reset_password)
        .on(&LIST_API_KEYS, api_keys::list)
        .on(&MINT_API_KEY, api_keys::mint)
        .on(&SHOW_API_KEY, api_keys::show)
        .on(&REVOKE_API_KEY, api_keys::revoke)
        .on(&LIST_TOKENS, tokens::list)
        .on(&MINT_TOKEN, tokens::mint)
        .on(&SHOW_TOKEN, tokens::show)
        .on(&REVOKE_TOKEN, tokens::revoke)
        .on(&ROTATE_TOKEN, tokens::rotate)
        .on(&LIST_SIGNING_KEYS, signing_keys::list)
        .on(&ROTATE_SIGNING_KEY, signing_keys::rotate)
        .on(&LIST_AUDIT, audit::list)
        .on(&LIST_TENANTS, tenants::list)
        .on(&PUT_TENANT, tenants::put)
        .on(&DELETE_TENANT, tenants::delete)
        .on(&LIST_PROJECTS, projects::list)
        .on(&SHOW_PROJECT, projects::show)
        .on(&PUT_PROJECT, projects::put)
        .on(&DELETE_PROJECT, projects::delete)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    sessions::log_in,
    sessions::show_caller,
    sessions::log_out,
    sessions::change_password,
    users::list,
    users::create,
    users::show,
    users::edit,
    users::reset_password,
    api_keys::list,
    api_keys::mint,
    api_keys::show,
    api_keys::revoke,
    tokens::list,
    tokens::mint,
    tokens::show,
    tokens::revoke,
    tokens::rotate,
    signing_keys::jwks,
    signing_keys::list,
    signing_keys::rotate,
    audit::list,
    tenants::list,
    tenants::put,
    tenants::delete,
    projects::list,
    projects::show,
    projects::put,
    projects::delete
))]
pub struct Description;
