use std::sync::Arc;

use axum::extract::FromRef;
use gatehouse_domain::{
    clock::System,
    revocation::FlushStage,
    secret::{ReadSecret, WriteSecret},
    sign::SignToken,
    users::{OneTimeCodes, Passwords},
};
use gatehouse_jwt::{Issuer, SecretKeyPairs, Signer};
use gatehouse_passwords::{Argon2id, Totp};
use gatehouse_store::Table;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    pub(crate) table: Arc<Table>,
    pub(crate) passwords: Arc<dyn Passwords>,
    pub(crate) codes: Arc<dyn OneTimeCodes>,
    pub(crate) sign: Arc<dyn SignToken>,
    pub(crate) flush: Arc<dyn FlushStage>,
    pub(crate) system: Arc<dyn System>,
}

impl AppState {
    /// Sessions are signed for `issuer`, with private keys that are kept in `secrets`; so is what seals the secrets of
    /// second factors.
    pub fn new<S: ReadSecret + WriteSecret + 'static>(
        table: Arc<Table>,
        secrets: Arc<S>,
        issuer: Issuer,
        flush: Arc<dyn FlushStage>,
        system: Arc<dyn System>,
    ) -> Self {
        let pairs = SecretKeyPairs::new(secrets.clone());
        let codes = Arc::new(Totp::new(secrets.clone(), system.clone()));
        let signer = Signer::new(issuer, table.clone(), secrets, pairs, system.clone());
        let passwords = Argon2id::new(system.clone());
        Self { table, passwords: Arc::new(passwords), codes, sign: Arc::new(signer), flush, system }
    }
}

impl FromRef<AppState> for Arc<dyn FlushStage> {
    fn from_ref(state: &AppState) -> Self {
        state.flush.clone()
    }
}
