//! Entries as the API takes them, with the secrets that were given.

use std::collections::BTreeSet;

use gatehouse_domain::json::{Json, Object};

use super::{
    document::Document,
    given::Given,
    kind::{Kind, members},
};
use crate::output::text_at;

impl Given {
    /// Whether what is shown is what an entry wants.
    pub(super) fn is_same(&self, kind: Kind, entry: &Json, shown: &Json) -> bool {
        let (wanted, present) = (kind.kept(entry), kind.kept(shown));
        if kind == Kind::Services {
            // Of secrets only the names are known.
            without_secrets(&wanted) == without_secrets(&present) && !self.gives_a_new_secret(entry, shown)
        } else {
            wanted == present
        }
    }

    /// Whether a secret was given for an entry: nobody can see whether it is the one that is there.
    pub(super) fn has_secrets_of(&self, kind: Kind, entry: &Json) -> bool {
        match kind {
            Kind::Providers => self.of_provider(text_at(entry, "/name")).is_some(),
            Kind::Services => {
                environments(entry).iter().any(|environment| !self.inputs_of(entry, environment).is_empty())
            }
            _ => false,
        }
    }

    /// Whether everything that was given is a secret of the file.
    ///
    /// # Errors
    ///
    /// What is none, by its name: it was misspelt, or would stand among the inputs that everybody sees.
    pub(super) fn check(&self, document: &Document) -> Result<(), String> {
        let providers = document.entries(Kind::Providers);
        for name in self.providers() {
            let has = |provider: &Json| text_at(provider, "/name") == name && !provider["auth"].is_null();
            if !providers.iter().any(has) {
                return Err(format!("`providers` `{name}`"));
            }
        }
        for (service, environment, input) in self.inputs() {
            let has = |entry: &Json| {
                format!("{}/{}", text_at(entry, "/tenant"), text_at(entry, "/name")) == service
                    && environments(entry).iter().any(|shown| {
                        text_at(shown, "/name") == environment && secret_names(shown).contains(input)
                    })
            };
            if !document.entries(Kind::Services).iter().any(has) {
                return Err(format!("`secret_inputs` `{service}` `{environment}` `{input}`"));
            }
        }
        Ok(())
    }

    /// An entry as the API takes it; `shown` is what it replaces.
    pub(super) fn body(&self, kind: Kind, entry: &Json, shown: Option<&Json>) -> Json {
        let mut body = members(entry);
        if kind != Kind::Services {
            for member in kind.identity() {
                body.remove(*member);
            }
        }
        match kind {
            Kind::Jobs => {
                body.remove("tenant");
            }
            Kind::Providers => self.complete_provider(entry, &mut body),
            Kind::Services => self.complete_service(entry, shown, &mut body),
            _ => {}
        }
        Json::Object(body)
    }

    /// Whether a provider that is not there yet can be created: it has no account, or the secret of that was given.
    pub(super) fn completes_account(&self, provider: &Json) -> bool {
        provider["auth"].is_null() || self.of_provider(text_at(provider, "/name")).is_some()
    }

    /// Adds the secret half of the account, where it was given, and that nobody has said who may use it.
    fn complete_provider(&self, provider: &Json, body: &mut Object) {
        if let (Some(secret), Json::Object(mut account)) =
            (self.of_provider(text_at(provider, "/name")), provider["auth"].clone())
        {
            let is_client = text_at(provider, "/auth/grant") == "client_credentials";
            let member = if is_client { "client_secret" } else { "password" };
            account.insert(member.to_owned(), secret.clone());
            body.insert("auth".to_owned(), Json::Object(account));
        }
        if provider["scopes"].is_null() && provider["open_to_all"].is_null() {
            body.insert("open_to_all".to_owned(), Json::Bool(false));
        }
    }

    /// Puts secrets that were given among the inputs, and names those that stay as they are.
    fn complete_service(&self, service: &Json, shown: Option<&Json>, body: &mut Object) {
        body.remove("infrastructure");
        let environments = environments(service).iter().map(|environment| {
            let given = self.inputs_of(service, environment);
            let present = secret_names(environment_of(shown, environment));
            // A file that says nothing of a secret, as one of before it was given, takes it from nobody.
            let is_same_module = environment["module"] == environment_of(shown, environment)["module"];
            let named = secret_names(environment);
            let stays = |name: &&str| {
                !given.contains_key(*name)
                    && (named.contains(name) || (is_same_module && environment["inputs"][*name].is_null()))
            };
            let kept: Vec<Json> = present.into_iter().filter(stays).map(Json::from).collect();
            let mut arranged = members(environment);
            arranged.remove("secret_inputs");
            if !kept.is_empty() {
                arranged.insert("secret_inputs".to_owned(), Json::Array(kept));
            }
            if !given.is_empty() {
                let mut inputs = members(&environment["inputs"]);
                inputs.extend(given);
                arranged.insert("inputs".to_owned(), Json::Object(inputs));
            }
            Json::Object(arranged)
        });
        let environments = environments.collect();
        body.insert("environments".to_owned(), Json::Array(environments));
    }

    fn inputs_of(&self, service: &Json, environment: &Json) -> Object {
        let (tenant, name) = (text_at(service, "/tenant"), text_at(service, "/name"));
        self.of_environment(tenant, name, text_at(environment, "/name"))
    }

    fn gives_a_new_secret(&self, service: &Json, shown: &Json) -> bool {
        environments(service).iter().any(|environment| {
            let present = secret_names(environment_of(Some(shown), environment));
            self.inputs_of(service, environment).keys().any(|name| !present.contains(name.as_str()))
        })
    }

    /// The secret inputs of an entry that are neither given nor there, each behind its environment.
    pub(super) fn missing_inputs<'e>(
        &self,
        service: &'e Json,
        shown: Option<&Json>,
    ) -> Vec<(&'e str, &'e str)> {
        let mut missing = Vec::new();
        for environment in environments(service) {
            let given = self.inputs_of(service, environment);
            let present = secret_names(environment_of(shown, environment));
            let is_missing = |input: &&str| !present.contains(input) && !given.contains_key(*input);
            let inputs = secret_names(environment).into_iter().filter(is_missing);
            missing.extend(inputs.map(|input| (text_at(environment, "/name"), input)));
        }
        missing
    }
}

fn environments(service: &Json) -> &[Json] {
    service["environments"].as_array().unwrap_or_default()
}

/// The same environment of another service; null where that has none of its name.
fn environment_of<'s>(service: Option<&'s Json>, same: &Json) -> &'s Json {
    let name = text_at(same, "/name");
    let mut environments = service.into_iter().flat_map(environments);
    environments.find(|environment| text_at(environment, "/name") == name).unwrap_or(&Json::Null)
}

fn secret_names(environment: &Json) -> BTreeSet<&str> {
    environment["secret_inputs"].as_array().unwrap_or_default().iter().filter_map(Json::as_str).collect()
}

fn without_secrets(service: &Json) -> Object {
    let mut service = members(service);
    if let Some(Json::Array(environments)) = service.get_mut("environments") {
        for environment in environments {
            if let Json::Object(environment) = environment {
                environment.remove("secret_inputs");
            }
        }
    }
    service
}
