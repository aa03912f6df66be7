//! What protects an environment is taken away by an admin only: each member that protects, in each direction, by each
//! kind of caller.

use std::collections::BTreeSet;

use super::{Site, draft, spec};
use crate::{
    access::Scope,
    audit::Action,
    caller::{Caller, Grant, Tenants},
    catalog::{Category, DeployTarget, EditServiceError, EnvironmentSpec, Force, ServiceSpec},
    operations::tests::support::{environment, person},
};

/// An edit of a service whose environment is called `it`.
struct Edit {
    before: ServiceSpec,
    after: ServiceSpec,
    /// The member whose protection it takes away, if it does.
    loses: Option<&'static str>,
    what: String,
}

fn service_with(it: Option<&EnvironmentSpec>) -> ServiceSpec {
    ServiceSpec { environments: it.cloned().into_iter().collect(), ..spec() }
}

/// The environment without protection, and in each way in which it is protected.
fn environments() -> Vec<(&'static str, bool, EnvironmentSpec)> {
    let plain = EnvironmentSpec { ttl_hours: Some(8), ..environment("it") };
    let with_approval = EnvironmentSpec { approval_required: true, ..plain.clone() };
    let prod = EnvironmentSpec { category: Category::Prod, ..plain.clone() };
    vec![
        ("a plain one", false, plain),
        ("one with approval", true, with_approval),
        ("a prod one", true, prod),
    ]
}

fn targets() -> [Option<DeployTarget>; 4] {
    let webhook = |path: &str| Some(DeployTarget::Webhook(format!("https://deploy.example.com/{path}")));
    [None, Some(DeployTarget::Job("job_own".parse().unwrap())), webhook("hook"), webhook("other")]
}

fn edits() -> Vec<Edit> {
    let mut edits = Vec::new();
    for approval in [false, true] {
        for category in Category::ALL {
            let of = |approval_required, category: Category| {
                service_with(Some(&EnvironmentSpec { category, approval_required, ..environment("it") }))
            };
            let mut add = |after: ServiceSpec, loses, what: String| {
                edits.push(Edit { before: of(approval, *category), after, loses, what });
            };
            let loses = approval.then_some("approval_required");
            add(of(!approval, *category), loses, format!("approval from {approval} in {category}"));
            for other in Category::ALL {
                let loses = (other < category).then_some("category");
                add(of(approval, *other), loses, format!("category from {category} to {other}"));
            }
        }
    }
    for before in [None, Some("leads"), Some("others")] {
        for after in [None, Some("leads"), Some("others")] {
            let of = |group: Option<&str>| {
                let approval_group = group.map(|name| format!("group:{name}").parse().unwrap());
                service_with(Some(&EnvironmentSpec {
                    approval_required: true,
                    approval_group,
                    ..environment("it")
                }))
            };
            let loses = (before.is_some() && before != after).then_some("approval_group");
            let what = format!("the group from {before:?} to {after:?}");
            edits.push(Edit { before: of(before), after: of(after), loses, what });
        }
    }
    for (name, protected, it) in environments() {
        let before = service_with(Some(&it));
        let mut add = |after: ServiceSpec, loses: Option<&'static str>, what: &str| {
            let loses = loses.filter(|_| protected);
            edits.push(Edit { before: before.clone(), after, loses, what: format!("{what} of {name}") });
        };
        for target in targets() {
            let own = EnvironmentSpec { deploy: target.clone(), ..it.clone() };
            // The service's own target is the first webhook, so that one changes nothing.
            let other = target.is_some() && target != before.deploy;
            add(service_with(Some(&own)), other.then_some("deploy"), "its own target");
            let service = ServiceSpec { deploy: target.clone(), ..before.clone() };
            add(service, (target != before.deploy).then_some("deploy"), "the service's target");
        }
        for module in [None, Some("static".parse().unwrap())] {
            let own = EnvironmentSpec {
                ttl_hours: it.ttl_hours.filter(|_| module.is_some()),
                inputs: if module.is_some() { it.inputs.clone() } else { crate::json::Object::new() },
                module,
                ..it.clone()
            };
            add(service_with(Some(&own)), Some("module"), "the module");
        }
        for (hours, loses) in [(Some(4), true), (Some(8), false), (Some(16), false), (None, false)] {
            let own = EnvironmentSpec { ttl_hours: hours, ..it.clone() };
            add(service_with(Some(&own)), loses.then_some("ttl_hours"), "the time to live");
        }
        let lasting = EnvironmentSpec { ttl_hours: None, ..it.clone() };
        let before_lasting = service_with(Some(&lasting));
        let loses = Some("ttl_hours").filter(|_| protected);
        let what = format!("an end for {name}");
        edits.push(Edit { before: before_lasting, after: before.clone(), loses, what });
        let loses = Some("itself").filter(|_| protected);
        let what = format!("{name} is taken away");
        edits.push(Edit { before, after: service_with(None), loses, what });
    }
    edits
}

fn key(scopes: &[Scope], tenants: &str) -> Caller {
    let tenants: Tenants = tenants.parse().unwrap();
    let scopes: BTreeSet<_> = scopes.iter().copied().collect();
    let grant = Grant::ApiKey { scopes, tenants, expires_at: None, minted_by: None };
    Caller { subject: "key_1".into(), grant }
}

