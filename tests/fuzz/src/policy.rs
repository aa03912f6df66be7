//! A policy admits what the table admits: nothing less, and nothing more than the wildcards of the table's own paths
//! stand for, as IAM reads them. Where a caller may do all that a verb can do below a path, that is all below it.

use authorizer::{Answer, Policy};
use gatehouse_domain::{
    access::{ENDPOINTS, Endpoint},
    caller::Caller,
    caller_context,
};
use serde_json::Value;

use crate::caller::{LENGTH, caller};

const STAGE: &str = "arn:aws:execute-api:eu-west-1:000000000000:api0example/dev";

/// Six bytes describe the caller; the next says which route is called, with the rest for each parameter, or in place
/// of the path where there is no such route.
pub(crate) fn check(input: &[u8]) {
    let (who, request) = input.split_at_checked(LENGTH).unwrap_or((input, &[]));
    let caller = caller(who);
    let Some((method, path)) = call(request) else { return };
    let arn = format!("{STAGE}/{method}{path}");
    let policy = Policy::for_caller(&caller, &[], &arn).expect("API Gateway asks about a path of a stage");
    let answer = serde_json::to_value(Answer::new(&caller, None, policy)).expect("it is JSON");
    let admitted = resources(&answer).iter().any(|resource| matches(resource, &arn));
    let meant =
        ENDPOINTS.iter().filter(|endpoint| caller.may(endpoint)).any(|endpoint| stands_for(endpoint, &arn));
    assert!(admitted || !meant, "{method} {path} is closed to {caller:?}");
    assert!(
        meant || !admitted || is_below_what_is_whole(&caller, &arn),
        "{method} {path} is open to {caller:?}"
    );
    whoever_is_meant_arrives(&caller, &answer);
}

/// What is called: `GET` and `/v1/jobs/x`.
fn call(called: &[u8]) -> Option<(&'static str, String)> {
    let (which, rest) = called.split_first()?;
    let text = std::str::from_utf8(rest).ok()?;
    let routes = || ENDPOINTS.iter().flat_map(|endpoint| endpoint.routes());
    Some(match routes().nth(usize::from(*which)) {
        Some((method, path)) => {
            let segments =
                path.split('/').map(|segment| if segment.starts_with('{') { text } else { segment });
            (method, segments.collect::<Vec<_>>().join("/"))
        }
        None => (["GET", "PUT", "POST", "DELETE"][usize::from(*which) % 4], format!("/{text}")),
    })
}

fn resources(answer: &Value) -> Vec<&str> {
    let resources = answer["policyDocument"]["Statement"][0]["Resource"].as_array().expect("a list");
    resources.iter().map(|resource| resource.as_str().expect("an ARN")).collect()
}

/// Whether the endpoint's own path covers what is called.
fn stands_for(endpoint: &Endpoint, arn: &str) -> bool {
    endpoint.routes().any(|(method, path)| matches(&format!("{STAGE}/{method}{}", pattern(path)), arn))
}

/// Whether it lies below a path of which the caller may do all that its verb can do below it.
fn is_below_what_is_whole(caller: &Caller, arn: &str) -> bool {
    let routes = || ENDPOINTS.iter().flat_map(|it| it.routes().map(move |(method, path)| (it, method, path)));
    routes().any(|(_, verb, path)| {
        // Each path above this one, down to its first parameter, but for the one that is above all.
        let literal = path.split('{').next().unwrap_or(path);
        literal.match_indices('/').skip(1).any(|(slash, _)| {
            let wide = format!("{}/*", &path[..slash]);
            let mut below =
                routes().filter(|(_, method, path)| *method == verb && matches(&wide, &pattern(path)));
            matches(&format!("{STAGE}/{verb}{wide}"), arn)
                && below.all(|(endpoint, _, _)| caller.may(endpoint))
        })
    })
}

fn pattern(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// How IAM compares: `*` is any text, slashes included, and `?` any one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    let mut retry = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                (at, place) = (star + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The function that is called reads the same caller from the answer's context.
fn whoever_is_meant_arrives(caller: &Caller, answer: &Value) {
    let read = caller_context::read(|name| answer["context"][name].as_str());
    assert_eq!(read.as_ref(), Some(caller));
}
