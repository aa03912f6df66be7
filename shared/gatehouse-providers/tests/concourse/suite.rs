//! What holds of every adapter, at the versions that differ in what the adapter can do.

use std::sync::Arc;

use async_trait::async_trait;
use gatehouse_domain::ci::{CiProvider, Target};
use gatehouse_testkit::{
    ci_provider::{self, Job, Trouble},
    concourse::{ConcourseTwin, Fault, Role, Route, Script, Version},
};

use tokio::net::TcpStream;

use crate::support::{Bench, PASSWORD, USER, target};

struct Concourse(Bench);

async fn concourse(version: Version) -> Concourse {
    let succeeds = Script::new().task("run", |task| task.log("one\n").log("two\nthree\n"));
    let waits = Script::new().task("run", |task| task.log("ready\n").wait_for_release());
    let twin = ConcourseTwin::builder()
        .version(version)
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| {
            pipeline
                .job("succeeds", |job| job.script(succeeds))
                .job("fails", |job| job.script(Script::failing()))
                .job("waits", |job| job.script(waits))
        });
    Concourse(Bench::new(twin).await)
}

#[async_trait]
impl ci_provider::Bench for Concourse {
    fn provider(&self) -> Arc<dyn CiProvider> {
        self.0.provider()
    }

    fn target(&self, job: Job) -> Target {
        target(
            "app",
            match job {
                Job::Succeeds => "succeeds",
                Job::Fails => "fails",
                Job::Waits => "waits",
                Job::Missing => "missing",
            },
        )
    }

    fn runs(&self) -> usize {
        self.0.twin.builds().len()
    }

    async fn cause(&self, trouble: Trouble) -> bool {
        let twin = &self.0.twin;
        match trouble {
            Trouble::AnswerLost => {
                for route in [Route::Trigger, Route::Rerun] {
                    twin.fault(Fault::on(route).cut().after_effect());
                }
            }
            Trouble::RightsLost => twin.revoke_roles("main", USER),
            Trouble::Down => twin.go_down(),
        }
        true
    }

    async fn mend(&self) {
        self.0.twin.clear_faults();
        self.0.twin.come_up();
        let address = self.0.twin.url().trim_start_matches("http://");
        while TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

mod v6_5 {
    gatehouse_testkit::ci_provider_suite!(super::concourse(super::Version::V6_5));
}

mod v7_14 {
    gatehouse_testkit::ci_provider_suite!(super::concourse(super::Version::V7_14));
}

mod v8_3 {
    gatehouse_testkit::ci_provider_suite!(super::concourse(super::Version::V8_3));
}
