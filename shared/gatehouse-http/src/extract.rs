//! What handlers take from a request. Each extractor refuses with a problem that names the fault.

use std::{collections::HashSet, convert::Infallible, fmt, marker::PhantomData, str::FromStr};

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, OptionalFromRequest, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody, PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use gatehouse_domain::{
    audit::{AuditContext, Origin},
    caller::Caller,
    idempotency::IdempotencyKey,
    revision::{Precondition, Revision},
    revocation::Stage,
    validation::{FieldError, pointer_token},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use serde_json::{Value, value::RawValue};

use crate::{
    gateway,
    problem::{self, Problem},
    written::{OldWords, Words, Written},
};

/// The caller whom the operation admitted.
#[derive(Debug, Clone)]
pub struct Admitted(pub Caller);

impl<S: Sync> FromRequestParts<S> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Self).ok_or_else(nobody_was_admitted)
    }
}

/// The refusal of a request that passed no endpoint's admission.
pub(crate) fn nobody_was_admitted() -> Problem {
    Problem::new(problem::UNAUTHORIZED, "Nobody was admitted.")
}

/// From where the request comes, for the audit trail.
#[derive(Debug, Clone)]
pub struct CalledFrom(pub Origin);

impl<S: Sync> FromRequestParts<S> for CalledFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(gateway::origin(&parts.extensions)))
    }
}

/// The caller whom the operation admitted, and from where they call: who is in the audit trail.
#[derive(Debug, Clone)]
pub struct Audited {
    caller: Caller,
    origin: Origin,
}

impl Audited {
    /// What every entry of this request has in common.
    pub fn context(&self) -> AuditContext<'_> {
        AuditContext { caller: &self.caller, origin: &self.origin }
    }
}

impl<S: Sync> FromRequestParts<S> for Audited {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Admitted(caller) = Admitted::from_request_parts(parts, state).await?;
        Ok(Self { caller, origin: gateway::origin(&parts.extensions) })
    }
}

/// The stage through which the request came.
#[derive(Debug, Clone)]
pub struct CalledStage(pub Stage);

impl<S: Sync> FromRequestParts<S> for CalledStage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let stage = gateway::stage(&parts.extensions).map(Self);
        stage.ok_or_else(|| Problem::new(problem::BAD_REQUEST, "This came through no stage of an API."))
    }
}

/// The path's one parameter, parsed.
#[derive(Debug)]
pub struct PathParameter<T>(pub T);

impl<S, T> FromRequestParts<S> for PathParameter<T>
where
    S: Send + Sync,
    T: FromStr,
    T::Err: std::fmt::Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |detail: String| Problem::new(problem::INVALID_PATH, detail);
        let Path(raw): Path<String> = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection: PathRejection| refused(rejection.body_text()))?;
        raw.parse().map(Self).map_err(|error: T::Err| refused(error.to_string()))
    }
}

/// The path's parameters by their names, parsed.
#[derive(Debug)]
pub struct PathParameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parsed: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        parsed
            .map(|Path(parameters)| Self(parameters))
            .map_err(|rejection| Problem::new(problem::INVALID_PATH, rejection.body_text()))
    }
}

/// What a greedy parameter took of the path, as it stands in the request line: nothing is decoded, and no dots or
/// slashes are resolved.
#[derive(Debug)]
pub struct RestOfPath(pub String);

impl<S: Sync> FromRequestParts<S> for RestOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let rest = parts.extensions.get::<gateway::Rest>().map(|rest| Self(rest.0.clone()));
        rest.ok_or_else(|| Problem::new(problem::INVALID_PATH, "The path has nothing to pass on."))
    }
}

/// The query, with unknown parameters refused by `T`.
#[derive(Debug)]
pub struct QueryParameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|rejection| Problem::new(problem::INVALID_QUERY, reason(&rejection)))
    }
}

/// What serde has to say of a parameter, which the rejection shows behind words of its own.
fn reason(rejection: &QueryRejection) -> String {
    let text = rejection.body_text();
    let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    match reason.split_once(": ") {
        Some((parameter, reason)) => format!("`{parameter}`: {reason}"),
        None => reason.to_owned(),
    }
}

