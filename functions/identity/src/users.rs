//! Users.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    access::Role,
    caller::Roles,
    name::{TenantId, UserName},
    users::{
        self, CreateUserError, EditUserError, FindUser, OwnPasswordError, User, UserDraft, UserPatch,
        UserState,
    },
    validation::{FieldError, pointer_token},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, Expected, JsonBody, NoQuery, PathParameter, QueryParameters, etag},
    page::{self, PageQuery},
    problem::{
        BEYOND_OWN_RIGHTS, CONFLICT, FORBIDDEN, LAST_PLATFORM_ADMIN, LOGIN_REFUSED, NOT_FOUND, ProblemBody,
        SECOND_FACTOR_REQUIRED, THROTTLED,
    },
    revocation::{EffectiveAnswer, Flush},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AppState;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// The name with which they log in.
    user_name: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// What they may do, by tenant; `*` is every tenant.
    #[schema(example = json!({ "acme": "developer" }))]
    roles: BTreeMap<String, &'static str>,
    /// `active` or `disabled`.
    state: &'static str,
    /// Whether somebody else chose their password, so that they have to change it at their next login.
    must_change_password: bool,
    /// Whether they have a second factor.
    second_factor: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    updated_by: String,
}

impl UserView {
    pub(crate) fn new(user: &User) -> Self {
        Self {
            user_name: user.name.to_string(),
            display_name: user.display_name.clone(),
            roles: roles_view(&user.roles),
            state: user.state.as_str(),
            must_change_password: user.must_change_password,
            second_factor: user.confirmed_factor().is_some(),
            created_at: user.created_at,
            updated_at: user.updated_at,
            updated_by: user.updated_by.clone(),
        }
    }
}

pub(crate) fn roles_view(roles: &Roles) -> BTreeMap<String, &'static str> {
    let everywhere = roles.everywhere.map(|role| ("*".to_owned(), role.as_str()));
    let tenants = roles.tenants.iter().map(|(tenant, role)| (tenant.to_string(), role.as_str()));
    everywhere.into_iter().chain(tenants).collect()
}

/// The most tenants that one user may have roles in: they have to fit what API Gateway hands over.
const MAX_TENANTS: usize = 50;

/// Reads roles by tenant, naming the fault.
fn read_roles(written: BTreeMap<String, String>) -> Result<Roles, Vec<FieldError>> {
    let mut roles = Roles::default();
    let mut errors = Vec::new();
    if written.len() > MAX_TENANTS {
        errors.push(FieldError::new("/roles", "must name at most 50 tenants"));
    }
    for (tenant, role) in written {
        let pointer = format!("/roles/{}", pointer_token(&tenant));
        match (tenant.as_str(), tenant.parse::<TenantId>(), role.parse::<Role>()) {
            (_, _, Err(error)) => errors.push(FieldError::new(pointer, error.to_string())),
            ("*", _, Ok(role)) => roles.everywhere = Some(role),
            (_, Err(error), _) => errors.push(FieldError::new(pointer, error.to_string())),
            (_, Ok(tenant), Ok(role)) => {
                roles.tenants.insert(tenant, role);
            }
        }
    }
    if errors.is_empty() { Ok(roles) } else { Err(errors) }
}

/// One user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserAnswer {
    user: UserView,
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsersAnswer {
    users: Vec<UserView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A user after an edit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EditedAnswer {
    user: UserView,
    #[serde(flatten)]
    effective: EffectiveAnswer,
}

/// Lists users by name.
#[utoipa::path(
    get, path = "/v1/users", operation_id = "list_users", tag = "identity", params(PageQuery),
    responses((status = 200, description = "A page of users.", body = UsersAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor, &caller, &[])?;
    let page = state.table.list_users(&request).await.map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &[]);
    let users = page.items.iter().map(UserView::new).collect();
    Ok((link, Json(UsersAnswer { users, next_cursor })))
}

/// A user who is to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUserBody {
    #[schema(value_type = String, example = "ada")]
    user_name: UserName,
    /// At least 8 characters, and not one that anybody would try first. The user has to change it at their first login.
    #[schema(value_type = String)]
    password: SecretString,
    #[serde(default)]
    display_name: Option<String>,
    /// By tenant, of which there may be 50: `viewer`, `developer` or `admin`; `*` is every tenant.
    #[serde(default)]
    #[schema(example = json!({ "acme": "developer" }))]
    roles: BTreeMap<String, String>,
}

