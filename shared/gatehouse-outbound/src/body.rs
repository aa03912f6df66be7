//! Reading bodies whose length somebody else decides.

use reqwest::Response;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the limit, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The connection was lost, or time ran out.
    #[error("the answer was cut off")]
    Lost(#[from] reqwest::Error),
}

/// Reads the whole body, up to `limit` bytes.
///
/// # Errors
///
/// When the body is longer, which an announced length shows before anything is read, or does not arrive whole.
pub async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLong(limit));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    // An announcement can be missing, or wrong, so the limit is checked again with every piece.
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
