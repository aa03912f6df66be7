//! Inputs of modules that are secrets: sealed where they are kept, shown to nobody, and opened for the worker alone.
//!
//! The sealed values are parts of the records that have them, and no secrets of their own in the secret store: what was
//! planned, applied and taken away with a value keeps that value, and none is left over or missing (ADR 21).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    id::ServiceId,
    idempotency::Fingerprint,
    json::{Json, Object},
    modules::Interface,
    name::EnvironmentName,
};

/// Secret inputs by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretInputs(BTreeMap<String, SealedInput>);

/// A value that only its environment's worker is given, sealed for that environment and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedInput(String);

impl SealedInput {
    /// Takes what whoever seals has made, in ASCII.
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a sealed input belongs to: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct InputOwner<'a> {
    pub service: &'a ServiceId,
    pub environment: &'a EnvironmentName,
    pub input: &'a str,
}

/// The sealing key is missing or unavailable, or something was not sealed with it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the key of secret inputs cannot be read just now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A defect of the installation, and never of what a caller sent.
    #[error("a secret input cannot be sealed or opened: {0}")]
    Defect(&'static str),
}

/// Seals inputs. Needs `secretsmanager:GetSecretValue` of their key.
#[async_trait]
pub trait SealInputs: Send + Sync {
    async fn seal(&self, owner: InputOwner<'_>, value: &Json) -> Result<SealedInput, SealError>;

    /// The fingerprint of a request with secrets in it, such that nobody without the key can try guesses on it.
    async fn blind(&self, fingerprint: &Fingerprint) -> Result<Fingerprint, SealError>;
}

/// Opens inputs. Needs `secretsmanager:GetSecretValue` of their key.
#[async_trait]
pub trait OpenInputs: Send + Sync {
    async fn open(&self, owner: InputOwner<'_>, sealed: &SealedInput) -> Result<Json, SealError>;
}

impl SecretInputs {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Those of these names.
    pub(super) fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| wanted(name));
        self
    }

    /// How much they measure where they are kept, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|(name, sealed)| name.len() + sealed.0.len() + r#""":"","#.len()).sum()
    }

    /// All of them as they were given.
    ///
    /// # Errors
    ///
    /// When the key is unavailable, or one was sealed for something else.
    pub async fn open(
        &self,
        open: &dyn OpenInputs,
        service: &ServiceId,
        environment: &EnvironmentName,
    ) -> Result<Object, SealError> {
        let mut opened = Object::new();
        for (input, sealed) in &self.0 {
            let value = open.open(InputOwner { service, environment, input }, sealed).await?;
            opened.insert(input.clone(), value);
        }
        Ok(opened)
    }

    /// Takes out of `inputs` what is to be secret, over what is kept here; what is given in clear is not kept here any
    /// more. Returns whether a value was sealed.
    pub(crate) async fn take(
        &mut self,
        seal: &dyn SealInputs,
        (service, environment): (&ServiceId, &EnvironmentName),
        secret: &BTreeSet<String>,
        inputs: &mut Object,
    ) -> Result<bool, SealError> {
        self.0.retain(|name, _| !inputs.contains_key(name));
        // Nothing is no secret.
        let taken = inputs.extract_if(.., |name, value| secret.contains(name) && *value != Json::Null);
        let mut sealed_any = false;
        for (input, value) in taken.collect::<Vec<_>>() {
            let sealed = seal.seal(InputOwner { service, environment, input: &input }, &value).await?;
            self.0.insert(input, sealed);
            sealed_any = true;
        }
        Ok(sealed_any)
    }
}

/// Which of the inputs are secrets: those that the module calls sensitive, and where it is not published, those that were
/// secrets before.
pub(crate) fn secret_names(interface: Option<&Interface>, before: &SecretInputs) -> BTreeSet<String> {
    match interface {
        Some(interface) => {
            let sensitive = interface.inputs.iter().filter(|(_, input)| input.sensitive);
            sensitive.map(|(name, _)| name.clone()).collect()
        }
        None => before.0.keys().cloned().collect(),
    }
}
