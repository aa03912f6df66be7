//! The IAM policy and the context that API Gateway gets.

use std::{collections::BTreeMap, sync::LazyLock};

use gatehouse_domain::{access::ENDPOINTS, caller::Caller, caller_context};
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

/// An IAM policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
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

impl Policy {
    /// Allows what the table of endpoints allows this caller, which is something for everybody who is known.
    /// `None` when `method_arn` is not one of API Gateway.
    pub(crate) fn for_caller(caller: &Caller, method_arn: &str) -> Option<Self> {
        // arn:aws:execute-api:<region>:<account>:<api>/<stage>/<verb>/<path>
        let mut parts = method_arn.splitn(3, '/');
        let stage = format!("{}/{}", parts.next()?, parts.next()?);
        let resource = reach(caller).iter().map(|path| format!("{stage}/{path}")).collect();
        let statement = Statement { action: "execute-api:Invoke", effect: "Allow", resource };
        Some(Self { version: "2012-10-17", statement: [statement] })
    }
}

/// Every endpoint's path with `*` for each parameter; which endpoints lie at that path or below it, as API
/// Gateway sees it, for which a `*` is any text; and at or below which others' paths it lies itself. The same
/// for every caller, so it is found out once.
struct Paths {
    patterns: Vec<String>,
    below: Vec<Vec<usize>>,
    above: Vec<Vec<usize>>,
}

static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let patterns: Vec<_> = ENDPOINTS.iter().map(|endpoint| wildcards(endpoint.path)).collect();
    let all = 0..patterns.len();
    let below = |wide: usize| all.clone().filter(|one| covers(&patterns[wide], &patterns[*one])).collect();
    let above = |one: usize| {
        all.clone().filter(|wide| *wide != one && covers(&patterns[*wide], &patterns[one])).collect()
    };
    let (below, above) = (all.clone().map(below).collect(), all.clone().map(above).collect());
    Paths { patterns, below, above }
});

/// Finds out what is the same for every caller.
pub(crate) fn prepare() {
    LazyLock::force(&PATHS);
}

/// What a caller may reach: `<verb>/<path>`. Where a caller may do everything that can be done at a path and
/// below it, one line with `*` for the verb says so; and what another line covers is left out. So the policy
/// stays short, and admits to no endpoint that its lines one by one would not admit to.
fn reach(caller: &Caller) -> Vec<String> {
    let Paths { patterns, below, above } = &*PATHS;
    let allowed: Vec<_> = ENDPOINTS.iter().map(|endpoint| caller.may(endpoint)).collect();
    let whole = |below: &Vec<usize>| below.len() > 1 && below.iter().all(|index| allowed[*index]);
    let whole: Vec<_> = below.iter().map(whole).collect();
    let same_verb = |one: usize, other: usize| ENDPOINTS[one].method == ENDPOINTS[other].method;
    let is_covered = |index: usize| {
        above[index].iter().any(|other| match (whole[index], whole[*other]) {
            // Of several lines for one path, the first stays.
            (true, true) => patterns[*other] != patterns[index] || *other < index,
            (false, true) => true,
            (true, false) => false,
            (false, false) => allowed[*other] && same_verb(*other, index),
        })
    };
    let needed = (0..ENDPOINTS.len()).filter(|index| allowed[*index] && !is_covered(*index));
    let line = |index: usize| {
        let verb = if whole[index] { "*" } else { ENDPOINTS[index].method };
        format!("{verb}{}", patterns[index])
    };
    needed.map(line).collect()
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
    /// The answer for a caller whose token ends at `ends_at`, if it is a service's.
    pub(crate) fn new(caller: &Caller, ends_at: Option<Timestamp>, policy_document: Policy) -> Self {
        let context = caller_context::write(caller, ends_at);
        Self { principal_id: caller.actor(), policy_document, context }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        let grant = Grant::ApiKey { scopes, tenants: tenants.parse().unwrap() };
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
        let admin = Grant::User { roles: admin, session: "ses_00000000000000000000000000".into() };
        let admin = Caller { subject: "a".repeat(64), grant: admin };
        for caller in [admin, key([Scope::All], "*"), key(Scope::ALL.iter().copied(), "*")] {
            let policy = Policy::for_caller(&caller, METHOD).unwrap();
            assert!(policy.statement[0].resource.iter().all(|resource| resource.len() <= 512));
            let answer = serde_json::to_string(&Answer::new(&caller, None, policy)).unwrap();
            assert!(answer.len() < 4096, "{} bytes: {answer}", answer.len());
        }
    }

    #[test]
    fn a_method_arn_that_is_none_has_no_policy() {
        for odd in ["", "arn", "arn:aws:execute-api:eu-west-1:000000000000:api0example"] {
            assert!(Policy::for_caller(&key([Scope::All], "*"), odd).is_none(), "{odd:?}");
        }
    }

    fn callers() -> impl Strategy<Value = Caller> {
        let scopes = proptest::sample::subsequence(Scope::ALL[1..].to_vec(), 0..Scope::ALL.len());
        let tenants =
            prop_oneof![Just(Tenants::All), Just(Tenants::Only(BTreeSet::from(["acme".parse().unwrap()])))];
        let keys = (scopes, tenants)
            .prop_map(|(scopes, tenants)| Grant::ApiKey { scopes: scopes.into_iter().collect(), tenants });
        let role = || proptest::option::of(proptest::sample::select(Role::ALL.to_vec()));
        let users = (role(), role()).prop_map(|(everywhere, acme)| {
            let tenants = acme.map(|role| ("acme".parse().unwrap(), role)).into_iter().collect();
            Grant::User { roles: Roles { everywhere, tenants }, session: "s".into() }
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
            for endpoint in ENDPOINTS {
                let call = format!("{}{}", endpoint.method, path(endpoint.path));
                let admitted = reach.iter().any(|resource| covers(resource, &call));
                let meant = allowed.iter().any(|allowed| {
                    covers(&format!("{}{}", allowed.method, wildcards(allowed.path)), &call)
                });
                prop_assert_eq!(admitted, meant, "{}", call);
            }
        }

        #[test]
        fn any_method_arn_can_be_read(arn in "\\PC{0,200}") {
            let policy = Policy::for_caller(&key([Scope::JobsRead], "acme"), &arn);
            prop_assert_eq!(policy.is_some(), arn.contains('/'));
        }
    }
}
