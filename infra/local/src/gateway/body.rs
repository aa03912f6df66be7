//! Reading a request's body up to the limit.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::gateway_response::Refusal;

/// How much of a body beyond the limit is read and thrown away, so that a caller that sends first and
/// reads afterwards gets to see the refusal.
const DRAIN: usize = 64 * 1024 * 1024;

/// Reads a body of at most `limit` bytes.
pub async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Send + Unpin,
{
    let mut whole = BytesMut::new();
    let mut seen: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyIncomplete)?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > limit.saturating_add(DRAIN) {
            break;
        }
        if seen <= limit {
            whole.extend_from_slice(&data);
        }
    }
    if seen > limit { Err(Refusal::BodyTooLarge { limit }) } else { Ok(whole.freeze()) }
}
