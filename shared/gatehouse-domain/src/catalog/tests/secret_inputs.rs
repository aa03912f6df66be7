//! Inputs that are secrets: sealed when they are given, kept when they are named, and checked like all others.

use super::*;

/// A site whose module `example` has a secret, and needs it.
fn site() -> Site {
    let site = Site::empty();
    let inputs = r#"{"size":{"type":"string"},"password":{"type":"string","sensitive":true,"required":true},
        "nodes":{"type":"list(number)"}}"#;
    site.memory.items().add_module("example", inputs);
    site
}

/// A service with one environment that has these inputs.
fn with_inputs(inputs: &str) -> ServiceDraft {
    let environment = EnvironmentSpec { inputs: serde_json::from_str(inputs).unwrap(), ..environment("dev") };
    draft(ServiceSpec { environments: vec![environment], ..spec() })
}

fn keeping(inputs: &str, names: &[&str]) -> ServiceDraft {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ServiceDraft { kept_secrets: [("dev".parse().unwrap(), names)].into(), ..with_inputs(inputs) }
}

/// What the worker of `dev` is given beside the inputs that everybody sees.
fn opened(service: &Service) -> String {
    let environment = &service.spec.environments[0];
    let opening = environment.secret_inputs.open(&Wax, &service.id, &environment.name);
    serde_json::to_string(&opening.now_or_never().unwrap().unwrap()).unwrap()
}

fn shown(service: &Service) -> String {
    serde_json::to_string(&service.spec.environments[0].inputs).unwrap()
}

impl Site {
    /// Creates the service, which is the site's from then on.
    fn registers(&mut self, draft: ServiceDraft) -> Service {
        let service = self.creates(&developer(), draft, None).unwrap().service;
        self.service = service.id.clone();
        service
    }

