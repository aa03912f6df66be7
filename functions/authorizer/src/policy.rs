//! The IAM policy and the context that API Gateway gets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use gatehouse_domain::{
    access::{ENDPOINTS, Endpoint},
    caller::Caller,
    caller_context,
    name::ProjectName,
};
use jiff::Timestamp;
use serde::Serialize;

/// The answer to API Gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    principal_id: String,
    policy_document: Policy,
    /// Flat: API Gateway takes text, numbers and booleans only.
    context: BTreeMap<&'static str, String>,
}

/// What API Gateway lets a caller reach, in the language of IAM.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: Vec<String>,
}

/// A path that is one caller's own, beside those of the table, with one method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPath(String);

impl OwnPath {
    /// Everything below the project. A name has no character that IAM takes for a wildcard.
    ///
    /// The method is written out: IAM's `*` is any text, so `*/payments/*` would open `GET/v1/jobs/payments/runs`
    /// as well.
    #[cfg_attr(not(test), expect(dead_code, reason = "no route is below a project yet"))]
    pub(crate) fn below(method: &str, project: &ProjectName) -> Self {
        Self(format!("{method}/{project}/*"))
    }
}

impl Policy {
    /// Allows what the table of endpoints allows this caller, which is something for everybody who is known,
    /// and their own paths. `None` when `method_arn` is not one of API Gateway.
    pub fn for_caller(caller: &Caller, own: &[OwnPath], method_arn: &str) -> Option<Self> {
        // arn:aws:execute-api:<region>:<account>:<api>/<stage>/<verb>/<path>
        let mut parts = method_arn.splitn(3, '/');
        let stage = format!("{}/{}", parts.next()?, parts.next()?);
        let own = own.iter().map(|path| &path.0).filter(|path| is_beside_the_table(path)).cloned();
        let resource = reach(caller).into_iter().chain(own).map(|path| format!("{stage}/{path}")).collect();
        let statement = Statement { action: "execute-api:Invoke", effect: "Allow", resource };
        Some(Self { version: "2012-10-17", statement: [statement] })
    }
}

/// Every route's path with `*` for each parameter; which routes lie at that path or below it, as API Gateway
/// sees it, for which a `*` is any text; and at or below which others' paths it lies itself. The same for
/// every caller, so it is found out once.
struct Paths {
    routes: Vec<Route>,
    below: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
}

/// One method of an endpoint.
struct Route {
    endpoint: &'static Endpoint,
    method: &'static str,
    pattern: String,
}

static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let routes = ENDPOINTS.iter().flat_map(|endpoint| {
        endpoint.routes().map(|(method, path)| Route { endpoint, method, pattern: wildcards(path) })
    });
    let routes: Vec<_> = routes.collect();
    let is_below = |wide: usize, one: usize| covers(&routes[wide].pattern, &routes[one].pattern);
    let all = 0..routes.len();
    let below = |wide: usize| all.clone().filter(|one| is_below(wide, *one)).collect();
    let above = |one: usize| all.clone().filter(|wide| *wide != one && is_below(*wide, one)).collect();
    let (below, above) = (all.clone().map(below).collect(), all.clone().map(above).collect());
    Paths { routes, below, above }
});

/// Finds out what is the same for every caller.
pub(crate) fn prepare() {
    LazyLock::force(&PATHS);
}

/// Whether a caller's own path, `<verb>/<path>`, leads to no endpoint of the table. One that does is a project
/// with a reserved name, and would open what the table closes.
fn is_beside_the_table(own: &str) -> bool {
    PATHS.routes.iter().all(|route| !covers(own, &format!("{}{}", route.method, route.pattern)))
}

