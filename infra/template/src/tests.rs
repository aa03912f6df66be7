use std::{collections::BTreeMap, time::Duration};

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

/// A template with one API whose only route is this one, and one function, `F`.
fn with_route(path: &str, method: &str, operation: &str) -> String {
    format!(
        "Resources:\n  Api:\n    Type: AWS::Serverless::Api\n    Properties:\n      StageName: dev\n      \
         DefinitionBody:\n        paths:\n          {path}:\n            {method}: {operation}\n{}",
        function("F")
    )
}

fn function(id: &str) -> String {
    let name = id.to_lowercase();
    format!(
        "  {id}:\n    Type: AWS::Serverless::Function\n    Properties: {{CodeUri: target/lambda/{name}/}}\n"
    )
}

/// An operation that calls `function`, with something more in its integration.
fn calling(function: &str, more: &str) -> String {
    let uri = format!(
        "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions\
         /${{{function}.Arn}}/invocations"
    );
    format!(
        "{{x-amazon-apigateway-integration: {{type: aws_proxy, httpMethod: POST, uri: !Sub \"{uri}\"{more}}}}}"
    )
}

fn error_for(path: &str, method: &str, operation: &str) -> String {
    parse(&with_route(path, method, operation), &[]).unwrap_err().to_string()
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
    assert_eq!(seen["PUT /v1/jobs"], seen["GET /v1/jobs"]);
    assert_eq!(seen["GET /health"], expect("jobs", "-", TransferMode::Buffered));
    assert_eq!(seen["GET /v1/runs/{run_id}/events"], expect("runs", "Caller", TransferMode::Streaming));
    assert_eq!(seen.len(), 4, "the route whose condition is false is not there");
}

#[test]
fn a_parameter_may_switch_streaming_off() {
    let route = |overrides| parse(TEMPLATE, overrides).unwrap().function("runs").unwrap().routes[0].clone();
    let on = route(&[]);
    assert_eq!((on.transfer, on.timeout), (TransferMode::Streaming, Some(Duration::from_mins(15))));
    let off = route(&[("Streaming", "off")]);
    assert_eq!((off.transfer, off.timeout), (TransferMode::Buffered, Some(Duration::from_secs(29))));
}

#[test]
fn an_alias_of_a_function_leads_to_the_function() {
    let text = with_route("/x", "get", &calling("F", "")).replace("${F.Arn}", "${F.Alias}");
    assert_eq!(parse(&text, &[]).unwrap().function("f").unwrap().routes[0].path, "/x");
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
    let both = format!("{}\n            post: {}", calling("F", ""), calling("G", ""));
    let text = with_route("/x/{proxy+}", "x-amazon-apigateway-any-method", &both) + &function("G");
    let template = parse(&text, &[]).unwrap();
    let verbs = |name: &str| {
        let routes = &template.function(name).unwrap().routes;
        routes.iter().map(|route| route.method.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(verbs("f"), ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"]);
    assert_eq!(verbs("g"), ["POST"]);
}

#[test]
fn what_would_not_deploy_or_not_play_is_refused_by_name() {
    let plain = calling("F", "");
    let guarded = |by: &str| plain.replacen('{', &format!("{{security: {by}, "), 1);
    for (path, method, operation, words) in [
        ("/x", "fly", plain.clone(), "no method \"fly\""),
        ("/x", "GET", plain.clone(), "in lower case"),
        ("x", "get", plain.clone(), "start with a slash"),
        ("/x", "get", guarded("[{Nobody: []}]"), "no authorizer Nobody"),
        ("/x", "get", guarded("[]"), "write [{ NONE: [] }] for none"),
        ("/x", "get", guarded("[{A: []}, {B: []}]"), "only one authorizer"),
        ("/x", "get", "{}".to_owned(), "missing field `x-amazon-apigateway-integration`"),
        ("/x", "get", plain.replace("aws_proxy", "mock"), "of type aws_proxy are played, not \"mock\""),
        ("/x", "get", plain.replace("POST", "GET"), "called by POST, not by \"GET\""),
        ("/x", "get", plain.replace(":lambda:path", ":s3:path"), "uri must be !Sub arn:"),
        ("/x", "get", plain.replace("F.Arn", "F.Name"), "uri must be !Sub arn:"),
        ("/x", "get", calling("G", ""), "there is no function G"),
        ("/x", "get", calling("F", ", responseTransferMode: FAST"), "neither STREAM nor BUFFERED"),
        (
            "/x",
            "get",
            calling("F", ", responseTransferMode: STREAM"),
            "STREAM goes with 2021-11-15/…/response",
        ),
        (
            "/x",
            "get",
            plain.replace("2015-03-31", "2021-11-15"),
            "BUFFERED goes with 2015-03-31/…/invocations",
        ),
    ] {
        let error = error_for(path, method, &operation);
        let place = format!("Api, {method} {path}: ");
        assert!(error.starts_with(&place) && error.contains(words), "{operation}: {error}");
    }
}

#[test]
fn one_path_and_verb_belongs_to_one_function() {
    for (from, to) in [("/health:", "/v1/jobs:"), ("put: *jobs", "get: *jobs")] {
        let error = parse(&TEMPLATE.replace(from, to), &[]).unwrap_err().to_string();
        assert!(error.contains("duplicated key"), "{error}");
    }
}

#[test]
fn routes_stand_in_the_definition_of_the_one_api() {
    let error = |text: &str| parse(text, &[]).unwrap_err().to_string();
    assert_eq!(error("Resources: {}"), "Resources: there is no AWS::Serverless::Api");
    let empty = "Resources: {Api: {Type: AWS::Serverless::Api, Properties: {StageName: dev}}}";
    assert_eq!(error(empty), "Api: needs a DefinitionBody, which says its routes");
    for kind in ["Api", "HttpApi"] {
        let error = error(&TEMPLATE.replace("Type: Schedule", &format!("Type: {kind}")));
        let refusal = format!(
            "JobsFunction.Nightly: {kind} events are not played: routes stand in the API's DefinitionBody"
        );
        assert_eq!(error, refusal);
    }
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
