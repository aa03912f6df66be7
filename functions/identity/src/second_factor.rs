//! Second factors: one's own, and those of others who have lost theirs.

use axum::{Json, extract::State};
use gatehouse_domain::{
    name::UserName,
    users::{self, Edited, RecoveryCodes, SecondFactorError},
};
use gatehouse_http::{
    Problem,
    extract::{Audited, JsonBody, NoQuery, PathParameter},
    problem::{CONFLICT, LOGIN_REFUSED, NOT_FOUND, ProblemBody},
    revocation::{EffectiveAnswer, Flush},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AppState,
    users::{edit_problem, own_password_problem},
};

/// What the caller's device is told. It is shown now and never again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnrolmentAnswer {
    /// In base32, to be typed.
    secret: String,
    /// To be shown as an image.
    #[schema(example = "otpauth://totp/Gatehouse:ada?secret=…")]
    uri: String,
}

/// Makes a secret for the caller's device. It counts once a code of it is confirmed; until then this makes another one.
#[utoipa::path(
    post, path = "/auth/second-factor", operation_id = "enrol_second_factor", tag = "identity",
    responses(
        (status = 200, description = "The secret: TOTP with SHA-1, six digits and 30 seconds.", body = EnrolmentAnswer),
        (status = 404, description = "There is no such user.", body = ProblemBody),
        (status = 409, description = "There is a second factor already.", body = ProblemBody),
        (status = 412, description = "The user was changed at the same moment.", body = ProblemBody),
    )
)]
pub(crate) async fn enrol(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
) -> Result<Json<EnrolmentAnswer>, Problem> {
    let audit = audited.context();
    let enrolment = users::enrol_second_factor(&*state.table, &*state.codes, &*flush, &*state.system, &audit)
        .await
        .map_err(problem)?;
    Ok(Json(EnrolmentAnswer {
        secret: enrolment.secret.expose_secret().to_owned(),
        uri: enrolment.uri.expose_secret().to_owned(),
    }))
}

/// A code of the caller's device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmBody {
    #[schema(value_type = String, example = "123456")]
    code: SecretString,
}

/// The recovery codes of a second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryCodesAnswer {
    /// For when the device is lost, each for one login. They are shown now and never again.
    recovery_codes: Vec<String>,
    #[serde(flatten)]
    effective: EffectiveAnswer,
}

impl From<RecoveryCodes> for RecoveryCodesAnswer {
    fn from(RecoveryCodes { codes, edited }: RecoveryCodes) -> Self {
        let recovery_codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
        Self { recovery_codes, effective: effective(&edited) }
    }
}

/// Confirms that the caller's device makes the right codes: from now on they are wanted. Ends the caller's other sessions.
#[utoipa::path(
    post, path = "/auth/second-factor/confirm", operation_id = "confirm_second_factor", tag = "identity",
    request_body = ConfirmBody,
    responses(
        (status = 200, description = "The second factor counts.", body = RecoveryCodesAnswer),
        (status = 401, description = "The code is wrong.", body = ProblemBody),
        (status = 404, description = "There is nothing to confirm.", body = ProblemBody),
        (status = 409, description = "There is a second factor already.", body = ProblemBody),
        (status = 412, description = "The user was changed at the same moment.", body = ProblemBody),
        (status = 429, description = "Too many attempts failed.", body = ProblemBody),
    )
)]
pub(crate) async fn confirm(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
    JsonBody(body): JsonBody<ConfirmBody>,
) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let audit = audited.context();
    let confirmed = users::confirm_second_factor(
        &*state.table,
        &*state.codes,
        &*flush,
        &*state.system,
        &audit,
        &body.code,
    );
    Ok(Json(confirmed.await.map_err(problem)?.into()))
}

/// Makes ten new recovery codes. Those before are good no more, used or not; the device stays as it is.
#[utoipa::path(
    post, path = "/auth/second-factor/recovery-codes", operation_id = "renew_recovery_codes", tag = "identity",
    responses(
        (status = 200, description = "The new recovery codes.", body = RecoveryCodesAnswer),
        (status = 404, description = "There is no second factor.", body = ProblemBody),
        (status = 412, description = "The user was changed at the same moment.", body = ProblemBody),
    )
)]
pub(crate) async fn renew_recovery_codes(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
) -> Result<Json<RecoveryCodesAnswer>, Problem> {
    let audit = audited.context();
    let renewed = users::renew_recovery_codes(&*state.table, &*flush, &*state.system, &audit).await;
    Ok(Json(renewed.map_err(problem)?.into()))
}

/// Removes the caller's second factor.
#[utoipa::path(
    delete, path = "/auth/second-factor", operation_id = "remove_second_factor", tag = "identity",
    responses(
        (status = 200, description = "No code is wanted any more.", body = EffectiveAnswer),
        (status = 404, description = "There is no second factor.", body = ProblemBody),
        (status = 412, description = "The user was changed at the same moment.", body = ProblemBody),
    )
)]
pub(crate) async fn remove(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
) -> Result<Json<EffectiveAnswer>, Problem> {
    let audit = audited.context();
    let removed =
        users::remove_second_factor(&*state.table, &*flush, &*state.system, &audit).await.map_err(problem)?;
    Ok(Json(effective(&removed)))
}

/// Removes the second factor of a user who has lost it, and ends their sessions.
#[utoipa::path(
    delete, path = "/v1/users/{user_name}/second-factor", operation_id = "reset_second_factor", tag = "identity",
    params(("user_name" = String, Path, description = "The user's name.")),
    responses(
        (status = 200, description = "No code is wanted any more.", body = EffectiveAnswer),
        (status = 403, description = "The user is worth more than the caller.", body = ProblemBody),
        (status = 404, description = "There is no such user, or they have no second factor.", body = ProblemBody),
        (status = 412, description = "The user was changed at the same moment.", body = ProblemBody),
    )
)]
pub(crate) async fn reset(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(name): PathParameter<UserName>,
    _: NoQuery,
) -> Result<Json<EffectiveAnswer>, Problem> {
    let audit = audited.context();
    let reset = users::reset_second_factor(&*state.table, &*flush, &*state.system, &audit, &name).await;
    Ok(Json(effective(&reset.map_err(problem)?)))
}

fn effective(edited: &Edited) -> EffectiveAnswer {
    EffectiveAnswer::new(edited.effective, edited.flush_error.as_ref())
}

fn problem(error: SecondFactorError) -> Problem {
    match error {
        SecondFactorError::Enrolled => Problem::new(CONFLICT, error.to_string()),
        SecondFactorError::NotEnrolled => Problem::new(NOT_FOUND, error.to_string()),
        SecondFactorError::WrongCode => Problem::new(LOGIN_REFUSED, error.to_string()),
        SecondFactorError::Own(error) => own_password_problem(error),
        SecondFactorError::Edit(error) => edit_problem(error),
        SecondFactorError::Codes(error) => Problem::internal(error),
        SecondFactorError::Store(error) => Problem::store(error),
    }
}
