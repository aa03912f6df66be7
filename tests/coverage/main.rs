//! Every operation is everywhere it has to be: mounted, described, deployed, sampled, documented, and in
//! the table of who may call what. A route that is missing in one of these places fails here.

mod cloud;
mod limits;
mod network;
mod rollout;
mod sam_local;
mod story;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use gatehouse_domain::{
    access::{Admission, ENDPOINTS, Endpoint, Reach},
    ci::ReasonCode,
};
use gatehouse_http::request_log::SECURITY_HEADERS;
use gatehouse_local::command::openapi;
use gatehouse_template::{FunctionSettings, Template, TransferMode};
use serde_json::Value;

/// What anybody may call: reviewed here, expected to stay short.
const OPEN: [(&str, &str, &str); 6] = [
    ("meta", "GET", "/health"),
    ("meta", "GET", "/openapi.json"),
    ("identity", "POST", "/auth/login"),
    ("tokens", "GET", "/.well-known/jwks.json"),
    // The token of the report says what it may change.
    ("callbacks", "POST", "/provisioning/callback"),
    ("callbacks", "POST", "/services/deployments/callback"),
];

/// A route: function, method, path.
type Route = (String, String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn route(function: &str, method: &str, path: &str) -> Route {
    (function.to_owned(), method.to_owned(), path.to_owned())
}

fn guarded() -> BTreeSet<Route> {
    let routes = |endpoint: &&'static Endpoint| {
        let function = endpoint.function;
        endpoint.routes().map(move |(method, path)| route(function, method, path))
    };
    ENDPOINTS.iter().flat_map(routes).collect()
}

fn open() -> BTreeSet<Route> {
    OPEN.iter().map(|(function, method, path)| route(function, method, path)).collect()
}

fn all() -> BTreeSet<Route> {
    guarded().union(&open()).cloned().collect()
}

fn template() -> Template {
    Template::parse(&read("template.yaml"), &BTreeMap::new()).expect("template.yaml can be read")
}

#[test]
fn every_operation_is_mounted_once() {
    let mut mounted: Vec<&str> = jobs::routes().mounted().iter().map(|endpoint| endpoint.id).collect();
    mounted.extend(streams::routes().mounted().iter().map(|endpoint| endpoint.id));
    mounted.extend(runs::routes().mounted().iter().map(|endpoint| endpoint.id));
    mounted.extend(catalog::routes().mounted().iter().map(|endpoint| endpoint.id));
    mounted.extend(identity::routes().mounted().iter().map(|endpoint| endpoint.id));
    mounted.extend(tokens::routes().mounted().iter().map(|endpoint| endpoint.id));
    mounted.sort_unstable();
    let mut expected: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.id).collect();
    expected.sort_unstable();
    assert_eq!(mounted, expected);
}

#[test]
fn the_template_has_every_route_and_no_other() {
    let template = template();
    let deployed: BTreeSet<Route> = template
        .routes()
        .map(|(function, settings)| route(&function.name, settings.method.as_str(), &settings.path))
        .collect();
    assert_eq!(deployed, all());
}

#[test]
fn the_template_guards_every_operation_and_opens_only_what_is_open() {
    let template = template();
    assert!(template.api.default_authorizer.is_some(), "routes are open by default");
    let unguarded: BTreeSet<Route> = template
        .routes()
        .filter(|(_, settings)| settings.authorizer.as_deref() == Some("NONE"))
        .map(|(function, settings)| route(&function.name, settings.method.as_str(), &settings.path))
        .collect();
    assert_eq!(unguarded, open());
}

/// A stream holds its invocation for as long as somebody reads. In a function that does anything else, readers could keep
/// others from it.
#[test]
fn what_is_streamed_has_a_function_of_its_own() {
    let template = template();
    let streaming = |function: &FunctionSettings| {
        function.routes.iter().all(|route| {
            (route.transfer, route.timeout) == (TransferMode::Streaming, Some(Duration::from_mins(15)))
        })
    };
    let function = template.function("streams").expect("it is deployed");
    assert!(streaming(function) && function.timeout == Duration::from_mins(15), "{function:?}");
    for function in template.functions.iter().filter(|it| it.name != "streams" && !it.routes.is_empty()) {
        let buffered = function.routes.iter().all(|route| route.transfer == TransferMode::Buffered);
        assert!(buffered && function.timeout <= Duration::from_secs(29), "{function:?}");
    }
}

#[test]
fn what_api_gateway_answers_has_the_security_headers() {
    let template = template();
    assert!(template.api.gateway_responses.len() > 10);
    for (kind, response) in &template.api.gateway_responses {
        for (name, value) in SECURITY_HEADERS {
            let said = response.headers.iter().find(|(said, _)| said.eq_ignore_ascii_case(name.as_str()));
            assert_eq!(
                said.map(|(_, text)| text.as_str()),
                Some(format!("'{value}'").as_str()),
                "{kind}: {name}"
            );
        }
    }
}

