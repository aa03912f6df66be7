use super::support::{Site, person};
use crate::{
    audit::Action,
    json::{Json, Object},
    operations::{
        Signal, State,
        request::{Ask, RequestError},
        workflow::Workflow,
    },
};

fn provision() -> Ask {
    Ask::Provision(Object::new())
}

#[test]
fn what_was_asked_for_is_recorded_locked_and_begun() {
    let site = Site::default();
    let ada = person("ada", "acme=developer");
    let inputs =
        Object::from([("size".to_owned(), "big".into()), ("n".to_owned(), Json::parse("1").unwrap())]);
    let requested = site.asked(&ada, "dev", &Ask::Provision(inputs.clone()), None).unwrap();
    assert!(!requested.replayed && requested.unsettled.is_none());
    let operation = site.memory.operation(&requested.operation.id);
    assert_eq!((operation.state.clone(), operation.pending_signal.clone()), (State::Requested, None));
    assert_eq!(
        operation.work.configuration().unwrap().inputs,
        inputs,
        "its inputs are over the environment's"
    );
    assert_eq!(operation.workflow(), Workflow::Provision);
    assert_eq!(site.engine.heard(), [format!("start {}", operation.id)]);
    assert_eq!(site.memory.environment(&site.service, "dev").running, Some(operation.id));
    let items = site.memory.items();
    assert_eq!(items.trail.len(), 1);
    assert_eq!(items.trail[0].action, Action::ProvisionService);
}

#[test]
fn one_operation_is_open_in_an_environment() {
    let site = Site::default();
    let ada = person("ada", "acme=developer");
    let first = site.provisioning("dev");
    let busy = site.asked(&ada, "dev", &provision(), None);
    assert!(matches!(busy, Err(RequestError::Busy { operation, .. }) if operation == first));
    site.provisioning("prod");
    assert_eq!(site.memory.items().trail.len(), 2);
}

#[test]
fn the_same_key_is_the_same_operation() {
    let site = Site::default();
    let (ada, bob) = (person("ada", "acme=developer"), person("bob", "acme=developer"));
    let first = site.asked(&ada, "dev", &provision(), Some("k")).unwrap();
    let again = site.asked(&ada, "dev", &provision(), Some("k")).unwrap();
    assert!(again.replayed && again.operation.id == first.operation.id);
    let other = Ask::Provision(Object::from([("size".to_owned(), "big".into())]));
    for (environment, ask) in [("dev", &other), ("prod", &provision()), ("dev", &Ask::Drift)] {
        let refused = site.asked(&ada, environment, ask, Some("k"));
        assert!(matches!(refused, Err(RequestError::KeyReused)), "{refused:?}");
    }
    let busy = site.asked(&bob, "dev", &provision(), Some("k"));
    assert!(matches!(busy, Err(RequestError::Busy { .. })), "keys of different callers never meet");
    assert_eq!(site.memory.items().trail.len(), 1);
}

#[test]
fn a_repetition_begins_the_workflow_that_the_first_request_could_not() {
    let site = Site::default();
    let ada = person("ada", "acme=developer");
    site.engine.state().is_down = true;
    let first = site.asked(&ada, "dev", &provision(), Some("k")).unwrap();
    assert!(first.unsettled.is_some());
    assert_eq!(site.memory.operation(&first.operation.id).pending_signal, Some(Signal::Start));
    site.engine.state().is_down = false;
    assert!(site.asked(&ada, "dev", &provision(), Some("k")).unwrap().unsettled.is_none());
    assert_eq!(site.memory.operation(&first.operation.id).pending_signal, None);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let site = Site::default();
    let ada = person("ada", "acme=developer");
    let refused = |who: &str, environment: &str, ask: Ask| {
        let caller = person("ada", who);
        site.asked(&caller, environment, &ask, None).unwrap_err()
    };
    let dev = "acme=developer";
    assert!(matches!(refused("acme=viewer", "dev", provision()), RequestError::Forbidden(_)));
    assert!(matches!(refused("beta=admin", "dev", provision()), RequestError::NotFound));
    let unknown = refused(dev, "qa", provision());
    let RequestError::Invalid(errors) = &unknown else { panic!("{unknown:?}") };
    assert_eq!(errors[0].pointer, "/environment");
    assert_eq!(errors[0].detail, "the service has no such environment; it has: dev, prod, short");
    assert!(matches!(refused(dev, "dev", Ask::Deprovision), RequestError::NotPossible(_)));
    assert!(matches!(refused(dev, "dev", Ask::Drift), RequestError::NotPossible(_)));
    let unprovisioned = refused(dev, "dev", Ask::Deploy("1.0".into()));
    assert!(matches!(unprovisioned, RequestError::NotPossible(_)), "{unprovisioned:?}");
    for version in ["", "a b", "ä", &"1".repeat(201)] {
        assert!(matches!(refused(dev, "dev", Ask::Deploy(version.into())), RequestError::Invalid(_)));
    }
    let big = Object::from([("a".to_owned(), "x".repeat(17_000).as_str().into())]);
    assert!(matches!(refused(dev, "dev", Ask::Provision(big)), RequestError::Invalid(_)));
    site.engine.state().not_ready = true;
    assert!(matches!(site.asked(&ada, "dev", &provision(), None), Err(RequestError::NotReady(_))));
    let items = site.memory.items();
    assert!(items.operations.is_empty() && items.trail.is_empty() && items.environments.is_empty());
}

#[test]
fn approval_is_asked_for_where_something_may_change() {
    let site = Site::default();
    let prod = site.memory.operation(&site.provisioning("prod"));
    let dev = site.memory.operation(&site.provisioning("dev"));
    assert!(prod.approval_required && !dev.approval_required);
    let hours = |operation: &crate::operations::Operation| {
        operation.deadline.duration_since(operation.requested.at).as_hours()
    };
    assert_eq!((hours(&prod), hours(&dev)), (8 + 7 * 24, 8), "who has to be asked gets the time to answer");
}
