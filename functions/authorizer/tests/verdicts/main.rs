//! What the authorizer decides.

mod decisions;
mod events;
mod support;