    fn edits(&self, before: &Service, draft: ServiceDraft) -> Result<Service, EditServiceError> {
        self.replaces(&developer(), draft, before.revision.as_str())
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, EditServiceError>) -> Vec<(String, String)> {
    let Err(EditServiceError::Invalid(errors)) = result else { panic!("not refused: {result:?}") };
    errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
}

#[test]
fn a_sensitive_input_is_sealed_and_everything_else_is_as_it_was_given() {
    let mut site = site();
    let service = site.registers(with_inputs(r#"{"password":"canary","size":"small"}"#));
    assert_eq!(shown(&service), r#"{"size":"small"}"#);
    assert_eq!(opened(&service), r#"{"password":"canary"}"#);
    let kept = serde_json::to_string(&site.memory.items().services[&service.id]).unwrap();
    assert!(!kept.contains("canary"), "{kept}");
    assert!(!format!("{:?}", site.memory.items().trail).contains("canary"));
}

#[test]
fn an_edit_keeps_the_secrets_that_it_names_and_replaces_those_that_it_gives() {
    let mut site = site();
    let first = site.registers(with_inputs(r#"{"password":"one","size":"small"}"#));
    let kept = site.edits(&first, keeping(r#"{"size":"big"}"#, &["password"])).unwrap();
    assert_eq!((opened(&kept), shown(&kept)), (r#"{"password":"one"}"#.into(), r#"{"size":"big"}"#.into()));
    let given = site.edits(&kept, keeping(r#"{"password":"two"}"#, &["password"])).unwrap();
    assert_eq!((opened(&given), shown(&given)), (r#"{"password":"two"}"#.into(), "{}".into()));
    let trail = site.memory.items().trail.last().unwrap().detail.clone().unwrap();
    assert_eq!(trail, "dev.inputs: changed; dev.secret_inputs: changed");
    let forgotten = site.edits(&given, with_inputs("{}")).unwrap();
    assert_eq!(opened(&forgotten), "{}");
    let nothing_kept = refused(site.edits(&forgotten, keeping("{}", &["password"])));
    let expected = "no value is kept for it; give one in `inputs`";
    assert_eq!(nothing_kept, [("/environments/0/secret_inputs/password".into(), expected.into())]);
}

#[test]
fn an_edit_that_forgets_a_secret_says_so() {
    let mut site = site();
    let first = site.registers(with_inputs(r#"{"password":"one"}"#));
    let seen = Precondition::Revision(first.revision.clone());
    let caller = developer();
    let audit = AuditContext { caller: &caller, origin: &site.origin };
    let replacing =
        replace(&site.memory, &Wax, &site.hand, &audit, &first.id, with_inputs(r#"{"size":"big"}"#), &seen);
    let said: Vec<_> = replacing
        .now_or_never()
        .unwrap()
        .unwrap()
        .warnings
        .into_iter()
        .map(|it| (it.pointer, it.detail))
        .collect();
    let expected = [
        ("/environments/0/secret_inputs", "`password` is forgotten; name what is to stay in `secret_inputs`"),
        ("/environments/0/inputs", "the module `example` needs `password`: each provisioning has to give it"),
    ];
    assert_eq!(said, expected.map(|(at, detail)| (at.to_owned(), detail.to_owned())));
}

#[test]
fn a_secret_stays_one_when_its_module_is_withdrawn() {
    let mut site = site();
    let first = site.registers(with_inputs(r#"{"password":"one"}"#));
    site.memory.items().modules.clear();
    let second = site.edits(&first, with_inputs(r#"{"password":"two","size":"big"}"#)).unwrap();
    assert_eq!(
        (opened(&second), shown(&second)),
        (r#"{"password":"two"}"#.into(), r#"{"size":"big"}"#.into())
    );
}

#[test]
fn what_its_module_does_not_call_a_secret_any_more_is_shown_once_it_is_given_again() {
    let mut site = site();
    let first = site.registers(with_inputs(r#"{"password":"one"}"#));
    site.memory.items().add_module("example", r#"{"password":{}}"#);
    let kept = site.edits(&first, keeping("{}", &["password"])).unwrap();
    assert_eq!((opened(&kept), shown(&kept)), (r#"{"password":"one"}"#.into(), "{}".into()));
    let given = site.edits(&kept, with_inputs(r#"{"password":"two"}"#)).unwrap();
    assert_eq!((opened(&given), shown(&given)), ("{}".into(), r#"{"password":"two"}"#.into()));
}

#[test]
fn a_secret_opens_in_its_own_environment_and_nowhere_else() {
    let mut site = site();
    let service = site.registers(with_inputs(r#"{"password":"canary"}"#));
    let secrets = &service.spec.environments[0].secret_inputs;
    let (dev, prod) = ("dev".parse().unwrap(), "prod".parse().unwrap());
    let other = "svc_other".parse().unwrap();
    for (service, environment) in [(&service.id, &prod), (&other, &dev)] {
        let opening = secrets.open(&Wax, service, environment).now_or_never().unwrap();
        assert!(matches!(opening, Err(SealError::Defect(_))), "{opening:?}");
    }
}

#[test]
fn inputs_that_the_module_does_not_take_are_refused_when_the_service_is_registered() {
    let site = site();
    let refused = refused(site.creates(
        &developer(),
        with_inputs(r#"{"nodes":["many"],"pasword":"canary","gatehouse":1}"#),
        None,
    ));
    let no_such = "the module has no such input; it has: nodes, password, size";
    assert_eq!(
        refused,
        [
            ("/environments/0/inputs/gatehouse".into(), "is Gatehouse's own".into()),
            ("/environments/0/inputs/nodes".into(), "must be of the type list(number)".into()),
            ("/environments/0/inputs/pasword".into(), no_such.to_owned()),
        ]
    );
    assert!(site.memory.items().services.is_empty());
}

#[test]
fn an_input_that_each_provisioning_has_to_give_is_said() {
    let site = site();
    let created = site.creates(&developer(), with_inputs("{}"), None).unwrap();
    let expected = FieldError::new(
        "/environments/0/inputs",
        "the module `example` needs `password`: each provisioning has to give it",
    );
    assert_eq!(created.warnings, [expected]);
}

#[test]
fn inputs_that_an_environment_has_are_not_judged_again_when_something_else_is_edited() {
    let mut site = site();
    let first = site.registers(with_inputs(r#"{"size":"small"}"#));
    site.memory.items().add_module("example", r#"{"other":{}}"#);
    let mut same = with_inputs(r#"{"size":"small"}"#);
    same.spec.owner = "team-b".into();
    let second = site.edits(&first, same).unwrap();
    assert_eq!(second.spec.owner, "team-b");
    let pointers: Vec<_> = refused(site.edits(&second, with_inputs(r#"{"size":"big"}"#)))
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    assert_eq!(pointers, ["/environments/0/inputs/size"]);
}

#[test]
fn a_repetition_is_recognised_by_its_secrets_which_cannot_be_guessed_from_its_fingerprint() {
    let site = site();
    let plain = Fingerprint::of(&["team-a"]);
    let created = site.creates(&developer(), with_inputs(r#"{"password":"one"}"#), Some("k")).unwrap();
    assert!(!created.replayed);
    assert_ne!(created.service.fingerprint, plain);
    assert!(site.creates(&developer(), with_inputs(r#"{"password":"one"}"#), Some("k")).unwrap().replayed);
    let clear = site.creates(&developer(), with_inputs(r#"{"size":"big"}"#), Some("other")).unwrap_err();
    assert!(matches!(clear, EditServiceError::NameTaken(_)), "{clear:?}");
}

#[test]
fn what_all_inputs_measure_is_counted_as_it_is_kept() {
    let site = site();
    // Fourteen kilobytes in each of eighteen environments are less than 256 together, and more once they are sealed.
    let long = "x".repeat(14 * 1024);
    let environments = |name: &str| {
        let inputs: Object = [(name.to_owned(), long.as_str().into())].into();
        let of =
            |number: usize| EnvironmentSpec { inputs: inputs.clone(), ..environment(&format!("e{number}")) };
        draft(ServiceSpec { environments: (0..18).map(of).collect(), ..spec() })
    };
    let sealed = refused(site.creates(&developer(), environments("password"), None));
    assert_eq!(sealed[0].0, "/environments");
    assert!(site.creates(&developer(), environments("size"), None).is_ok());
}
