//! One function's router over a table in memory, called as API Gateway calls it.
//!
//! ```ignore
//! let app = TestApp::start(|deps| jobs::router(state(deps))).await;
//! let answer = app.as_developer("acme").get("/v1/jobs").await;
//! insta::assert_snapshot!(answer, @"…");
//! ```
//!
//! Time stands still until a test moves it and ids count, so that answers can be compared word for word.

mod answer;
pub mod callers;
pub mod catalog;
mod ci;
mod client;
mod endings;
mod engine;
mod event;
mod flush;
mod interceptors;
mod secrets;
mod sse;
mod system;
mod table;
mod template;

pub use self::{
    answer::Answer,
    ci::{ScriptedCi, Start, StartedBuild},
    client::{Call, Client, Deps, TestApp},
    endings::Ending,
    engine::ScriptedEngine,
    flush::Flushes,
    interceptors::{Calls, Cost, Meter, Writes},
    secrets::MemorySecrets,
    sse::{Event, EventStream},
    system::TestSystem,
    table::{TestTable, job_draft, job_target},
};
