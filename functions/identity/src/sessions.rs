//! Logging in and out, and what callers may know of themselves.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    caller::{Caller, Grant, RequiredAction, Tenants},
    users::{self, LogIn, LoginError, Proof, SessionsError},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, CalledFrom, FormOrJson, JsonBody, NoQuery},
    problem::{
        BEYOND_OWN_RIGHTS, CONFLICT, FORBIDDEN, LOGIN_REFUSED, NOT_FOUND, ProblemBody,
        SECOND_FACTOR_REQUIRED, THROTTLED,
    },
    revocation::{EffectiveAnswer, Flush},
    written::{OldWords, Words},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    AppState,
    users::{UserView, edit_problem, not_found, own_password_problem, roles_view},
};

/// What somebody logs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    #[schema(example = "ada")]
    username: String,
    #[schema(value_type = String)]
    password: SecretString,
    /// The code of the user's device, or a recovery code; wanted where they have a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
}

impl OldWords for LoginBody {
    const WORDS: &'static [Words] = &[Words {
        // What clients of OAuth say beside, RFC 6749, section 4.3.2. Whoever logs in gets what their roles admit to,
        // whichever program they use.
        ignored: &["grant_type", "scope", "client_id", "client_secret"],
        ..Words::of("LoginBody")
    }];
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    /// To be sent as `Authorization: Bearer …`.
    token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// When the session ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What is to be done before anything else is open: `change_password` with `POST /auth/password`, or
    /// `enrol_second_factor` with `POST /auth/second-factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_action: Option<&'static str>,
    /// Who is logged in.
    user: UserView,
}

/// Logs somebody in. The answer to an unknown user is the answer to a wrong password.
#[utoipa::path(
    post, path = "/auth/login", operation_id = "log_in", tag = "identity", security(()),
    request_body = LoginBody,
    responses(
        (status = 200, description = "A session, for twelve hours, or until it is not used for two.", body = SessionAnswer),
        (status = 401, description = "The user name, the password or the code is wrong, or a code is wanted.", body = ProblemBody),
        (status = 429, description = "Too many attempts failed.", body = ProblemBody),
    )
)]
pub(crate) async fn log_in(
    State(state): State<AppState>,
    CalledFrom(origin): CalledFrom,
    _: NoQuery,
    FormOrJson(body): FormOrJson<LoginBody>,
) -> Result<Json<SessionAnswer>, Problem> {
    let wanted = LogIn { user: &body.username, password: &body.password, code: body.code.as_ref() };
    let AppState { table, passwords, codes, sign, system, .. } = &state;
    let logged_in = users::log_in(&**table, &**passwords, &**codes, &**sign, &**system, &origin, &wanted)
        .await
        .map_err(login_problem)?;
    Ok(Json(SessionAnswer {
        token: logged_in.token.expose_secret().to_owned(),
        token_type: "Bearer",
        expires_at: logged_in.claims.expires_at,
        required_action: logged_in.required_action.map(RequiredAction::as_str),
        user: UserView::new(&logged_in.user),
    }))
}

fn login_problem(error: LoginError) -> Problem {
    match error {
        LoginError::Refused => Problem::new(LOGIN_REFUSED, "The user name or the password is wrong."),
        LoginError::CodeRequired => Problem::new(SECOND_FACTOR_REQUIRED, error.to_string()),
        LoginError::WrongCode => Problem::new(LOGIN_REFUSED, error.to_string()),
        LoginError::Throttled { retry_after } => {
            Problem::new(THROTTLED, "Too many attempts failed; try again later.").retry_after(retry_after)
        }
        LoginError::Changed => Problem::new(CONFLICT, error.to_string()),
        LoginError::Hash(error) => Problem::internal(error),
        LoginError::Codes(error) => Problem::internal(error),
        LoginError::Sign(error) => Problem::internal(error),
        LoginError::Store(error) => Problem::store(error),
    }
}

/// Who is calling.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallerAnswer {
    /// `user`, `api_key` or `service`.
    kind: &'static str,
    /// The user's name, the key's id or the token's id.
    subject: String,
    /// The tenants whose things exist for the caller: `*` for all, or a list.
    #[schema(value_type = WrittenTenants, example = json!(["acme"]))]
    tenants: Value,
    /// What a person has to do before anything else is open to them: `change_password` or `enrol_second_factor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    required_action: Option<&'static str>,
    /// What a person may do, by tenant; `*` is every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<BTreeMap<String, &'static str>>,
    /// What a key may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'static str>>,
    /// The person whose key it is: `user:ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    minted_by: Option<String>,
    /// The project whose routes a service may reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// The service that is calling.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
}

/// Tenants as callers write them and are told of them: `*`, or a list of names.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TenantNames)]
#[serde(untagged)]
pub(crate) enum WrittenTenants {
    All(String),
    Only(BTreeSet<String>),
}

/// Tenants as JSON: `*`, or a list.
pub(crate) fn tenants_view(tenants: &Tenants) -> Value {
    match tenants {
        Tenants::All => json!("*"),
        Tenants::Only(tenants) => tenants.iter().map(ToString::to_string).collect(),
    }
}

