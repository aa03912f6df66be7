use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde_json::json;

use super::*;

const TEMPLATE: &str = include_str!("sample.yaml");

fn parse(text: &str, overrides: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let overrides = overrides.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Template::parse(text, &overrides)
}

fn sample() -> Template {
    parse(TEMPLATE, &[]).unwrap()
}

/// A template with one function whose only event has these properties.
fn with_event(event: &str) -> String {
    format!(
        "Resources:\n  Api: {{Type: AWS::Serverless::Api, Properties: {{StageName: dev}}}}\n  F:\n    \
         Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: target/lambda/f/\n      \
         Events:\n        E: {{Type: Api, Properties: {event}}}\n"
    )
}

fn error_for(event: &str) -> String {
    parse(&with_event(event), &[]).unwrap_err().to_string()
}

#[test]
fn functions_are_named_by_their_code_and_take_globals() {
    let template = sample();
    let runs = template.function("runs").unwrap();
    assert_eq!(runs.logical_id, "RunsFunction");
    assert_eq!((runs.timeout, runs.memory_mb), (Duration::from_mins(15), 256));
    let jobs = template.function("jobs").unwrap();
    assert_eq!((jobs.timeout, jobs.memory_mb), (Duration::from_secs(20), 128));
}

#[test]
fn environment_values_are_text_where_known_and_symbolic_where_not() {
    let environment = sample().function("jobs").unwrap().environment.clone();
    assert_eq!(environment["LOG"], Setting::Text("info".into()));
    assert_eq!(environment["STAGE"], Setting::Text("dev".into()));
    assert_eq!(environment["TABLE"], Setting::Symbolic(json!({"Ref": "Table"})));
    assert!(!environment.contains_key("ENDPOINT"));
    let overridden = parse(TEMPLATE, &[("Endpoint", "http://x")]).unwrap();
    assert_eq!(
        overridden.function("jobs").unwrap().environment["ENDPOINT"],
        Setting::Text("http://x".into())
    );
}

#[test]
fn routes_know_their_verb_authorizer_and_transfer_mode() {
    let template = sample();
    let seen: BTreeMap<_, _> = template
        .routes()
        .map(|(function, route)| {
            let authorizer = template.api.authorizer_of(route).unwrap_or("-");
            let key = format!("{} {}", route.method, route.path);
            (key, (function.name.clone(), authorizer.to_owned(), route.transfer))
        })
        .collect();
    let expect = |function: &str, authorizer: &str, mode| (function.to_owned(), authorizer.to_owned(), mode);
    assert_eq!(seen["GET /v1/jobs"], expect("jobs", "Caller", TransferMode::Buffered));
    assert_eq!(seen["GET /health"], expect("jobs", "-", TransferMode::Buffered));
    assert_eq!(seen["GET /v1/runs/{run_id}/events"], expect("runs", "Caller", TransferMode::Streaming));
    assert_eq!(seen.len(), 3, "the route whose condition is false and the schedule are not there");
}

#[test]
fn a_parameter_may_switch_streaming_off() {
    let template = parse(TEMPLATE, &[("TransferMode", "BUFFERED")]).unwrap();
    let route = &template.function("runs").unwrap().routes[0];
    assert_eq!(route.transfer, TransferMode::Buffered);
}

#[test]
fn language_extensions_resolve_a_conditional_transfer_mode() {
    let event = "{Path: /x, Method: get, RestApiId: !Ref Api, TimeoutInMillis: !If [On, 900000, 29000], \
                 ResponseTransferMode: !If [On, RESPONSE_STREAM, BUFFERED]}";
    let head = "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\nParameters: {Mode: {Type: \
                String, Default: \"on\"}}\nConditions: {On: !Equals [!Ref Mode, \"on\"]}\n";
    let text = format!("{head}{}", with_event(event));
    let route = |overrides| parse(&text, overrides).unwrap().functions[0].routes[0].clone();
    let on = route(&[]);
    assert_eq!((on.transfer, on.timeout), (TransferMode::Streaming, Some(Duration::from_mins(15))));
    let off = route(&[("Mode", "off")]);
    assert_eq!((off.transfer, off.timeout), (TransferMode::Buffered, Some(Duration::from_secs(29))));
}

