//! A function's answer, turned into what the caller gets.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use super::media;

/// Status and headers of an answer.
#[derive(Debug)]
pub struct Head {
    pub status: StatusCode,
    /// The headers, as the caller sees them.
    pub headers: HeaderMap,
}

/// Why an answer is not a proxy response.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON of the right shape.
    #[error("malformed Lambda proxy response: {0}")]
    Shape(String),
    #[error("malformed Lambda proxy response: {0} is not an HTTP status")]
    Status(String),
    /// A header cannot be sent.
    #[error("malformed Lambda proxy response: the header {0} cannot be sent")]
    Header(String),
    /// The body is not base64, though the answer says so.
    #[error("malformed Lambda proxy response: the body is not base64")]
    Base64,
}

/// `headers` and `multiValueHeaders`; the latter may hold one value or many.
type Headers = Option<BTreeMap<String, Value>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Buffered {
    status_code: Option<Value>,
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    multi_value_headers: Headers,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prelude {
    status_code: Option<Value>,
    #[serde(default)]
    headers: Headers,
    #[serde(default)]
    multi_value_headers: Headers,
    #[serde(default)]
    cookies: Vec<String>,
}

/// Reads a buffered answer.
///
/// Base64 is decoded only when the request's `Accept` header names a binary media type of the API:
/// otherwise the caller gets the base64 text, as on AWS.
pub fn buffered(payload: &[u8], accept: &str, binary: &[String]) -> Result<(Head, Bytes), Malformed> {
    let answer: Buffered = parse(payload)?;
    let text = answer.body.unwrap_or_default();
    let decode = answer.is_base64_encoded == Some(true) && media::matches(binary, accept);
    let body =
        if decode { BASE64.decode(text.as_bytes()).map_err(|_| Malformed::Base64)? } else { text.into() };
    let head = head(answer.status_code, answer.headers, answer.multi_value_headers)?;
    Ok((head, body.into()))
}

/// Reads the prelude of a streamed answer.
pub fn prelude(payload: &[u8]) -> Result<Head, Malformed> {
    let prelude: Prelude = parse(payload)?;
    let mut head = head(prelude.status_code, prelude.headers, prelude.multi_value_headers)?;
    for cookie in prelude.cookies {
        head.headers.append(header::SET_COOKIE, value("set-cookie", &cookie)?);
    }
    Ok(head)
}

fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(payload).map_err(|error| Malformed::Shape(error.to_string()))
}

