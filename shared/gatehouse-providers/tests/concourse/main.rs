//! The Concourse provider against a twin that behaves as Concourse does, at every version that matters.

mod advice;
mod checking;
mod cutting;
mod directory;
mod discovering;
mod identity;
mod pins;
mod recordings;
mod runs;
mod starting;
mod suite;
mod support;
mod tls;
mod tokens;
mod watching;
