use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version};
use jiff::Timestamp;
use lambda_http::{
    Body, RequestExt,
    aws_lambda_events::apigw::ApiGatewayCustomAuthorizerRequestTypeRequest,
    request::{LambdaRequest, RequestContext},
};

use super::*;

fn request(headers: &[(&'static str, &'static [u8])], query: &str, body: &'static [u8]) -> Incoming {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    Incoming {
        method: Method::POST,
        path: "/v1/jobs/a%20b".into(),
        query: query.into(),
        version: Version::HTTP_11,
        headers: map,
        body: Bytes::from_static(body),
        source_ip: [192, 0, 2, 1].into(),
        received_at: Timestamp::from_second(1_767_323_045).unwrap(),
        request_id: "req".into(),
        extended_request_id: "ext".into(),
        trace_id: "Root=1-x".into(),
    }
}

fn api() -> ApiIdentity {
    ApiIdentity { account: crate::testing::account(), api_id: "local".into(), stage: "dev".into() }
}

fn routed() -> Routed {
    Routed {
        resource: "/v1/jobs/{job_id}".into(),
        parameters: [("job_id".to_owned(), "a%20b".to_owned())].into(),
    }
}

fn event(request: &Incoming, binary: &[&str]) -> Value {
    let context = request_context(&api(), request, Some(&routed()));
    let binary: Vec<String> = binary.iter().map(|kind| (*kind).to_owned()).collect();
    proxy_event(request, &routed(), &context, &binary)
}

fn parsed(event: &Value) -> lambda_http::Request {
    serde_json::from_str::<LambdaRequest>(&event.to_string()).unwrap().into()
}

#[test]
fn repeated_headers_and_parameters_keep_all_values_and_the_last_one() {
    let request = request(&[("x-a", b"1"), ("x-a", b"2")], "q=1&q=2&plus=a+b%2Bc&empty&;semi=x", b"");
    let event = event(&request, &[]);
    assert_eq!(event["headers"]["x-a"], "2");
    assert_eq!(event["multiValueHeaders"]["x-a"], json!(["1", "2"]));
    assert_eq!(event["queryStringParameters"], json!({"q": "2", "plus": "a b+c", "empty": "", "semi": "x"}));
    assert_eq!(event["multiValueQueryStringParameters"]["q"], json!(["1", "2"]));
    let parsed = parsed(&event);
    // lambda_http lets the single value replace the many, here as on AWS.
    assert_eq!(parsed.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["2"]);
    assert_eq!(parsed.query_string_parameters().all("q"), Some(vec!["1", "2"]));
}

#[test]
fn what_is_empty_is_null_for_an_integration_and_an_object_for_an_authorizer() {
    let request = request(&[], "", b"");
    let context = request_context(&api(), &request, None);
    let routed = Routed { resource: "/".into(), parameters: BTreeMap::new() };
    let integration = proxy_event(&request, &routed, &context, &[]);
    let authorizer = authorizer_event(&request, &routed, &context, "arn");
    for field in
        ["queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables"]
    {
        assert_eq!(integration[field], Value::Null, "{field}");
        assert_eq!(authorizer[field], json!({}), "{field}");
    }
    assert_eq!((&integration["body"], &integration["isBase64Encoded"]), (&Value::Null, &false.into()));
}

#[test]
fn the_context_names_the_request() {
    let request = request(&[("host", b"127.0.0.1:3000"), ("user-agent", b"curl")], "", b"{}");
    let event = event(&request, &[]);
    let context = &event["requestContext"];
    assert_eq!(context["path"], "/dev/v1/jobs/a%20b");
    assert_eq!(context["resourcePath"], "/v1/jobs/{job_id}");
    assert_eq!(context["requestTime"], "02/Jan/2026:03:04:05 +0000");
    assert_eq!(context["requestTimeEpoch"], 1_767_323_045_000_i64);
    assert_eq!(context["identity"]["sourceIp"], "192.0.2.1");
    assert_eq!(context["protocol"], "HTTP/1.1");
    assert_eq!(event["path"], "/v1/jobs/a%20b");
    assert_eq!(event["pathParameters"]["job_id"], "a%20b");
}

#[test]
fn a_text_body_travels_as_text_and_a_binary_one_as_base64() {
    let text = event(&request(&[("content-type", b"application/json")], "", b"{\"a\":1}"), &[]);
    assert_eq!((&text["body"], &text["isBase64Encoded"]), (&"{\"a\":1}".into(), &false.into()));
    let invalid = request(&[], "", b"\xff\x00\xfe");
    let event_of_invalid = event(&invalid, &[]);
    assert_eq!(event_of_invalid["body"], "/wD+");
    let Body::Binary(bytes) = parsed(&event_of_invalid).into_body() else { panic!("not binary") };
    assert_eq!(bytes, b"\xff\x00\xfe");
    let declared = event(&request(&[("content-type", b"image/png")], "", b"abc"), &["image/png"]);
    assert_eq!((&declared["body"], &declared["isBase64Encoded"]), (&"YWJj".into(), &true.into()));
}

#[test]
fn hop_headers_are_dropped_and_forwarding_ones_added() {
    let headers: [(&str, &[u8]); 6] = [
        ("connection", b"keep-alive"),
        ("content-length", b"2"),
        ("x-forwarded-for", b"203.0.113.9"),
        ("x-forwarded-proto", b"gopher"),
        ("host", b"localhost:3000"),
        ("authorization", b"Bearer x"),
    ];
    let event = event(&request(&headers, "", b"{}"), &[]);
    let headers = event["headers"].as_object().unwrap();
    assert!(!headers.contains_key("connection") && !headers.contains_key("content-length"));
    assert_eq!(headers["X-Forwarded-For"], "203.0.113.9, 192.0.2.1");
    assert_eq!(
        (&headers["X-Forwarded-Proto"], &headers["X-Forwarded-Port"]),
        (&"http".into(), &"3000".into())
    );
    assert_eq!(headers["Authorization"], "Bearer x");
}

#[test]
fn lambda_http_reads_what_an_authorizer_said() {
    let request = request(&[("host", b"localhost")], "", b"");
    let mut context = request_context(&api(), &request, Some(&routed()));
    context["authorizer"] = json!({"principalId": "key_1", "integrationLatency": 0, "role": "admin"});
    let event = proxy_event(&request, &routed(), &context, &[]);
    let parsed = parsed(&event);
    let Some(RequestContext::ApiGatewayV1(seen)) = parsed.request_context_ref() else { panic!("no context") };
    assert_eq!(seen.authorizer.fields["role"], "admin");
    assert_eq!(parsed.uri().path(), "/dev/v1/jobs/a%20b");
    assert_eq!(parsed.raw_http_path(), "/v1/jobs/a%20b");
}

#[test]
fn an_authorizer_event_is_what_the_aws_types_expect() {
    let request = request(&[("authorization", b"Bearer x")], "q=1", b"");
    let context = request_context(&api(), &request, Some(&routed()));
    let arn = api().method_arn(&request);
    assert_eq!(arn, "arn:aws:execute-api:eu-west-1:000000000000:local/dev/POST/v1/jobs/a%20b");
    let event = authorizer_event(&request, &routed(), &context, &arn);
    let parsed: ApiGatewayCustomAuthorizerRequestTypeRequest = serde_json::from_value(event).unwrap();
    assert_eq!(parsed.method_arn.as_deref(), Some(arn.as_str()));
    assert_eq!(parsed.headers["authorization"], "Bearer x");
}