#[test]
fn the_api_brings_its_authorizer_and_gateway_responses() {
    let api = sample().api;
    assert_eq!((api.stage.as_str(), api.default_authorizer.as_deref()), ("dev", Some("Caller")));
    let caller = &api.authorizers["Caller"];
    assert_eq!((caller.function.as_str(), caller.ttl), ("authorizer", Duration::from_mins(2)));
    let by_alias =
        TEMPLATE.replace("!GetAtt AuthorizerFunction.Arn", "!Sub \"${AuthorizerFunction.Arn}:live\"");
    assert_eq!(parse(&by_alias, &[]).unwrap().api.authorizers["Caller"].function, "authorizer");
    assert_eq!(caller.headers, ["Authorization"]);
    let unauthorized = &api.gateway_responses["UNAUTHORIZED"];
    assert_eq!(unauthorized.status, Some(401));
    assert_eq!(unauthorized.headers["WWW-Authenticate"], "'Bearer'");
    assert!(
        unauthorized.templates["application/problem+json"].contains("\"request_id\":\"$context.requestId\"")
    );
    assert_eq!(api.binary_media_types, ["application/octet-stream"]);
}

#[test]
fn tables_bring_keys_indexes_and_ttl() {
    let table = &sample().tables[0];
    assert_eq!((table.logical_id.as_str(), table.name.as_deref()), ("Table", None));
    assert_eq!(table.ttl_attribute.as_deref(), Some("expires_at"));
    assert_eq!(table.key[1], KeyPart { attribute: "sk".into(), role: "RANGE".into() });
    assert_eq!((table.indexes[0].name.as_str(), table.indexes[0].projection.as_str()), ("by_job", "ALL"));
    assert_eq!(table.attributes.len(), 3);
}

#[test]
fn any_is_every_verb_that_the_path_does_not_have_otherwise() {
    let template = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
        CodeUri: target/lambda/f/\n      Events:\n        A: {Type: Api, Properties: {Path: '/x/{proxy+}', Method: ANY}}\n  \
        G:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: target/lambda/g/\n      Events:\n        \
        P: {Type: Api, Properties: {Path: '/x/{proxy+}', Method: post}}\n";
    let template = parse(template, &[]).unwrap();
    let verbs = |name: &str| {
        let routes = &template.function(name).unwrap().routes;
        routes.iter().map(|route| route.method.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(verbs("f"), ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"]);
    assert_eq!(verbs("g"), ["POST"]);
    let twice = template_with_two("ANY", "any");
    assert!(parse(&twice, &[]).unwrap_err().to_string().contains("is also declared by"));
}

fn template_with_two(first: &str, second: &str) -> String {
    let event = |name: &str, method: &str| {
        format!("        {name}: {{Type: Api, Properties: {{Path: /x, Method: {method}}}}}\n")
    };
    format!(
        "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
         CodeUri: target/lambda/f/\n      Events:\n{}{}",
        event("A", first),
        event("B", second)
    )
}

#[test]
fn what_would_not_deploy_or_not_play_is_refused_by_name() {
    for (event, words) in [
        ("{Path: /x, Method: fly, RestApiId: !Ref Api}", "no method"),
        ("{Path: x, Method: get, RestApiId: !Ref Api}", "start with a slash"),
        ("{Path: /x, Method: get}", "set RestApiId"),
        ("{Path: /x, Method: get, RestApiId: !Ref Api, Auth: {Authorizer: Nobody}}", "no authorizer Nobody"),
        ("{Path: /x, Method: get, RestApiId: !Ref Api, ResponseTransferMode: FAST}", "neither"),
        ("{Path: /x, Method: get, RestApiId: !Ref Api, ResponseTransferMode: !If [A, B, C]}", "ignores !If"),
    ] {
        let error = error_for(event);
        assert!(error.starts_with("F.E: ") && error.contains(words), "{event}: {error}");
    }
}

#[test]
fn one_path_and_verb_belongs_to_one_function() {
    let text = TEMPLATE.replace("Path: /health", "Path: /v1/jobs");
    assert!(parse(&text, &[]).unwrap_err().to_string().contains("also declared by"));
}

#[test]
fn an_api_may_be_implicit() {
    let text = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: a/f\n      \
                Events: {E: {Type: Api, Properties: {Path: /x, Method: post}}}\n";
    let template = parse(text, &[]).unwrap();
    assert_eq!(template.api.stage, "Prod");
    assert_eq!(template.functions[0].routes[0].method, Method::POST);
}

#[test]
fn the_projects_own_template_can_be_played() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = Template::load(&path, &BTreeMap::new()).unwrap();
    assert!(template.routes().any(|(_, route)| route.transfer == TransferMode::Streaming));
    assert!(!template.routes().any(|(_, route)| route.any), "MiniStack does not import ANY: list the verbs");
    assert_eq!(template.tables.len(), 1);
    let named = BTreeMap::from([("Table".to_owned(), "gatehouse".to_owned())]);
    let jobs = Template::load(&path, &named).unwrap().function("jobs").unwrap().environment.clone();
    assert_eq!(jobs["GATEHOUSE_TABLE"], Setting::Text("gatehouse".into()));
}
