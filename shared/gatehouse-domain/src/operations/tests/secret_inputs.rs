//! Inputs of a provisioning: checked by what its module takes, and sealed where it calls them sensitive.

use futures_util::FutureExt;

use super::support::{Site, person};
use crate::{
    catalog::{Infrastructure, SecretInputs},
    json::Object,
    operations::{
        Configuration, Operation, OperationOutcome, State,
        request::{Ask, RequestError},
    },
    test_support::Wax,
};

fn site() -> Site {
    let site = Site::default();
    let inputs = r#"{"size":{"type":"string"},"password":{"sensitive":true,"required":true},
        "replicas":{"type":"number"}}"#;
    site.memory.items().add_module("example", inputs);
    site
}

fn provision(inputs: &str) -> Ask {
    Ask::Provision(serde_json::from_str(inputs).unwrap())
}

fn given(operation: &Operation) -> &Configuration {
    operation.work.configuration().unwrap()
}

fn opened(operation: &Operation, secrets: &SecretInputs) -> String {
    let opening = secrets.open(&Wax, &operation.service, &operation.environment);
    serde_json::to_string(&opening.now_or_never().unwrap().unwrap()).unwrap()
}

#[test]
fn a_secret_of_the_request_is_sealed_in_the_operation() {
    let site = site();
    let id = site.requested("dev", &provision(r#"{"password":"canary"}"#));
    let operation = site.memory.operation(&id);
    assert_eq!(serde_json::to_string(&given(&operation).inputs).unwrap(), r#"{"size":"small"}"#);
    assert_eq!(opened(&operation, &given(&operation).secret_inputs), r#"{"password":"canary"}"#);
    let stored = serde_json::to_string(&operation).unwrap();
    assert!(!stored.contains("canary"), "{stored}");
    let read: Operation = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, operation);
}

#[test]
fn what_the_module_needs_or_does_not_take_is_said_before_a_worker_starts() {
    let site = site();
    let ada = person("ada", "acme=developer");
    let refused = |inputs: &str| -> Vec<(String, String)> {
        match site.asked(&ada, "dev", &provision(inputs), None) {
            Err(RequestError::Invalid(errors)) => {
                errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
            }
            other => panic!("{inputs}: {other:?}"),
        }
    };
    assert_eq!(refused("{}"), [("/inputs".into(), "the module `example` needs `password`".into())]);
    let pointers: Vec<_> =
        refused(r#"{"password":"x","replicas":"many","colour":1}"#).into_iter().map(|(at, _)| at).collect();
    assert_eq!(pointers, ["/inputs/colour", "/inputs/replicas"]);
    assert!(site.memory.items().operations.is_empty());
}

#[test]
fn a_repetition_with_another_secret_is_another_request() {
    let site = site();
    let ada = person("ada", "acme=developer");
    let ask = |password: &str| {
        site.asked(&ada, "dev", &provision(&format!(r#"{{"password":"{password}"}}"#)), Some("k"))
    };
    let first = ask("one").unwrap();
    let again = ask("one").unwrap();
    assert!(again.replayed && again.operation.id == first.operation.id);
    assert!(matches!(ask("two"), Err(RequestError::KeyReused)));
}

#[test]
fn what_was_applied_is_taken_away_with_the_secrets_that_it_was_applied_with() {
    let site = site();
    let id = site.requested("dev", &provision(r#"{"password":"canary"}"#));
    let operation = site.memory.operation(&id);
    let ended =
        State::Ended { ending: OperationOutcome::Succeeded, at: super::support::after(9), reason: None };
    let provisioned = operation.as_provisioned(super::support::after(9)).unwrap();
    {
        let mut items = site.memory.items();
        items.operations.get_mut(&id).unwrap().state = ended;
        let state = items.environments.values_mut().next().unwrap();
        state.running = None;
        state.infrastructure = Infrastructure::Present(provisioned);
        items.add_module("example", r#"{"something":{"required":true}}"#);
    }
    for ask in [Ask::Drift, Ask::Deprovision] {
        let ada = person("ada", "acme=developer");
        let asked = site.asked(&ada, "dev", &ask, None).unwrap().operation;
        assert_eq!(given(&asked).secret_inputs, given(&operation).secret_inputs);
        site.memory.items().environments.values_mut().next().unwrap().running = None;
    }
}

#[test]
fn nothing_is_no_secret() {
    let site = site();
    let id = site.requested("dev", &provision(r#"{"password":null}"#));
    let operation = site.memory.operation(&id);
    assert!(given(&operation).secret_inputs.is_empty());
    let inputs: &Object = &given(&operation).inputs;
    assert_eq!(serde_json::to_string(inputs).unwrap(), r#"{"password":null,"size":"small"}"#);
}
