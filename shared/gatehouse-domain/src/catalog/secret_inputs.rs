//! Inputs of modules that are secrets: sealed where they are kept, shown to nobody, and opened for the worker alone.
//!
//! The sealed values are parts of the records that have them, and no secrets of their own in the secret store: what was
//! planned, applied and taken away with a value keeps that value, and none is left over or missing (ADR 21).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{EnvironmentSpec, ServiceSpec};
use crate::{
    id::ServiceId,
    idempotency::Fingerprint,
    json::{Json, Object},
    modules::{Interface, KnownModules},
    name::EnvironmentName,
    validation::{FieldError, pointer_token},
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

/// Which secret inputs of its environments an edit keeps as they are.
pub type KeptSecrets = BTreeMap<EnvironmentName, BTreeSet<String>>;

/// Seals the secrets among the inputs of a service, and adds those that are kept from `before`. Returns whether a value
/// was sealed.
pub(super) async fn seal_inputs(
    seal: &dyn SealInputs,
    modules: &KnownModules,
    service: &ServiceId,
    spec: &mut ServiceSpec,
    kept: &KeptSecrets,
    before: Option<&ServiceSpec>,
) -> Result<bool, SealError> {
    let mut sealed_any = false;
    for environment in &mut spec.environments {
        let before = secrets_before(before, &environment.name);
        let interface = environment.module.as_ref().and_then(|module| modules.interface(module));
        let secret = secret_names(interface, &before);
        let is_kept = |name: &str| kept.get(&environment.name).is_some_and(|kept| kept.contains(name));
        let mut secrets = before;
        secrets.0.retain(|name, _| is_kept(name));
        let owner = (service, &environment.name);
        sealed_any |= secrets.take(seal, owner, &secret, &mut environment.inputs).await?;
        environment.secret_inputs = secrets;
    }
    Ok(sealed_any)
}

/// Refuses to keep what there is not.
pub(super) fn check_kept(
    spec: &ServiceSpec,
    kept: &KeptSecrets,
    before: Option<&ServiceSpec>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (place, environment) in spec.environments.iter().enumerate() {
        let before = secrets_before(before, &environment.name);
        let kept = kept.get(&environment.name).into_iter().flatten();
        if environment.module.is_none() && kept.clone().next().is_some() {
            let at = format!("/environments/{place}/secret_inputs");
            errors.push(FieldError::new(at, "only an environment with a module has inputs"));
            continue;
        }
        for name in kept.filter(|name| !before.contains(name) && !environment.inputs.contains_key(*name)) {
            let at = format!("/environments/{place}/secret_inputs/{}", pointer_token(name));
            errors.push(FieldError::new(at, "no value is kept for it; give one in `inputs`"));
        }
    }
    errors
}

fn secrets_before(before: Option<&ServiceSpec>, name: &EnvironmentName) -> SecretInputs {
    let mut environments = before.into_iter().flat_map(|spec| &spec.environments);
    let found = environments.find(|environment| environment.name == *name);
    found.map(|EnvironmentSpec { secret_inputs, .. }| secret_inputs.clone()).unwrap_or_default()
}
