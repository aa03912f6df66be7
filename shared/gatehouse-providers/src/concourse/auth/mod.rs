//! Logging in to Concourse.

mod login;
mod source;
mod token;

pub(super) use self::{source::TokenSource, token::Token};
