//! What the rules' errors are over HTTP.

use gatehouse_domain::{
    catalog::{EditServiceError, ExtendError, ForgetEntityError, ShowServiceError},
    entities::ShowEntityError,
    error::Chain,
    id::OperationId,
    modules::EditModuleError,
    operations::{
        HistoryError, ShowOperationError, change::DeliveryError, decide::DecideError, request::RequestError,
    },
};
use gatehouse_http::{
    Problem,
    problem::{
        CONFLICT, FORBIDDEN, IDEMPOTENCY_KEY_REUSED, INVALID_QUERY, NOT_AWAITING_APPROVAL, NOT_FOUND,
        OPERATION_ENDED, OPERATION_RUNNING, PROVISIONER_UNAVAILABLE,
    },
};

fn no_service() -> Problem {
    Problem::show_service(ShowServiceError::NotFound)
}

pub(crate) fn no_module() -> Problem {
    Problem::new(NOT_FOUND, "There is no such module.")
}

pub(crate) fn module(error: EditModuleError) -> Problem {
    match error {
        EditModuleError::Invalid(errors) => Problem::invalid(errors),
        EditModuleError::TooMany => Problem::new(CONFLICT, error.to_string()),
        EditModuleError::NotFound => no_module(),
        EditModuleError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn no_entity() -> Problem {
    Problem::new(NOT_FOUND, "There is no such entity.")
}

/// The same for an entity of somebody else and for one that never was.
pub(crate) fn show_entity(error: ShowEntityError) -> Problem {
    match error {
        ShowEntityError::TenantUnclear => Problem::new(INVALID_QUERY, error.to_string()),
        ShowEntityError::NotFound => no_entity(),
        ShowEntityError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn forget(error: ForgetEntityError) -> Problem {
    match error {
        ForgetEntityError::TenantUnclear => Problem::new(INVALID_QUERY, error.to_string()),
        ForgetEntityError::NotFound => no_entity(),
        ForgetEntityError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        ForgetEntityError::Members(_) => Problem::new(FORBIDDEN, error.to_string()),
        ForgetEntityError::Precondition(error) => Problem::precondition(error),
        ForgetEntityError::Store(error) => Problem::store(error),
    }
}

fn key_reused() -> Problem {
    Problem::new(IDEMPOTENCY_KEY_REUSED, "The Idempotency-Key was used for another request.")
}

pub(crate) fn edit(error: EditServiceError) -> Problem {
    match error {
        EditServiceError::NotFound => no_service(),
        EditServiceError::Invalid(errors) => Problem::invalid(errors),
        EditServiceError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        EditServiceError::ForceForbidden(_) | EditServiceError::Protected { .. } => {
            Problem::new(FORBIDDEN, error.to_string())
        }
        EditServiceError::NameTaken(ref by) => {
            Problem::new(CONFLICT, error.to_string()).with("service_id", by.as_str())
        }
        EditServiceError::StillProvisioned(_)
        | EditServiceError::Busy(_)
        | EditServiceError::ComponentChanged => Problem::new(CONFLICT, error.to_string()),
        EditServiceError::KeyReused => key_reused(),
        EditServiceError::Precondition(error) => Problem::precondition(error),
        EditServiceError::Sealing(error) => Problem::seal(error),
        EditServiceError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn request(error: RequestError) -> Problem {
    match error {
        RequestError::NotFound => no_service(),
        RequestError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        RequestError::Invalid(errors) => Problem::invalid(errors),
        RequestError::Busy { ref operation, .. } => busy(operation, &error),
        RequestError::NotPossible(_) => Problem::new(CONFLICT, error.to_string()),
        RequestError::KeyReused => key_reused(),
        RequestError::NotReady(why) => Problem::new(PROVISIONER_UNAVAILABLE, why.to_string()),
        RequestError::Sealing(error) => Problem::seal(error),
        RequestError::Store(error) => Problem::store(error),
    }
}

/// Says which operation is in the way, and where it is: relative to `…/services/{service_id}/actions/…`.
fn busy(running: &OperationId, error: &RequestError) -> Problem {
    Problem::new(OPERATION_RUNNING, error.to_string())
        .with("operation", running.as_str())
        .located_at(format!("../operations/{running}"))
}

pub(crate) fn show_operation(error: ShowOperationError) -> Problem {
    match error {
        ShowOperationError::NotFound => Problem::new(NOT_FOUND, "There is no such operation."),
        ShowOperationError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn history(error: HistoryError) -> Problem {
    match error {
        HistoryError::Service(error) => Problem::show_service(error),
        HistoryError::List(error) => Problem::list(error),
    }
}

pub(crate) fn extend(error: ExtendError) -> Problem {
    match error {
        ExtendError::Show(error) => Problem::show_service(error),
        ExtendError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        ExtendError::Invalid(errors) => Problem::invalid(errors),
        ExtendError::NotPossible(_) => Problem::new(CONFLICT, error.to_string()),
        ExtendError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn decide(error: DecideError) -> Problem {
    match error {
        DecideError::Show(error) => show_operation(error),
        DecideError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        DecideError::OwnRequest | DecideError::NotInGroup { .. } => {
            Problem::new(FORBIDDEN, error.to_string())
        }
        DecideError::Invalid(errors) => Problem::invalid(errors),
        DecideError::Superseded(_) => Problem::new(CONFLICT, error.to_string()),
        DecideError::NotAsked(_) => Problem::new(NOT_AWAITING_APPROVAL, error.to_string()),
        DecideError::Ended(_) => Problem::new(OPERATION_ENDED, error.to_string()),
        DecideError::Store(error) => Problem::store(error),
    }
}

/// Logs that a pending signal was not delivered.
pub(crate) fn log_unsettled(operation: &OperationId, unsettled: Option<&DeliveryError>) {
    if let Some(error) = unsettled {
        tracing::warn!(
            operation_id = %operation,
            error = %Chain(error),
            "the pending signal of operation {operation} was not delivered; the janitor delivers it"
        );
    }
}