/// What a caller may reach: `<verb>/<path>`. Where a caller may do everything that can be done at a path and
/// below it, one line for each verb says so; and what another line covers is left out. So the policy stays short, and
/// admits to no endpoint that its lines one by one would not admit to.
///
/// Verbs are written out: with `*` for one, `*/services/*` would open `POST/x/services/y` as well.
fn reach(caller: &Caller) -> Vec<String> {
    let Paths { routes, below, above } = &*PATHS;
    let allowed: Vec<_> = routes.iter().map(|route| caller.may(route.endpoint)).collect();
    let whole = |below: &Vec<usize>| below.len() > 1 && below.iter().all(|index| allowed[*index]);
    let whole: Vec<_> = below.iter().map(whole).collect();
    let is_covered = |index: usize| {
        let route = &routes[index];
        above[index].iter().any(|other| match (whole[index], whole[*other]) {
            // Of several lines for one path, the first stays.
            (true, true) => routes[*other].pattern != route.pattern || *other < index,
            (false, true) => true,
            (true, false) => false,
            (false, false) => allowed[*other] && routes[*other].method == route.method,
        })
    };
    let needed = (0..routes.len()).filter(|index| allowed[*index] && !is_covered(*index));
    let has_line = |verb: &str, index: usize| {
        let wider = |other: &&usize| routes[**other].pattern != routes[index].pattern;
        let mut wider = above[index].iter().filter(wider);
        wider.any(|other| allowed[*other] && routes[*other].method == verb)
    };
    let lines = |index: usize| {
        let verbs: BTreeSet<_> = if whole[index] {
            below[index].iter().map(|other| routes[*other].method).collect()
        } else {
            [routes[index].method].into()
        };
        let verbs = verbs.into_iter().filter(move |verb| !has_line(verb, index));
        verbs.map(move |verb| format!("{verb}{}", routes[index].pattern))
    };
    needed.flat_map(lines).collect()
}

