//! The IAM policy and the context that API Gateway gets.

use std::{
    cmp::Reverse,
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
        let own = own.iter().map(|path| path.0.as_str()).filter(|path| is_beside_the_table(path));
        let resource = reach(caller).into_iter().chain(own).map(|path| format!("{stage}/{path}")).collect();
        let statement = Statement { action: "execute-api:Invoke", effect: "Allow", resource };
        Some(Self { version: "2012-10-17", statement: [statement] })
    }
}

/// What policies are made of. The same for every caller, so it is found out once.
struct Table {
    routes: Vec<Route>,
    /// Those that say most come first.
    lines: Vec<Line>,
}

/// One method of an endpoint.
struct Route {
    endpoint: &'static Endpoint,
    /// `<verb>/<path>`, with `*` for each parameter, which is any text for API Gateway.
    text: String,
}

/// A line that a policy may have.
struct Line {
    text: String,
    /// The route whose own text it is. Without one it stands for all that a verb can do below a path.
    own: Option<usize>,
    /// The routes that it admits to.
    admits: Vec<usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let routes = ENDPOINTS.iter().flat_map(|endpoint| {
        endpoint
            .routes()
            .map(move |(method, path)| Route { endpoint, text: format!("{method}{}", wildcards(path)) })
    });
    let routes: Vec<_> = routes.collect();
    let texts: BTreeSet<String> =
        routes.iter().flat_map(|route| above(&route.text).chain([route.text.clone()])).collect();
    let lines = texts.into_iter().map(|text| {
        let own = routes.iter().position(|route| route.text == text);
        let admits = (0..routes.len()).filter(|index| covers(&text, &routes[*index].text)).collect();
        Line { text, own, admits }
    });
    // Of one route, its own line says enough.
    let mut lines: Vec<_> = lines.filter(|line| line.own.is_some() || line.admits.len() > 1).collect();
    // Of those that say as much, the narrower is before the wider.
    lines.sort_by_key(|line| (Reverse(line.admits.len()), line.own.is_none(), Reverse(line.text.len())));
    Table { routes, lines }
});

/// Finds out what is the same for every caller.
pub(crate) fn prepare() {
    LazyLock::force(&TABLE);
}

/// Whether a caller's own path, `<verb>/<path>`, leads to no endpoint of the table. One that does is a project
/// with a reserved name, and would open what the table closes.
fn is_beside_the_table(own: &str) -> bool {
    TABLE.routes.iter().all(|route| !covers(own, &route.text))
}

/// What a caller may reach: `<verb>/<path>`. Where a caller may do everything that a verb can do below a path, one line
/// says so; and what another line covers is left out. So the policy stays short, and admits to no endpoint that the
/// endpoints' own lines, one by one, would not admit to.
///
/// Verbs are written out: with `*` for one, `*/services/*` would open `POST/x/services/y` as well.
fn reach(caller: &Caller) -> Vec<&'static str> {
    let Table { routes, lines } = &*TABLE;
    let allowed: Vec<bool> = routes.iter().map(|route| caller.may(route.endpoint)).collect();
    let mut missing = allowed.clone();
    let mut chosen = Vec::new();
    for line in lines {
        let is_own = line.own.is_some_and(|own| allowed[own]);
        let is_held = is_own || line.admits.iter().all(|route| allowed[*route]);
        if is_held && line.admits.iter().any(|route| missing[*route]) {
            for route in &line.admits {
                missing[*route] = false;
            }
            chosen.push(line);
        }
    }
    // In the order of the table.
    chosen.sort_by_key(|line| line.admits[0]);
    chosen.into_iter().map(|line| line.text.as_str()).collect()
}

/// The lines for all below each path above a route's, down to its first parameter: `GET/v1/*` and `GET/v1/jobs/*` above
/// `GET/v1/jobs/*/runs`.
fn above(text: &str) -> impl Iterator<Item = String> {
    let literal = text.split('*').next().unwrap_or(text);
    // The first slash ends the verb. Below it are callers' own paths as well.
    literal.match_indices('/').skip(1).map(move |(slash, _)| format!("{}/*", &text[..slash]))
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

    /// The stage's name is as long as the template lets it be.
    const METHOD: &str = "arn:aws-us-gov:execute-api:ap-southeast-2:000000000000:abcdefghij/\
        a-stage-with-the-longest-name-01/GET/v1/jobs";

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

    /// How long the answer for a caller is, in bytes.
    fn answered(caller: &Caller) -> usize {
        let policy = Policy::for_caller(caller, &[], METHOD).unwrap();
        assert!(policy.statement[0].resource.iter().all(|resource| resource.len() <= 512));
        serde_json::to_string(&Answer::new(caller, None, policy)).unwrap().len()
    }

    #[test]
    fn the_longest_answers_stay_far_below_what_api_gateway_takes() {
        // One resource may have 512 characters. How long the whole may be is not documented, but long ones
        // were seen to fail.
        let admin = |roles: &str| {
            let grant = Grant::person(
                roles.parse().unwrap(),
                "ses_00000000000000000000000000",
                Timestamp::UNIX_EPOCH,
            );
            Caller { subject: "a".repeat(64), grant }
        };
        let root = answered(&admin("*=admin"));
        assert!(root < 2560, "{root} bytes for whoever may do everything");
        for caller in [key([Scope::All], "*"), key(Scope::ALL.iter().copied(), "*")] {
            assert!(answered(&caller) < 2560, "{} bytes: {caller:?}", answered(&caller));
        }
        // Whoever may do much, but not all, has the longest of people.
        let some = answered(&admin("acme=admin"));
        assert!(some < 5120, "{some} bytes for a tenant's admin");
    }

    #[test]
    fn one_line_stands_for_all_that_a_verb_can_do_below_a_path() {
        let person = |roles: &str| Caller {
            subject: "ada".into(),
            grant: Grant::person(roles.parse().unwrap(), "s", Timestamp::UNIX_EPOCH),
        };
        assert_eq!(reach(&person("")), ["GET/auth/*", "POST/auth/*", "DELETE/auth/*"]);
        let root = reach(&person("*=admin"));
        assert!(root.contains(&"GET/v1/*") && root.contains(&"PUT/v1/*"), "{root:?}");
        // One thing below a path that is not theirs, and each line is for itself.
        let viewer = reach(&person("acme=viewer"));
        assert!(viewer.contains(&"GET/v1/projects/*") && !viewer.contains(&"GET/v1/*"), "{viewer:?}");
        assert_eq!(
            reach(&key([Scope::RunsWrite], "acme")),
            ["POST/v1/jobs/*/runs", "POST/v1/runs/*", "GET/auth/me"]
        );
        assert_eq!(
            above("GET/v1/jobs/*/runs").collect::<Vec<_>>(),
            ["GET/v1/*", "GET/v1/jobs/*"],
            "never all of a verb"
        );
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
        fn no_caller_has_a_long_answer(caller in callers()) {
            prop_assert!(answered(&caller) < 7168, "{} bytes", answered(&caller));
        }

        #[test]
        fn any_method_arn_can_be_read(arn in "\\PC{0,200}") {
            let policy = Policy::for_caller(&key([Scope::JobsRead], "acme"), &[], &arn);
            prop_assert_eq!(policy.is_some(), arn.contains('/'));
        }
    }
}