impl CallerAnswer {
    fn new(caller: &Caller) -> Self {
        let nobody = Self {
            kind: "user",
            subject: caller.subject.clone(),
            tenants: tenants_view(&caller.tenants()),
            required_action: caller.required_action().map(RequiredAction::as_str),
            roles: None,
            scopes: None,
            minted_by: None,
            project: None,
            service: None,
        };
        match &caller.grant {
            Grant::User { roles, .. } => Self { roles: Some(roles_view(roles)), ..nobody },
            Grant::ApiKey { scopes, minted_by, .. } => Self {
                kind: "api_key",
                minted_by: minted_by.clone(),
                scopes: Some(scopes.iter().map(|scope| scope.as_str()).collect()),
                ..nobody
            },
            Grant::Service { project, service, .. } => Self {
                kind: "service",
                project: Some(project.to_string()),
                service: Some(service.to_string()),
                ..nobody
            },
            Grant::Operation { .. } => Self { kind: "operation", ..nobody },
        }
    }
}

/// Says who is calling.
#[utoipa::path(
    get, path = "/auth/me", operation_id = "show_caller", tag = "identity",
    responses((status = 200, description = "Who is calling.", body = CallerAnswer))
)]
pub(crate) async fn show_caller(Admitted(caller): Admitted, _: NoQuery) -> Json<CallerAnswer> {
    Json(CallerAnswer::new(&caller))
}

/// Ends the caller's session at once.
#[utoipa::path(
    post, path = "/auth/logout", operation_id = "log_out", tag = "identity",
    responses((status = 200, description = "The session has ended.", body = EffectiveAnswer))
)]
pub(crate) async fn log_out(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let audit = audited.context();
    let ended =
        users::log_out(&*state.table, &*flush, &*state.system, &audit).await.map_err(sessions_problem)?;
    Ok(Json(EffectiveAnswer::new(ended.effective, ended.flush_error.as_ref())))
}

pub(crate) fn sessions_problem(error: SessionsError) -> Problem {
    match error {
        SessionsError::NotAPerson => Problem::new(FORBIDDEN, error.to_string()),
        SessionsError::NotFound => Problem::new(NOT_FOUND, error.to_string()),
        SessionsError::NoSuchUser => not_found(),
        SessionsError::Beyond(error) => Problem::new(BEYOND_OWN_RIGHTS, error.to_string()),
        SessionsError::Store(error) => Problem::store(error),
    }
}

/// The caller's password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReauthenticateBody {
    #[schema(value_type = String)]
    password: SecretString,
    /// The code of the caller's device, or a recovery code; wanted where they have a second factor.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "123456")]
    code: Option<SecretString>,
}

/// Proves again who the caller is. For ten minutes they may then do in this session what asks for it.
#[utoipa::path(
    post, path = "/auth/reauthenticate", operation_id = "reauthenticate", tag = "identity",
    request_body = ReauthenticateBody,
    responses(
        (status = 200, description = "The session is as if it had just begun.", body = EffectiveAnswer),
        (status = 401, description = "The password or the code is wrong, or a code is wanted.", body = ProblemBody),
        (status = 409, description = "The user was changed at the same moment.", body = ProblemBody),
        (status = 429, description = "Too many attempts failed.", body = ProblemBody),
    )
)]
pub(crate) async fn reauthenticate(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
    JsonBody(body): JsonBody<ReauthenticateBody>,
) -> Result<impl IntoResponse, Problem> {
    let AppState { table, passwords, codes, system, .. } = &state;
    let (audit, proof) = (audited.context(), Proof { password: &body.password, code: body.code.as_ref() });
    let (effective, error) =
        users::reauthenticate(&**table, &**passwords, &**codes, &*flush, &**system, &audit, &proof)
            .await
            .map_err(own_password_problem)?;
    Ok(Json(EffectiveAnswer::new(effective, error.as_ref())))
}

/// The caller's old and new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePasswordBody {
    #[schema(value_type = String)]
    current_password: SecretString,
    /// At least 8 characters, and not one that anybody would try first.
    #[schema(value_type = String)]
    new_password: SecretString,
}

/// Changes the caller's own password and ends their other sessions.
#[utoipa::path(
    post, path = "/auth/password", operation_id = "change_password", tag = "identity",
    request_body = ChangePasswordBody,
    responses(
        (status = 200, description = "The password was changed.", body = EffectiveAnswer),
        (status = 401, description = "The current password is wrong.", body = ProblemBody),
        (status = 422, description = "The new password is refused.", body = ProblemBody),
        (status = 429, description = "Too many attempts failed.", body = ProblemBody),
    )
)]
pub(crate) async fn change_password(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
    JsonBody(body): JsonBody<ChangePasswordBody>,
) -> Result<impl IntoResponse, Problem> {
    let (table, passwords, system) = (&*state.table, &*state.passwords, &*state.system);
    let ChangePasswordBody { current_password, new_password } = &body;
    let audit = audited.context();
    let edited =
        users::change_password(table, passwords, &*flush, system, &audit, current_password, new_password)
            .await
            .map_err(edit_problem)?;
    Ok(Json(EffectiveAnswer::new(edited.effective, edited.flush_error.as_ref())))
}
