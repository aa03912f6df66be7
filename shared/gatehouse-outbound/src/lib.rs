//! Everything that calls outward goes through here: guarded HTTP clients, bounded reading of what comes back, and
//! the pauses between tries.

mod address;
mod backoff;
mod body;
mod cause;
mod client;
mod sse;

pub use self::{
    address::{ForbiddenDestination, is_loopback},
    backoff::{Backoff, jittered},
    body::{BodyError, read_body},
    cause::find_cause,
    client::{CONNECT_TIMEOUT, HttpSetupError, OutboundClient, OutboundHttp},
    sse::{SseEvent, SseParser},
};