/// Creates a user.
#[utoipa::path(
    post, path = "/v1/users", operation_id = "create_user", tag = "identity",
    request_body = CreateUserBody,
    responses(
        (status = 201, description = "The user was created.", body = UserAnswer),
        (status = 403, description = "The user would be worth more than the caller.", body = ProblemBody),
        (status = 409, description = "The name is taken.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    audited: Audited,
    _: NoQuery,
    JsonBody(body): JsonBody<CreateUserBody>,
) -> Result<impl IntoResponse, Problem> {
    let roles = read_roles(body.roles).map_err(Problem::invalid)?;
    let draft =
        UserDraft { name: body.user_name, display_name: body.display_name, roles, password: body.password };
    let audit = audited.context();
    let user = users::create(&*state.table, &*state.passwords, &*state.system, &audit, draft).await.map_err(
        |error| match error {
            CreateUserError::Invalid(errors) => Problem::invalid(errors),
            CreateUserError::Beyond(error) => Problem::new(BEYOND_OWN_RIGHTS, error.to_string()),
            CreateUserError::Taken(_) => Problem::new(CONFLICT, error.to_string()),
            CreateUserError::Hash(error) => Problem::internal(error),
            CreateUserError::Store(error) => Problem::store(error),
        },
    )?;
    let tag = etag(&user.revision);
    Ok((StatusCode::CREATED, [tag], Json(UserAnswer { user: UserView::new(&user) })))
}

/// Shows one user.
#[utoipa::path(
    get, path = "/v1/users/{user_name}", operation_id = "show_user", tag = "identity",
    params(("user_name" = String, Path, description = "The user's name.")),
    responses(
        (status = 200, description = "The user; the `ETag` is wanted for edits.", body = UserAnswer),
        (status = 404, description = "There is no such user.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    PathParameter(name): PathParameter<UserName>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let user = state.table.find_user(&name).await.map_err(Problem::store)?.ok_or_else(not_found)?;
    Ok(([etag(&user.revision)], Json(UserAnswer { user: UserView::new(&user) })))
}

pub(crate) fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such user.")
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditUserBody {
    #[serde(default)]
    display_name: Option<String>,
    /// By tenant: `viewer`, `developer` or `admin`; `*` is every tenant. At most 50 tenants. They replace all earlier ones.
    #[serde(default)]
    roles: Option<BTreeMap<String, String>>,
    /// `active` or `disabled`. A user who is disabled is logged out.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "disabled")]
    state: Option<UserState>,
}

/// Changes a user's roles or name, or disables or enables them. It holds at once.
#[utoipa::path(
    patch, path = "/v1/users/{user_name}", operation_id = "edit_user", tag = "identity",
    params(
        ("user_name" = String, Path, description = "The user's name."),
        ("If-Match" = String, Header, description = "The `ETag` of the user."),
    ),
    request_body = EditUserBody,
    responses(
        (status = 200, description = "The user was changed.", body = EditedAnswer),
        (status = 403, description = "The user is, or would be, worth more than the caller.", body = ProblemBody),
        (status = 404, description = "There is no such user.", body = ProblemBody),
        (status = 409, description = "This is the last platform admin.", body = ProblemBody),
        (status = 412, description = "The user was changed since they were read.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 428, description = "A change needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn edit(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(name): PathParameter<UserName>,
    _: NoQuery,
    Expected(expected): Expected,
    JsonBody(body): JsonBody<EditUserBody>,
) -> Result<impl IntoResponse, Problem> {
    let roles = body.roles.map(read_roles).transpose().map_err(Problem::invalid)?;
    let patch = UserPatch { display_name: body.display_name, roles, state: body.state };
    let audit = audited.context();
    let edited = users::edit(&*state.table, &*flush, &*state.system, &audit, &name, patch, &expected)
        .await
        .map_err(edit_problem)?;
    let answer = EditedAnswer {
        user: UserView::new(&edited.user),
        effective: EffectiveAnswer::new(edited.effective, edited.flush_error.as_ref()),
    };
    Ok(([etag(&edited.user.revision)], Json(answer)))
}

/// A user's next password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPasswordBody {
    /// At least 8 characters, and not one that anybody would try first.
    #[schema(value_type = String)]
    password: SecretString,
}

/// Gives a user another password, which they have to change at their next login, and ends all their sessions.
#[utoipa::path(
    post, path = "/v1/users/{user_name}/password", operation_id = "reset_password", tag = "identity",
    params(("user_name" = String, Path, description = "The user's name.")),
    request_body = ResetPasswordBody,
    responses(
        (status = 200, description = "The password was set.", body = EffectiveAnswer),
        (status = 403, description = "The user is worth more than the caller.", body = ProblemBody),
        (status = 404, description = "There is no such user.", body = ProblemBody),
        (status = 422, description = "The password is refused.", body = ProblemBody),
    )
)]
pub(crate) async fn reset_password(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(name): PathParameter<UserName>,
    _: NoQuery,
    JsonBody(body): JsonBody<ResetPasswordBody>,
) -> Result<impl IntoResponse, Problem> {
    let audit = audited.context();
    let (table, passwords, system) = (&*state.table, &*state.passwords, &*state.system);
    let edited = users::reset_password(table, passwords, &*flush, system, &audit, &name, &body.password)
        .await
        .map_err(edit_problem)?;
    Ok(Json(EffectiveAnswer::new(edited.effective, edited.flush_error.as_ref())))
}

pub(crate) fn own_password_problem(error: OwnPasswordError) -> Problem {
    match error {
        OwnPasswordError::NotAPerson => Problem::new(FORBIDDEN, error.to_string()),
        OwnPasswordError::NotFound => not_found(),
        OwnPasswordError::WrongPassword => Problem::new(LOGIN_REFUSED, "The current password is wrong."),
        OwnPasswordError::Throttled { retry_after } => {
            Problem::new(THROTTLED, "Too many attempts failed; try again later.").retry_after(retry_after)
        }
        OwnPasswordError::CodeRequired => Problem::new(SECOND_FACTOR_REQUIRED, error.to_string()),
        OwnPasswordError::WrongCode => Problem::new(LOGIN_REFUSED, error.to_string()),
        OwnPasswordError::Codes(error) => Problem::internal(error),
        OwnPasswordError::Changed => Problem::new(CONFLICT, error.to_string()),
        OwnPasswordError::Hash(error) => Problem::internal(error),
        OwnPasswordError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn edit_problem(error: EditUserError) -> Problem {
    match error {
        EditUserError::NotFound => not_found(),
        EditUserError::Invalid(errors) => Problem::invalid(errors),
        EditUserError::Beyond(error) => Problem::new(BEYOND_OWN_RIGHTS, error.to_string()),
        EditUserError::Precondition(error) => Problem::precondition(error),
        EditUserError::LastPlatformAdmin => Problem::new(LAST_PLATFORM_ADMIN, error.to_string()),
        EditUserError::Own(error) => own_password_problem(error),
        EditUserError::Hash(error) => Problem::internal(error),
        EditUserError::Store(error) => Problem::store(error),
    }
}
