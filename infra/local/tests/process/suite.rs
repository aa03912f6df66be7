//! What holds of every adapter to a CI system.

use std::{
    fs,
    future::{Ready, ready},
    sync::Arc,
};

use async_trait::async_trait;
use gatehouse_domain::ci::{CiProvider, Target};
use gatehouse_testkit::ci_provider::{Bench, Job, Trouble};

use crate::stack::{Stack, sh, target};

struct Commands(Stack);

fn commands() -> Ready<Commands> {
    ready(Commands(Stack::new()))
}

#[async_trait]
impl Bench for Commands {
    /// There is one for each directory.
    fn provider(&self) -> Arc<dyn CiProvider> {
        self.0.provider.clone()
    }

    fn target(&self, job: Job) -> Target {
        match job {
            Job::Succeeds => sh(r"printf 'one\n'; printf 'two\nthree\n'"),
            Job::Fails => sh("exit 1"),
            Job::Waits => sh("echo ready; exec sleep 3600"),
            Job::Missing => Target::Process(target(&["no-such-program"])),
        }
    }

    fn runs(&self) -> usize {
        fs::read_dir(self.0.directory.path().join("runs"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("run_"))
            .count()
    }

    /// Nothing lies between the stack and its commands, and they have no accounts.
    async fn cause(&self, _: Trouble) -> bool {
        false
    }

    async fn mend(&self) {}
}

gatehouse_testkit::ci_provider_suite!(commands());
