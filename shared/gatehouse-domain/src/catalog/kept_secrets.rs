//! What an edit of a service does to the secret inputs of its environments: it keeps, replaces or forgets them.

use std::collections::{BTreeMap, BTreeSet};

use super::{EnvironmentSpec, SealError, SealInputs, SecretInputs, ServiceSpec, secret_inputs::secret_names};
use crate::{
    id::ServiceId,
    modules::KnownModules,
    name::EnvironmentName,
    text::quoted,
    validation::{FieldError, pointer_token},
};

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
        let mut secrets = before.only(is_kept);
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

/// The secret inputs that were kept `before` and are not any more: an edit that was made from a file without them may not
/// mean it.
pub(super) fn forgotten(spec: &ServiceSpec, before: &ServiceSpec) -> Vec<FieldError> {
    let environments = spec.environments.iter().enumerate();
    let warnings = environments.filter_map(|(place, environment)| {
        let before = secrets_before(Some(before), &environment.name);
        let still =
            |name: &&str| environment.secret_inputs.contains(name) || environment.inputs.contains_key(*name);
        let gone: Vec<_> = before.names().filter(|name| !still(name)).map(str::to_owned).collect();
        let detail = format!("{} is forgotten; name what is to stay in `secret_inputs`", quoted(&gone));
        (!gone.is_empty()).then(|| FieldError::new(format!("/environments/{place}/secret_inputs"), detail))
    });
    warnings.collect()
}

fn secrets_before(before: Option<&ServiceSpec>, name: &EnvironmentName) -> SecretInputs {
    let mut environments = before.into_iter().flat_map(|spec| &spec.environments);
    let found = environments.find(|environment| environment.name == *name);
    found.map(|EnvironmentSpec { secret_inputs, .. }| secret_inputs.clone()).unwrap_or_default()
}
