//! A stateful twin of Concourse: an HTTP server on loopback that behaves as the real one does, in what it
//! gets right and in what makes clients stumble.
//!
//! It keeps teams, pipelines, jobs, builds and tokens; builds run through [`Script`]s in real time and their
//! events stream, replay and resume as Concourse's do. [`Version`] picks the release, [`Fault`] makes things
//! go wrong.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use gatehouse_testkit::concourse::{ConcourseTwin, Role, Script, Version};
//!
//! let twin = ConcourseTwin::builder()
//!     .version(Version::V8_3)
//!     .user("ci-gateway", "s3cret")
//!     .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
//!     .pipeline("main", "example", |pipeline| pipeline.job("hello", |job| job.script(Script::quick())))
//!     .start()
//!     .await;
//! assert!(twin.url().starts_with("http://127.0.0.1:"));
//! # }
//! ```

mod api;
mod builder;
mod caller;
mod calls;
mod checks;
mod config;
mod events;
mod faults;
mod pages;
mod presets;
mod roles;
mod run;
mod scheduling;
mod script;
mod server;
mod state;
mod token;
mod twin;
mod version;
mod world;

pub use builder::{JobBuilder, PipelineBuilder, TeamBuilder, TwinBuilder};
pub use calls::{Request, Route};
pub use faults::Fault;
pub use roles::Role;
pub use script::{Hook, Script, Status, TaskScript};
pub use twin::{BuildSnapshot, ConcourseTwin, PipelineName};
pub use version::Version;