/// No query: what an operation does not understand is refused, never passed over.
#[derive(Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        match query.split(['&', '=']).find(|name| !name.is_empty()) {
            None => Ok(Self),
            Some(name) => {
                let name: String = name.chars().take(100).collect();
                let detail = format!("This operation takes no query parameters, and `{name}` was sent.");
                Err(Problem::new(problem::INVALID_QUERY, detail))
            }
        }
    }
}

/// A JSON object as the body, with unknown members refused by `T`. Members that are null are as if they were not there.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        required(request, state, &[]).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        Ok(optional(request, state, &[]).await?.map(Self))
    }
}

/// The same, where words of the systems before are understood as well.
#[derive(Debug)]
pub struct WithOldWords<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + OldWords> FromRequest<S> for WithOldWords<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        required(request, state, T::WORDS).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + OldWords> OptionalFromRequest<S> for WithOldWords<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        Ok(optional(request, state, T::WORDS).await?.map(Self))
    }
}

async fn required<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    words: &'static [Words],
) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        return Err(not_json());
    }
    parse(&body(request, state).await?, words)
}

async fn optional<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    words: &'static [Words],
) -> Result<Option<T>, Problem> {
    let json = is_json(request.headers());
    let body = body(request, state).await?;
    match (body.is_empty(), json) {
        (true, _) => Ok(None),
        (false, true) => parse(&body, words).map(Some),
        (false, false) => Err(not_json()),
    }
}

fn not_json() -> Problem {
    Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, "Send the body as `Content-Type: application/json`.")
}

/// A body as JSON, or as the form of a page sends it.
#[derive(Debug)]
pub struct FormOrJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + OldWords> FromRequest<S> for FormOrJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_form = |is: &str| is.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        if media_type(request.headers()).is_some_and(is_form) {
            // Read as JSON from here on, so that the same is understood, and refused with the same pointers.
            return parse(form_as_json(&body(request, state).await?).as_bytes(), T::WORDS).map(Self);
        }
        required(request, state, T::WORDS).await.map(Self)
    }
}

/// The fields of a form that say something, as an object of texts.
fn form_as_json(form: &[u8]) -> String {
    let fields = form_urlencoded::parse(form).filter(|(_, value)| !value.is_empty());
    let members = fields.map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// The body as bytes, whatever its type.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        body(request, state).await.map(Self)
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(problem::BODY_TOO_LARGE, "The body is larger than this operation takes.")
        }
        other => Problem::new(problem::MALFORMED_BODY, other.body_text()),
    })
}

/// Whether the body is said to be JSON; one of which nothing is said is taken for it. No page of another site can send
/// a credential along, so what it can send without being asked decides nothing.
fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_none_or(|is| is.eq_ignore_ascii_case("application/json"))
}

/// What the content type says without its parameters, in whatever case; `None` without one, and nothing that anybody
/// takes where it is no text.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(content_type.split(';').next().unwrap_or_default().trim())
}

/// Reads a member of a body in which null is as good as nothing.
///
/// # Errors
///
/// Where the value is of another form.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The most items of a list in a body. What a list means often allows fewer; no rule has to read more than these.
pub const MAX_ITEMS: usize = 5_000;

/// The most members of an object in a body.
pub const MAX_MEMBERS: usize = 1_000;

/// The longest text in a body, in bytes: rules that allow less say so themselves, with their own words.
pub const MAX_TEXT: usize = 768 * 1024;

/// Refuses JSON in which an object has two members of one name, at any depth: readers of JSON disagree on which of them
/// counts, so what one has checked another would not do. And JSON with lists, objects or texts beyond all measure.
///
/// # Errors
///
/// Where that stands; or when the text is no JSON.
pub fn check_json(body: &[u8]) -> Result<(), Problem> {
    check_value(&mut serde_json::Deserializer::from_slice(body))
}

/// [`check_json`] of what was read already, in which members are there once.
///
/// # Errors
///
/// As that.
pub fn check_value<'de, D>(value: D) -> Result<(), Problem>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(value).map(|Sane| ()).map_err(refused)
}

/// Any JSON whose objects have each member once, within the limits above.
struct Sane;