/// A path of the template with `*` for each parameter.
fn wildcards(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether everything that `narrow` stands for is something that `wide` stands for, `*` being any text.
fn covers(wide: &str, narrow: &str) -> bool {
    let Some((head, tail)) = wide.split_once('*') else { return wide == narrow };
    let Some(mut rest) = narrow.strip_prefix(head) else { return false };
    let (middle, last) = tail.rsplit_once('*').unwrap_or(("", tail));
    for piece in middle.split('*') {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

impl Answer {
    /// The answer for a caller whose token ends at `expires_at`, if it is a service's.
    pub fn new(caller: &Caller, expires_at: Option<Timestamp>, policy_document: Policy) -> Self {
        let context = caller_context::write(caller, expires_at);
        Self { principal_id: caller.actor(), policy_document, context }
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::{
        access::{Role, Scope},
        caller::{Grant, Roles, Tenants},
    };
    use proptest::prelude::*;

    use super::*;

    const METHOD: &str = "arn:aws-us-gov:execute-api:ap-southeast-2:000000000000:abcdefghij/\
        a-rather-long-name-of-a-stage/GET/v1/jobs";

    fn key(scopes: impl IntoIterator<Item = Scope>, tenants: &str) -> Caller {
        let scopes = scopes.into_iter().collect();
        let grant =
            Grant::ApiKey { scopes, tenants: tenants.parse().unwrap(), expires_at: None, minted_by: None };
        Caller { subject: "key_f82f3a6e3350334b18b0".into(), grant }
    }

    #[test]
    fn a_star_covers_what_is_below_it() {
        assert!(covers("GET/v1/runs/*", "GET/v1/runs/*/events"));
        assert!(covers("GET/v1/runs/*", "GET/v1/runs/*"));
        assert!(covers("GET/a/*/b/*/c", "GET/a/x/b/y/b/z/c"));
        assert!(covers("GET/a*", "GET/a"));
        for (wide, narrow) in [
            ("GET/v1/runs/*/events", "GET/v1/runs/*"),
            ("GET/v1/runs/*", "GET/v1/runs"),
            ("GET/v1/runs", "GET/v1/runs/*"),
            ("GET/v1/runs/*", "POST/v1/runs/*/cancel"),
            ("GET/a/*/b", "GET/a/*"),
            ("GET/a/*/b/*/b", "GET/a/x/b"),
        ] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    #[test]
    fn the_longest_answers_stay_far_below_what_api_gateway_takes() {
        // One resource may have 512 characters. How long the whole may be is not documented, but long ones
        // were seen to fail.
        let admin = Roles { everywhere: Some(Role::Admin), tenants: BTreeMap::new() };
        let admin = Grant::person(admin, "ses_00000000000000000000000000", Timestamp::UNIX_EPOCH);
        let admin = Caller { subject: "a".repeat(64), grant: admin };
        for caller in [admin, key([Scope::All], "*"), key(Scope::ALL.iter().copied(), "*")] {
            let policy = Policy::for_caller(&caller, &[], METHOD).unwrap();
            assert!(policy.statement[0].resource.iter().all(|resource| resource.len() <= 512));
            let answer = serde_json::to_string(&Answer::new(&caller, None, policy)).unwrap();
            assert!(answer.len() < 7680, "{} bytes: {answer}", answer.len());
        }
    }

    #[test]
    fn a_caller_reaches_their_own_paths_beside_the_table() {
        let grant = Grant::Service {
            project: "payments".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            service: "worker".parse().unwrap(),
        };
        let service = Caller { subject: "tok_1".into(), grant };
        let resources = |project: &str| {
            let own = OwnPath::below("GET", &project.parse().unwrap());
            let policy = Policy::for_caller(&service, &[own], "arn:aws:execute-api:r:a:api/dev/GET/v1/me");
            policy.unwrap().statement[0].resource.clone()
        };
        let table = Policy::for_caller(&service, &[], "arn:aws:execute-api:r:a:api/dev/GET/v1/me").unwrap();
        let table = table.statement[0].resource.clone();
        let mut both = table.clone();
        both.push("arn:aws:execute-api:r:a:api/dev/GET/payments/*".to_owned());
        assert_eq!(resources("payments"), both);
        for other in ["GET/pay/x", "POST/payments/x", "GET/payments", "GET/v1/jobs/payments/runs"] {
            let call = format!("arn:aws:execute-api:r:a:api/dev/{other}");
            assert!(!both.iter().any(|resource| covers(resource, &call)), "{other}");
        }
        for reserved in ["v1", "services"] {
            assert_eq!(resources(reserved), table, "{reserved} would open what the table closes");
        }
    }

    #[test]
    fn a_method_arn_that_is_none_has_no_policy() {
        for odd in ["", "arn", "arn:aws:execute-api:eu-west-1:000000000000:api0example"] {
            assert!(Policy::for_caller(&key([Scope::All], "*"), &[], odd).is_none(), "{odd:?}");
        }
    }

    fn callers() -> impl Strategy<Value = Caller> {
        let scopes = proptest::sample::subsequence(Scope::ALL[1..].to_vec(), 0..Scope::ALL.len());
        let tenants =
            prop_oneof![Just(Tenants::All), Just(Tenants::Only(BTreeSet::from(["acme".parse().unwrap()])))];
        let keys = (scopes, tenants).prop_map(|(scopes, tenants)| Grant::ApiKey {
            scopes: scopes.into_iter().collect(),
            tenants,
            expires_at: None,
            minted_by: None,
        });
        let role = || proptest::option::of(proptest::sample::select(Role::ALL.to_vec()));
        let users = (role(), role()).prop_map(|(everywhere, acme)| {
            let tenants = acme.map(|role| ("acme".parse().unwrap(), role)).into_iter().collect();
            Grant::person(Roles { everywhere, tenants }, "s", Timestamp::UNIX_EPOCH)
        });
        prop_oneof![keys, users].prop_map(|grant| Caller { subject: "x".into(), grant })
    }

    proptest! {
        #[test]
        fn a_policy_admits_what_the_table_does_and_nothing_that_its_own_stars_do_not(caller in callers()) {
            let reach = reach(&caller);
            prop_assert!(!reach.is_empty(), "API Gateway takes a policy of nothing for none");
            let path = |path: &str| wildcards(path).replace('*', "some-id");
            let allowed: Vec<_> = ENDPOINTS.iter().filter(|endpoint| caller.may(endpoint)).collect();
            for (method, route) in ENDPOINTS.iter().flat_map(|endpoint| endpoint.routes()) {
                let call = format!("{method}{}", path(route));
                let admitted = reach.iter().any(|resource| covers(resource, &call));
                let meant = allowed.iter().flat_map(|endpoint| endpoint.routes()).any(|(method, route)| {
                    covers(&format!("{method}{}", wildcards(route)), &call)
                });
                prop_assert_eq!(admitted, meant, "{}", call);
                let beside = format!("{method}/payments{}", path(route));
                prop_assert!(!reach.iter().any(|resource| covers(resource, &beside)), "{}", beside);
            }
        }

        #[test]
        fn any_method_arn_can_be_read(arn in "\\PC{0,200}") {
            let policy = Policy::for_caller(&key([Scope::JobsRead], "acme"), &[], &arn);
            prop_assert_eq!(policy.is_some(), arn.contains('/'));
        }
    }
}
