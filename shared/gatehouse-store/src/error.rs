//! What the SDK says, in the words of the domain.

use aws_sdk_dynamodb::error::SdkError;
use gatehouse_domain::store::StoreError;

/// A call that failed for good: the SDK has tried it as often as makes sense.
pub fn unavailable<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Unavailable(Box::new(error))
}

/// The SDK refused to build a request: a defect of ours.
pub fn unbuildable(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Corrupt(Box::new(error))
}

/// Whether a conditional write was made; `false` when its condition did not hold.
pub fn conditional<T, E, R>(
    result: Result<T, SdkError<E, R>>,
    is_refusal: fn(&E) -> bool,
) -> Result<bool, StoreError>
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(is_refusal) => Ok(false),
        Err(error) => Err(unavailable(error)),
    }
}
