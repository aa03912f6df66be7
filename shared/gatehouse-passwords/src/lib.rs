//! Passwords: how soon one would be guessed, and hashes, Argon2id with the parameters of OWASP ASVS 5.0 (appendix C): 19 MiB, two passes, one lane.

mod codes;
mod strength;

pub use self::codes::Totp;

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{PasswordHash as Phc, SaltString},
};
use async_trait::async_trait;
use gatehouse_domain::{
    clock::IdSource,
    users::{HashPassword, HashPasswordError, JudgePassword, PasswordHash, Weakness},
};
use secrecy::{ExposeSecret, SecretString};

const MEMORY: u32 = 19 * 1024;

/// Passes over the memory.
const PASSES: u32 = 2;

/// What is compared with when the user does not exist, so that the answer takes as long: a hash of 32 random
/// bytes that nobody knows. It is a constant because hashing one at every cold start would take as long as a login.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$7wm2ZB8VXWoARTyS/nmaSw$\
                      apzydZ3rOr16aaXEd8T3czr9e/VlbrN0Z5pOe9npm/M";

/// Hashes passwords on blocking threads: each takes some 20 ms of CPU time, during which the async thread would
/// serve nothing else.
#[derive(Clone)]
pub struct Argon2id {
    ids: Arc<dyn IdSource>,
}

impl Argon2id {
    /// A hasher that takes salts from `ids`.
    pub fn new(ids: Arc<dyn IdSource>) -> Self {
        Self { ids }
    }
}

fn argon2() -> Result<Argon2<'static>, HashPasswordError> {
    let parameters = Params::new(MEMORY, PASSES, 1, None).map_err(|_| HashPasswordError)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

fn hash(password: &str, salt: &[u8; 16]) -> Result<PasswordHash, HashPasswordError> {
    let salt = SaltString::encode_b64(salt).map_err(|_| HashPasswordError)?;
    let phc = argon2()?.hash_password(password.as_bytes(), &salt).map_err(|_| HashPasswordError)?;
    Ok(PasswordHash::unverified(phc.to_string()))
}

fn compare(password: &str, hash: &PasswordHash) -> Result<bool, HashPasswordError> {
    let phc = Phc::new(hash.expose()).map_err(|_| HashPasswordError)?;
    // The parameters are those of the hash, so that older ones still verify.
    match argon2()?.verify_password(password.as_bytes(), &phc) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(_) => Err(HashPasswordError),
    }
}

#[async_trait]
impl HashPassword for Argon2id {
    async fn hash_password(&self, password: &SecretString) -> Result<PasswordHash, HashPasswordError> {
        let (password, salt) = (password.clone(), self.ids.random());
        let work = move || hash(password.expose_secret(), &salt);
        tokio::task::spawn_blocking(work).await.map_err(|_| HashPasswordError)?
    }

    async fn matches(
        &self,
        password: &SecretString,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, HashPasswordError> {
        let known = hash.is_some();
        let hash = hash.cloned().unwrap_or_else(|| PasswordHash::unverified(NOBODY.to_owned()));
        let password = password.clone();
        let work = move || compare(password.expose_secret(), &hash);
        let same = tokio::task::spawn_blocking(work).await.map_err(|_| HashPasswordError)??;
        Ok(same && known)
    }
}

impl JudgePassword for Argon2id {
    fn weakness(&self, password: &SecretString, about: &[&str]) -> Option<Weakness> {
        strength::weakness(password.expose_secret(), about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl IdSource for Fixed {
        fn random(&self) -> [u8; 16] {
            [9; 16]
        }
    }

    #[tokio::test]
    async fn only_the_password_itself_matches() {
        let hasher = Argon2id::new(Arc::new(Fixed));
        let hash = hasher.hash_password(&"correct horse".into()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(hasher.matches(&"correct horse".into(), Some(&hash)).await.unwrap());
        assert!(!hasher.matches(&"correct horsf".into(), Some(&hash)).await.unwrap());
        assert!(!hasher.matches(&"".into(), Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn without_a_user_the_same_work_is_done_and_nothing_matches() {
        let hasher = Argon2id::new(Arc::new(Fixed));
        let real = hasher.hash_password(&"correct horse".into()).await.unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(parameters(NOBODY), parameters(real.expose()));
        assert_eq!(NOBODY.len(), real.expose().len());
        assert!(!hasher.matches(&"correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_not_a_hash_is_an_error_and_no_match() {
        let hasher = Argon2id::new(Arc::new(Fixed));
        let broken = PasswordHash::unverified("plain".into());
        assert!(hasher.matches(&"plain".into(), Some(&broken)).await.is_err());
    }
}
