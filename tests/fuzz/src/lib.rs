//! What reads text from outside, each with what has to hold whatever the text says.
//!
//! A [`Target`] takes bytes and panics where something does not hold. `run` lets libFuzzer look for such bytes, in a
//! build of its own that counts which code they reach; `tests/corpus.rs` gives every target its kept inputs in the
//! tests of every build.

mod callback;
mod caller;
mod catalog_file;
mod cursor;
mod event;
mod jobs_file;
mod jwt;
mod policy;
mod run_id;
mod sse;
mod system;
mod template;

/// One thing that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its inputs are in `corpus/<name>`.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub check: fn(&[u8]),
}

/// Everything that is fuzzed.
pub const TARGETS: &[Target] = &[
    Target { name: "callback", check: callback::check },
    Target { name: "catalog-file", check: catalog_file::check },
    Target { name: "cursor", check: cursor::check },
    Target { name: "event", check: event::check },
    Target { name: "jobs-file", check: jobs_file::check },
    Target { name: "jwt", check: jwt::check },
    Target { name: "policy", check: policy::check },
    Target { name: "run-id", check: run_id::check },
    Target { name: "sse", check: sse::check },
    Target { name: "template", check: template::check },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