fn head(code: Option<Value>, headers: Headers, many: Headers) -> Result<Head, Malformed> {
    let mut all = HeaderMap::new();
    for (name, values) in many.into_iter().flatten().chain(headers.into_iter().flatten()) {
        add(&mut all, &name, values)?;
    }
    if !all.contains_key(header::CONTENT_TYPE) {
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(Head { status: status(code)?, headers: all })
}

/// A missing status is 200, and a status may be text.
fn status(code: Option<Value>) -> Result<StatusCode, Malformed> {
    let number = match &code {
        None | Some(Value::Null) => Some(200),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64(),
    };
    let sendable = number.filter(|number| (200..600).contains(number));
    let code = || code.unwrap_or_default().to_string();
    let number = sendable.and_then(|number| u16::try_from(number).ok()).ok_or_else(code);
    number
        .and_then(|number| StatusCode::from_u16(number).map_err(|_| number.to_string()))
        .map_err(Malformed::Status)
}

fn add(into: &mut HeaderMap, name: &str, values: Value) -> Result<(), Malformed> {
    let bad = || Malformed::Header(name.to_owned());
    let Some(name) = passed_as(&name.to_ascii_lowercase()) else { return Ok(()) };
    let name = HeaderName::try_from(name).map_err(|_| bad())?;
    let values = match values {
        Value::Array(values) => values,
        one => vec![one],
    };
    for one in values {
        let one = value(name.as_str(), &text(one).ok_or_else(bad)?)?;
        if !into.get_all(&name).iter().any(|known| *known == one) {
            into.append(name.clone(), one);
        }
    }
    Ok(())
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_str(text).map_err(|_| Malformed::Header(name.to_owned()))
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Headers that the gateway writes itself arrive under another name, or not at all.
fn passed_as(name: &str) -> Option<String> {
    match name {
        "transfer-encoding" | "proxy-authenticate" => None,
        "connection" | "content-length" | "content-md5" | "date" | "expect" | "host" | "max-forwards"
        | "server" | "trailer" | "upgrade" | "user-agent" | "www-authenticate" => {
            Some(format!("x-amzn-remapped-{name}"))
        }
        other => Some(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(answer: &Value) -> Result<(Head, Bytes), Malformed> {
        buffered(answer.to_string().as_bytes(), "text/html", &["image/png".into()])
    }

    fn header(head: &Head, name: &str) -> Vec<String> {
        head.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn fields_may_be_missing() {
        let (head, body) = read(&json!({})).unwrap();
        assert_eq!((head.status.as_u16(), body.len()), (200, 0));
        assert_eq!(header(&head, "content-type"), ["application/json"]);
    }

    #[test]
    fn headers_are_merged_and_repeated_pairs_told_once() {
        let answer = json!({
            "statusCode": "201",
            "headers": {"X-A": "1", "X-B": true, "X-C": 7},
            "multiValueHeaders": {"x-a": ["1", "2"], "Set-Cookie": ["a=1", "b=2"]},
        });
        let (head, _) = read(&answer).unwrap();
        assert_eq!(head.status, 201);
        assert_eq!(header(&head, "x-a"), ["1", "2"]);
        assert_eq!(header(&head, "set-cookie"), ["a=1", "b=2"]);
        assert_eq!((header(&head, "x-b"), header(&head, "x-c")), (vec!["true".into()], vec!["7".into()]));
    }

    #[test]
    fn headers_of_the_gateway_itself_are_remapped() {
        let answer =
            json!({"headers": {"WWW-Authenticate": "Bearer", "Server": "x", "Transfer-Encoding": "chunked"}});
        let (head, _) = read(&answer).unwrap();
        assert_eq!(header(&head, "x-amzn-remapped-www-authenticate"), ["Bearer"]);
        assert_eq!(header(&head, "x-amzn-remapped-server"), ["x"]);
        assert!(
            header(&head, "www-authenticate").is_empty() && header(&head, "transfer-encoding").is_empty()
        );
    }

    #[test]
    fn base64_is_decoded_for_callers_that_accept_a_binary_type_and_for_no_others() {
        let payload = json!({"body": "/wA=", "isBase64Encoded": true}).to_string();
        let body = |accept: &str, binary: &[&str]| {
            let binary: Vec<String> = binary.iter().map(|kind| (*kind).to_owned()).collect();
            buffered(payload.as_bytes(), accept, &binary).unwrap().1
        };
        assert_eq!(body("image/png, */*", &["image/png"]), b"\xff\x00"[..]);
        assert_eq!(body("", &["*/*"]), b"\xff\x00"[..]);
        assert_eq!(body("*/*", &["image/png"]), "/wA=");
        assert_eq!(body("image/png", &[]), "/wA=");
    }

    #[test]
    fn anything_else_is_malformed() {
        for answer in [
            json!("text"),
            json!(null),
            json!({"statusCode": 200, "extra": 1}),
            json!({"statusCode": 99}),
            json!({"statusCode": 101}),
            json!({"statusCode": 999}),
            json!({"statusCode": {}}),
            json!({"statusCode": "two"}),
            json!({"body": {"a": 1}}),
            json!({"headers": {"x": null}}),
            json!({"headers": {"a b": "x"}}),
            json!({"headers": {"x": "a\nb"}}),
            json!({"multiValueHeaders": {"x": [["y"]]}}),
        ] {
            assert!(read(&answer).is_err(), "{answer}");
        }
        let not_base64 = json!({"body": "!", "isBase64Encoded": true}).to_string();
        assert_eq!(buffered(not_base64.as_bytes(), "", &["*/*".into()]).unwrap_err(), Malformed::Base64);
    }

    #[test]
    fn a_prelude_brings_cookies() {
        let head = prelude(br#"{"statusCode":202,"headers":{"x":["1","2"]},"cookies":["a=1"]}"#).unwrap();
        assert_eq!((head.status.as_u16(), header(&head, "x")), (202, vec!["1".into(), "2".into()]));
        assert_eq!(header(&head, "set-cookie"), ["a=1"]);
    }
}
