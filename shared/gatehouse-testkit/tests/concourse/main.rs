//! The twin of Concourse against what is known of Concourse, over the wire.

mod auth;
mod builds;
mod checks;
mod client;
mod faults;
mod jobs;
mod recordings;
mod stream;
mod transcripts;
mod waiting;