impl<'de> Deserialize<'de> for Sane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Sane {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self, E> {
        if text.len() > MAX_TEXT {
            return Err(E::custom(format!("must be at most {MAX_TEXT} bytes")));
        }
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut items_left = MAX_ITEMS;
        while items.next_element::<Self>()?.is_some() {
            if items_left == 0 {
                return Err(A::Error::custom(format!("must be at most {MAX_ITEMS} items")));
            }
            items_left -= 1;
        }
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if seen.len() == MAX_MEMBERS && !seen.contains(&name) {
                return Err(A::Error::custom(format!("must be at most {MAX_MEMBERS} members")));
            }
            if seen.insert(name) {
                members.next_value::<Self>()?;
            } else {
                // Failing at the value, so that the path of the error names the member.
                members.next_value::<Repeated>()?;
            }
        }
        Ok(self)
    }
}

/// The value of a member that was there before.
struct Repeated;

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this member is there more than once"))
    }
}

/// What stands in a body that cannot be taken.
fn refused(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let pointer = pointer(error.path());
    let reason = error.into_inner();
    if reason.is_data() {
        // The pointer says where it is; a line and column would be those of a piece of the text.
        let text = reason.to_string();
        let place = format!(" at line {} column {}", reason.line(), reason.column());
        Problem::invalid(vec![FieldError::new(pointer, text.strip_suffix(&place).unwrap_or(&text))])
    } else {
        malformed(reason)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], words: &'static [Words]) -> Result<T, Problem> {
    check_json(body)?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let text = <&RawValue>::deserialize(&mut json).map_err(malformed)?;
    json.end().map_err(|error| {
        Problem::new(problem::MALFORMED_BODY, format!("More follows the JSON value: {error}"))
    })?;
    serde_path_to_error::deserialize(Written::new(text, words)).map_err(refused)
}

fn malformed(reason: impl fmt::Display) -> Problem {
    Problem::new(problem::MALFORMED_BODY, format!("The body is not JSON: {reason}"))
}

/// A `T` that is written as an object. By itself serde takes a list of the members' values as well.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of a type with fields: null members are passed over there, and not in maps.
        deserializer.deserialize_struct("", &[], ObjectVisitor(PhantomData))
    }
}

/// Reads a member as an [`Object`], for `#[serde(deserialize_with)]`.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A serde path as a JSON pointer.
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => pointer.extend(["/", &index.to_string()]),
            Segment::Map { key } => {
                pointer.extend(["/", &pointer_token(key)]);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
        pointer
    })
}

/// The `Idempotency-Key` that the caller sent, if any.
#[derive(Debug)]
pub struct Idempotency(pub Option<IdempotencyKey>);

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(raw) = single(&parts.headers, "idempotency-key")? else { return Ok(Self(None)) };
        let key = raw.parse::<IdempotencyKey>();
        key.map(|key| Self(Some(key)))
            .map_err(|error| Problem::new(problem::INVALID_HEADER, error.to_string()))
    }
}

/// Says in an answer that an earlier request with the same `Idempotency-Key` did what this one asks for.
pub fn mark_replayed(headers: &mut HeaderMap) {
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
}

/// What `If-Match` or `If-None-Match` expects.
#[derive(Debug)]
pub struct Expected(pub Precondition);

impl<S: Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let refused = |detail: &str| Err(Problem::new(problem::INVALID_HEADER, detail));
        let if_match = single(&parts.headers, "if-match")?;
        let if_none_match = single(&parts.headers, "if-none-match")?;
        match (if_match, if_none_match) {
            (None, None) => Ok(Self(Precondition::None)),
            (None, Some("*")) => Ok(Self(Precondition::Absent)),
            (None, Some(_)) => refused("Of `If-None-Match`, only `*` is understood."),
            (Some(_), Some(_)) => refused("`If-Match` and `If-None-Match` contradict each other."),
            (Some(etag), None) => match etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')) {
                Some(revision) => Ok(Self(Precondition::Revision(Revision::unverified(revision.to_owned())))),
                None => refused("`If-Match` must be one strong ETag, with its quotes."),
            },
        }
    }
}

/// The header's one value; more than one contradict each other.
///
/// # Errors
///
/// When it is there twice, or is not text.
pub fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    // API Gateway passes a header both alone and in a list, so the same value may come twice.
    if values.any(|other| other != first) {
        return Err(Problem::new(problem::INVALID_HEADER, format!("`{name}` was sent more than once.")));
    }
    let text = first.to_str();
    text.map(Some)
        .map_err(|_| Problem::new(problem::INVALID_HEADER, format!("`{name}` must be visible ASCII.")))
}

/// The strong `ETag` of a revision.
pub fn etag(revision: &Revision) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{}\"", revision.as_str()))
}
