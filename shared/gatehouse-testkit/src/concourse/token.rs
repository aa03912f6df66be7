//! `/sky/issuer/token`: logs users and clients in.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::roles::{Claims, Token};
use super::state::State;
use super::world::{World, wall_clock};

/// The public client that every Concourse has.
const FLY: (&str, &str) = ("fly", "Zmx5");

const KNOWN_SCOPES: [&str; 6] = ["openid", "offline_access", "email", "profile", "groups", "federated:id"];

pub(super) fn router(world: &Arc<World>) -> Router {
    Router::new().route("/sky/issuer/token", any(issue_token)).with_state(world.clone())
}

type Form = HashMap<String, String>;

struct Refusal(StatusCode, &'static str, String);

impl Refusal {
    fn invalid_request(description: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "invalid_request", description.into())
    }

    fn invalid_grant(description: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, "invalid_grant", description.to_owned())
    }

    fn invalid_client() -> Self {
        Self(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client credentials.".to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, error, description) = self;
        let mut body = json!({"error": error});
        if !description.is_empty() {
            body["error_description"] = json!(description);
        }
        let body = body.to_string();
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

async fn issue_token(
    Extract(world): Extract<Arc<World>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if method != Method::POST {
        return Err(Refusal::invalid_request("method not allowed"));
    }
    let form: Form = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut state = world.lock();
    state.token_requests += 1;
    match field(&form, "grant_type") {
        "password" => password(&world, &mut state, &headers, &form),
        "client_credentials" => client_credentials(&world, &mut state, &headers, &form),
        "refresh_token" => refresh(&world, &mut state, &headers, &form),
        "urn:ietf:params:oauth:grant-type:token-exchange" => {
            if world.config.version.has_token_exchange() {
                client(&state, &headers, &form)?;
                return Err(Refusal::invalid_request("Requested connector does not exist."));
            }
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        _ => Err(Refusal(StatusCode::BAD_REQUEST, "unsupported_grant_type", String::new())),
    }
}

fn password(world: &World, state: &mut State, headers: &HeaderMap, form: &Form) -> Result<Response, Refusal> {
    let client = client(state, headers, form)?;
    let scopes: Vec<_> = field(form, "scope").split_whitespace().collect();
    check_scopes(&scopes)?;
    if state.users.is_empty() {
        return Err(Refusal::invalid_request("Requested connector does not exist."));
    }
    // Whoever writes their name in capitals is who they are.
    let asked = field(form, "username");
    let known = state.users.iter().find(|(name, _)| name.eq_ignore_ascii_case(asked));
    let Some((name, user)) = known.filter(|(_, user)| user.password == field(form, "password")) else {
        let description = "Invalid username or password".to_owned();
        return Err(Refusal(StatusCode::UNAUTHORIZED, "access_denied", description));
    };
    let claims = Claims::scoped("local", name, &user.groups, granted(world, &scopes));
    let mut token = Token { claims, client, expires_at: 0 };
    let refresh = scopes.contains(&"offline_access").then(|| replace_refresh_token(state, &token));
    Ok(grant(world, state, &mut token, refresh.as_deref()))
}

/// Clients are users of the connector `client`; nobody checks their scopes.
fn client_credentials(
    world: &World,
    state: &mut State,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Response, Refusal> {
    let client = client(state, headers, form)?;
    let scopes: Vec<_> = field(form, "scope").split_whitespace().collect();
    let claims = Claims::scoped("client", &client, &[], granted(world, &scopes));
    let mut token = Token { claims, client, expires_at: 0 };
    Ok(grant(world, state, &mut token, None))
}

fn refresh(world: &World, state: &mut State, headers: &HeaderMap, form: &Form) -> Result<Response, Refusal> {
    let client = client(state, headers, form)?;
    let known = state.refresh_tokens.remove(field(form, "refresh_token"));
    let Some(mut token) = known.filter(|token| token.client == client) else {
        return Err(Refusal::invalid_grant(
            "Refresh token is invalid or has already been claimed by another client.",
        ));
    };
    let next = replace_refresh_token(state, &token);
    Ok(grant(world, state, &mut token, Some(&next)))
}

/// Keeps one refresh token for each user and client; a new one ends the former.
fn replace_refresh_token(state: &mut State, token: &Token) -> String {
    state
        .refresh_tokens
        .retain(|_, it| it.client != token.client || it.claims.subject != token.claims.subject);
    let refresh = format!("refresh-{}", opaque_token(1, i64::from(u32::MAX)));
    state.refresh_tokens.insert(refresh.clone(), token.clone());
    refresh
}

fn granted<'a>(world: &World, asked: &'a [&'a str]) -> &'a [&'a str] {
    if world.config.grants_only_openid { &["openid"] } else { asked }
}

fn grant(world: &World, state: &mut State, token: &mut Token, refresh: Option<&str>) -> Response {
    let lifetime = i64::try_from(world.config.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    token.expires_at = wall_clock().saturating_add(lifetime);
    let access_token = opaque_token(state.tokens_issued, token.expires_at);
    state.tokens_issued += 1;
    state.tokens.insert(access_token.clone(), token.clone());
    let mut body = json!({
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": (lifetime - 1).max(0),
        "id_token": id_token(world, token),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    (headers, body.to_string()).into_response()
}

/// Shaped like a JWT, and never good as a bearer.
fn id_token(world: &World, token: &Token) -> String {
    let issuer = format!("{}/sky/issuer", world.url);
    let claims = token.claims.to_json(&issuer, &token.client, token.expires_at);
    let [header, claims] = [json!({"alg": "RS256", "kid": "twin"}), claims]
        .map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
    format!("{header}.{claims}.{}", BASE64URL_NOPAD.encode(b"not a signature"))
}

fn check_scopes(scopes: &[&str]) -> Result<(), Refusal> {
    if !scopes.contains(&"openid") {
        return Err(Refusal::invalid_request(r#"Missing required scope(s) ["openid"]."#));
    }
    let is_known =
        |scope: &str| KNOWN_SCOPES.contains(&scope) || scope.starts_with("audience:server:client_id:");
    let unknown: Vec<_> = scopes.iter().filter(|scope| !is_known(scope)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_request(format!("Unrecognized scope(s) {unknown:?}")))
}

/// Returns the id of the client, from a Basic header or, without one, from the form.
fn client(state: &State, headers: &HeaderMap, form: &Form) -> Result<String, Refusal> {
    let (id, secret) = match headers.get(AUTHORIZATION).and_then(|header| basic(header.to_str().ok()?)) {
        Some(pair) => pair,
        None => (field(form, "client_id").to_owned(), field(form, "client_secret").to_owned()),
    };
    let is_fly = (id.as_str(), secret.as_str()) == FLY;
    if is_fly || state.clients.get(&id).is_some_and(|known| *known == secret) {
        return Ok(id);
    }
    Err(Refusal::invalid_client())
}

/// Reads a Basic header. Both halves are URL-escaped inside it.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((unescaped(id), unescaped(secret)))
}

fn unescaped(text: &str) -> String {
    let pair = format!("x={}", text.replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map_or("", String::as_str)
}

/// Returns an opaque token: 20 random bytes and the expiry, in 38 characters.
///
/// Every other one is made to hold `+` and `/`, which clients that do not escape get wrong.
fn opaque_token(serial: u64, expires_at: i64) -> String {
    let mut bytes = [0; 28];
    getrandom::fill(&mut bytes[..20]).expect("the system gives random bytes");
    if serial.is_multiple_of(2) {
        bytes[..3].copy_from_slice(&[0xfb, 0xef, 0xff]);
    }
    bytes[20..].copy_from_slice(&expires_at.to_le_bytes());
    BASE64_NOPAD.encode(&bytes)
}