#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let generated = openapi::description().expect("the routes can be described");
    let checked_in = read("infra/openapi.json");
    assert!(
        generated.trim() == checked_in.trim(),
        "infra/openapi.json is out of date: run `cargo run -- openapi > infra/openapi.json`"
    );
}

#[test]
fn the_description_has_every_operation_under_its_own_name() {
    let description: Value = serde_json::from_str(&openapi::description().expect("described")).expect("JSON");
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("operationId").to_owned();
            described.insert((method.to_uppercase(), path.clone(), id));
        }
    }
    let opened = [
        ("GET", "/health", "show_health"),
        ("GET", "/openapi.json", "show_api_description"),
        ("POST", "/auth/login", "log_in"),
        ("GET", "/.well-known/jwks.json", "show_jwks"),
        ("POST", "/provisioning/callback", "report_provisioning"),
        ("POST", "/services/deployments/callback", "report_deployment"),
    ];
    let guarded = ENDPOINTS
        .iter()
        .flat_map(|endpoint| endpoint.routes().map(|(method, path)| (method, path, endpoint.id)));
    let expected: BTreeSet<_> = guarded
        .chain(opened)
        .map(|(method, path, id)| (method.to_owned(), path.to_owned(), id.to_owned()))
        .collect();
    assert_eq!(described, expected);
}

#[test]
fn every_operation_has_a_sample_event() {
    let mut sampled = BTreeSet::new();
    for (function, event) in events() {
        // Not every function is called by API Gateway, and not always.
        if event.get("httpMethod").is_none() || function == "authorizer" {
            continue;
        }
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("{function}: no {name}"));
        assert_eq!(event["requestContext"]["resourcePath"], event["resource"], "{function}");
        sampled.insert(route(&function, text("httpMethod"), text("resource")));
    }
    assert_eq!(sampled, all());
}

/// Every sample event with its function.
fn events() -> Vec<(String, Value)> {
    let events = story::files().into_iter();
    events.map(|(function, path)| (function, serde_json::from_str(&read(&path)).expect("JSON"))).collect()
}

#[test]
fn the_documentation_lists_who_may_call_what() {
    let documented = read("docs/API.md");
    for endpoint in ENDPOINTS {
        let who = match endpoint.admission {
            Admission::Known => "| | anybody who is known | |".to_owned(),
            Admission::Person => "| | any person | |".to_owned(),
            Admission::Granted { scope, role, reach } => {
                let reach = if reach == Reach::Platform { "platform" } else { "tenant" };
                format!("| `{scope}` | {} | {reach} |", role.as_str())
            }
        };
        let row = format!("| `{}` | `{} {}` {who}", endpoint.id, endpoint.methods.join("|"), endpoint.path);
        assert!(documented.contains(&row), "docs/API.md lacks the row\n{row}");
    }
}

#[test]
fn the_documentation_lists_every_type_of_problem() {
    let documented = read("docs/API.md");
    for kind in gatehouse_http::problem::ALL {
        let row = format!("| `/problems/{}` | {} |", kind.slug, kind.status.as_u16());
        assert!(documented.contains(&row), "docs/API.md lacks the row\n{row}");
    }
}

#[test]
fn the_documentation_lists_every_reason_of_a_run() {
    let documented = read("docs/API.md");
    let (_, rest) = documented.split_once("`reason` says why a run waits or ended").expect("they are listed");
    let (_, rest) = rest.split_once('(').expect("the list begins");
    let (listed, _) = rest.split_once(')').expect("the list ends");
    let listed: BTreeSet<_> = listed.split(',').map(|word| word.trim().trim_matches('`')).collect();
    let given: Vec<_> = ReasonCode::ALL
        .iter()
        .map(|code| serde_json::to_value(code).expect("it is a word").as_str().expect("a word").to_owned())
        .collect();
    assert_eq!(listed, given.iter().map(String::as_str).collect::<BTreeSet<_>>());
}

#[test]
fn gateway_responses_use_types_that_are_documented() {
    let known: BTreeSet<_> =
        gatehouse_http::problem::ALL.iter().map(|kind| format!("/problems/{}", kind.slug)).collect();
    let text = read("template.yaml");
    let used = text.split("\"type\":\"/").skip(1).filter_map(|rest| rest.split('"').next());
    for kind in used {
        let kind = &format!("/{kind}");
        assert!(known.contains(kind), "template.yaml answers {kind}, which is no type of problem");
    }
}