/// Who may replace the service, and whether they may weaken what protects its environments.
fn callers() -> Vec<(&'static str, Caller, bool)> {
    vec![
        ("a developer", person("ada", "acme=developer"), false),
        ("a developer who is admin elsewhere", person("ada", "acme=developer,beta=admin"), false),
        ("a developer of all tenants", person("ada", "*=developer"), false),
        ("an admin", person("ada", "acme=admin"), true),
        ("a platform admin", person("ada", "*=admin"), true),
        ("a key", key(&[Scope::CatalogWrite], "acme"), false),
        ("a key with every scope but these two", key(&every_other_scope(), "*"), false),
        ("a key with the scope for it", key(&[Scope::CatalogWrite, Scope::CatalogAdmin], "acme"), true),
        ("a key with *", key(&[Scope::All], "acme"), true),
    ]
}

fn every_other_scope() -> Vec<Scope> {
    let others = Scope::ALL.iter().copied();
    others.filter(|scope| !matches!(scope, Scope::All | Scope::CatalogAdmin)).collect()
}

fn site_of(spec: &ServiceSpec) -> Site {
    let site = Site::default();
    for name in ["leads", "others"] {
        site.memory.items().add_group(name, &[]);
    }
    site.memory.items().services.values_mut().for_each(|service| service.spec = spec.clone());
    site
}

#[test]
fn protection_is_taken_away_by_an_admin_only() {
    let (mut weakened, mut kept) = (0, 0);
    for Edit { before, after, loses, what } in edits() {
        for (who, caller, is_admin) in callers() {
            let site = site_of(&before);
            let replaced = site.replaces(&caller, draft(after.clone()), "r1");
            let items = site.memory.items();
            match (loses.filter(|_| !is_admin), replaced) {
                (Some(member), Err(EditServiceError::Protected { tenant, lost })) => {
                    assert_eq!(tenant.as_str(), "acme");
                    let named =
                        if member == "itself" { "`it` itself".into() } else { format!("`{member}` of `it`") };
                    assert!(lost.contains(&named), "{what} by {who}: {lost:?}");
                    assert_eq!(items.services[&site.service].spec, before, "{what} by {who}");
                    assert!(items.trail.is_empty(), "{what} by {who}");
                    weakened += 1;
                }
                (None, Ok(service)) => {
                    assert_eq!(service.spec, after, "{what} by {who}");
                    let [entry] = &items.trail[..] else { panic!("{what} by {who}: {:?}", items.trail) };
                    assert_eq!(entry.action, Action::PutService);
                    assert_eq!(entry.detail.is_some(), before != after, "{what} by {who}: {entry:?}");
                    kept += 1;
                }
                (expected, other) => panic!("{what} by {who}: {other:?}, expected {expected:?}"),
            }
        }
    }
    assert!(weakened > 100 && kept > 300, "{weakened} {kept}");
}

#[test]
fn a_service_with_a_protected_environment_is_deleted_by_an_admin_only() {
    for (name, protected, it) in environments() {
        for (who, caller, is_admin) in callers() {
            let site = site_of(&service_with(Some(&it)));
            let deleted = site.deletes(&caller, Force::No);
            let refused = matches!(deleted, Err(EditServiceError::Protected { .. }));
            assert_eq!(
                (refused, deleted.is_ok()),
                (protected && !is_admin, !protected || is_admin),
                "{name} by {who}"
            );
            assert_eq!(site.memory.items().services.is_empty(), !refused, "{name} by {who}");
        }
    }
}

#[test]
fn a_refusal_names_all_that_would_be_lost() {
    let it = EnvironmentSpec { approval_required: true, category: Category::Prod, ..environment("it") };
    let less = EnvironmentSpec { approval_required: false, category: Category::Dev, ..it.clone() };
    let site = site_of(&service_with(Some(&it)));
    let refused = site.replaces(&person("ada", "acme=developer"), draft(service_with(Some(&less))), "r1");
    assert_eq!(
        refused.unwrap_err().to_string(),
        "only an admin of tenant `acme` takes away what protects an environment: \
         `approval_required` of `it`, `category` of `it`"
    );
}

#[test]
fn the_trail_says_what_changed_and_no_secret() {
    let webhook =
        |secret: &str| Some(DeployTarget::Webhook(format!("https://deploy.example.com/{secret}?t={secret}")));
    let inputs = |secret: &str| crate::json::Object::from([("size".to_owned(), secret.into())]);
    let it = EnvironmentSpec { deploy: webhook("canary-1"), inputs: inputs("canary-2"), ..environment("it") };
    let changed = EnvironmentSpec {
        approval_required: true,
        category: Category::Staging,
        ttl_hours: Some(8),
        module: Some("static".parse().unwrap()),
        deploy: webhook("canary-3"),
        inputs: inputs("canary-4"),
        ..it.clone()
    };
    let site = site_of(&service_with(Some(&it)));
    let after = ServiceSpec {
        owner: "team-b".into(),
        description: Some("canary-5".into()),
        repository: Some("https://git.example.com/canary-6".into()),
        build_job: Some("job_own".parse().unwrap()),
        deploy: Some(DeployTarget::Job("job_own".parse().unwrap())),
        environments: vec![changed, environment("new")],
        ..service_with(None)
    };
    site.replaces(&person("ada", "acme=admin"), draft(after), "r1").unwrap();
    let items = site.memory.items();
    assert_eq!(
        items.trail[0].detail.as_deref(),
        Some(
            "owner: team-a -> team-b; description: changed; repository: changed; build_job: none -> job_own; \
             deploy: webhook at https://deploy.example.com -> job `job_own`; it.category: dev -> staging; \
             it.approval_required: false -> true; it.module: example -> static; it.ttl_hours: none -> 8; \
             it.deploy: changed; it.inputs: changed; new: added"
        )
    );
}
