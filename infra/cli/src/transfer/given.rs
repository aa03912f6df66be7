//! Secrets that whoever imports gives by hand.

use std::path::Path;

use gatehouse_domain::json::{Json, Object};

use super::kind::members;
use crate::{failure::Failure, yaml};

/// Secrets by what they open. Nothing of them is printed.
#[derive(Default)]
pub(super) struct Given {
    /// The secret half of each provider's account.
    providers: Object,
    /// By `<tenant>/<service>`, environment and input.
    secret_inputs: Object,
}

impl Given {
    /// Reads a file, YAML or JSON.
    ///
    /// # Errors
    ///
    /// When it is something else. Nothing of its text is said.
    pub(super) fn parse(file: &[u8], path: &Path) -> Result<Self, Failure> {
        let said = |why: &str| Failure::Usage(format!("{} has no secrets to take: {why}", path.display()));
        let text = std::str::from_utf8(file).map_err(|_| said("it is no text"))?;
        let Ok(Json::Object(mut file)) = yaml::parse(text) else {
            return Err(said("it is no object, in YAML or JSON"));
        };
        let mut take = |member: &str| match file.remove(member) {
            None => Ok(Object::new()),
            Some(Json::Object(secrets)) => Ok(secrets),
            Some(_) => Err(said(&format!("`{member}` is no object"))),
        };
        let given = Self { providers: take("providers")?, secret_inputs: take("secret_inputs")? };
        if given.providers.values().any(|secret| secret.as_str().is_none()) {
            return Err(said("each of `providers` is to be a text"));
        }
        let is_deep = |service: &Json| {
            service
                .as_object()
                .is_some_and(|environments| environments.values().all(|inputs| inputs.as_object().is_some()))
        };
        if !given.secret_inputs.values().all(is_deep) {
            return Err(said("`secret_inputs` are to be `<tenant>/<service>`, environment and input"));
        }
        if file.is_empty() {
            Ok(given)
        } else {
            Err(said("it has more than `providers` and `secret_inputs`"))
        }
    }

    /// The providers of which something was given.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The secret inputs that were given: service, environment and name.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.secret_inputs.iter().flat_map(move |(service, environments)| {
            let environments = environments.as_object().into_iter().flatten();
            environments.flat_map(move |(environment, inputs)| {
                let inputs = inputs.as_object().into_iter().flatten();
                inputs.map(move |(input, _)| (service.as_str(), environment.as_str(), input.as_str()))
            })
        })
    }

    /// The secret of a provider.
    pub(super) fn of_provider(&self, name: &str) -> Option<&Json> {
        self.providers.get(name)
    }

    /// The secret inputs of an environment.
    pub(super) fn of_environment(&self, tenant: &str, service: &str, environment: &str) -> Object {
        self.secret_inputs
            .get(&format!("{tenant}/{service}"))
            .map(|service| members(&service[environment]))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_what_they_open_and_never_said() {
        let file = b"providers: { ci: canary-1 }\nsecret_inputs: { acme/shop: { dev: { token: canary-2 } } }";
        let given = Given::parse(file, Path::new("s.yaml")).unwrap();
        assert_eq!(given.of_provider("ci").and_then(Json::as_str), Some("canary-1"));
        assert_eq!(given.of_environment("acme", "shop", "dev")["token"].as_str(), Some("canary-2"));
        assert!(given.of_environment("beta", "shop", "dev").is_empty());
        for bad in ["canary", "providers: canary", "providers: { ci: [canary] }", "canary-: x", "a: [canary"]
        {
            let refused = Given::parse(bad.as_bytes(), Path::new("s.yaml")).err().unwrap().to_string();
            assert!(!refused.contains("canary"), "{refused}");
        }
    }
}
