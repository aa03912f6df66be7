//! Running Terraform, and understanding what it says.

mod environment;
mod error;
mod lines;
mod outputs;
mod plan;
mod process;
mod ui;

use std::{ffi::OsString, path::PathBuf, process::ExitStatus};

use gatehouse_domain::json::Json;

pub use self::error::TerraformError;
pub(crate) use self::{
    outputs::{Outputs, outputs},
    plan::Plan,
};
use self::{
    process::{Ended, Process},
    ui::Ui,
};
use crate::{
    backend::Backend, callbacks::StepState, reporter::Reporter, settings::WorkerConfig, stop::Stop,
    workspace::Workspace,
};

/// Where a plan is kept while Terraform works with it.
const PLAN_FILE: &str = "gatehouse.tfplan";

/// The exit status of `plan -detailed-exitcode` where there is something to change.
const SOMETHING_CHANGED: i32 = 2;

/// Terraform in one workspace.
pub(crate) struct Terraform<'a> {
    pub(crate) config: &'a WorkerConfig,
    pub(crate) workspace: &'a Workspace,
    pub(crate) backend: &'a Backend,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stop: &'a Stop,
}

/// How a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanMode {
    /// Towards what the inputs say.
    Normal,
    Destroy,
    /// Only what changed behind Terraform's back.
    RefreshOnly,
}

/// An apply that did not come to its end.
pub(crate) struct Unapplied {
    pub(crate) error: TerraformError,
    /// Whether something may have changed nevertheless.
    pub(crate) changed: bool,
}

/// What a command that talks came to.
struct Talk {
    ended: Ended,
    ui: Ui,
}

impl Terraform<'_> {
    /// Gets providers, and proves that the state is where it should be.
    pub(crate) async fn init(&self) -> Result<(), TerraformError> {
        let mut arguments = vec!["-input=false", "-no-color", "-json"];
        if self.workspace.lock_file().exists() {
            // What is run is what was locked, or nothing.
            arguments.push("-lockfile=readonly");
        }
        let work = async {
            self.talk_to_the_end("init", &arguments).await?;
            let taken = self.workspace.backend_in_force().map_err(TerraformError::NoBackend)?;
            Ok(self.backend.is_in_force(&taken)?)
        };
        self.step("init", work).await
    }

    /// Makes a plan and reads it: `applyable` is what Terraform says by its exit status and in the plan, and a plan of
    /// which it says both is none.
    pub(crate) async fn plan(&self, mode: PlanMode) -> Result<Plan, TerraformError> {
        let lock = self.lock_timeout();
        let out = format!("-out={PLAN_FILE}");
        let mut arguments = vec!["-input=false", "-no-color", "-json", "-detailed-exitcode", &lock, &out];
        match mode {
            PlanMode::Normal => {}
            PlanMode::Destroy => arguments.push("-destroy"),
            PlanMode::RefreshOnly => arguments.push("-refresh-only"),
        }
        let status = self.step("plan", self.talk_to_the_end("plan", &arguments)).await?;
        let ended = status.code() == Some(SOMETHING_CHANGED);
        let plan = self.show().await?;
        if plan.applyable != Some(ended) {
            return Err(TerraformError::Contradiction { ended, shown: plan.applyable });
        }
        Ok(plan)
    }

    /// Reads the plan, and hides from now on what Terraform marks as sensitive in it.
    pub(crate) async fn show(&self) -> Result<Plan, TerraformError> {
        let shown = self.step("show", self.read("show", &["-no-color", "-json", PLAN_FILE])).await?;
        plan::hide_sensitive(&shown, self.reporter.mask());
        Ok(Plan::of(&shown))
    }

    /// Does what the plan says, which is `total` changes.
    pub(crate) async fn apply(&self, total: u32) -> Result<(), Unapplied> {
        let lock = self.lock_timeout();
        let arguments = ["-input=false", "-no-color", "-json", &lock, PLAN_FILE];
        let mut told = 0;
        let mut count = |done: u32| {
            let percentage = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
            if percentage > told {
                told = percentage;
                self.reporter.percentage(u8::try_from(percentage).unwrap_or(100));
            }
        };
        let mut changed = false;
        let work = async {
            // Until it has said that it begins with a resource, it has touched none.
            changed = true;
            let Talk { ended, ui } = self.talk("apply", &arguments, &mut count).await?;
            changed = ended.killed || !ended.heard || ui.begun() > 0;
            if ended.status.success() { Ok(()) } else { Err(self.failed("apply", &ended, ui.errors())) }
        };
        let done = self.step("apply", work).await;
        done.map_err(|error| Unapplied { error, changed })
    }

    /// Reads the outputs of the state, as Terraform prints them.
    pub(crate) async fn output(&self) -> Result<Json, TerraformError> {
        self.step("output", self.read("output", &["-no-color", "-json"])).await
    }

    /// Where the plan is, or will be.
    pub(crate) fn plan_file(&self) -> PathBuf {
        self.workspace.module().join(PLAN_FILE)
    }

    fn lock_timeout(&self) -> String {
        format!("-lock-timeout={}s", self.config.lock_timeout.as_secs())
    }

    /// Reports the beginning and the end of a step.
    async fn step<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, TerraformError>>,
    ) -> Result<T, TerraformError> {
        if self.stop.cause().is_some() {
            return Err(TerraformError::Interrupted { command: name });
        }
        self.reporter.step(name, StepState::Running);
        let outcome = work.await;
        let state = if outcome.is_ok() { StepState::Succeeded } else { StepState::Failed };
        self.reporter.step(name, state);
        outcome
    }

    /// Runs a command that talks, and that must do what it should.
    async fn talk_to_the_end(
        &self,
        command: &'static str,
        arguments: &[&str],
    ) -> Result<ExitStatus, TerraformError> {
        let Talk { ended, ui } = self.talk(command, arguments, &mut |_| {}).await?;
        let good =
            ended.status.success() || (command == "plan" && ended.status.code() == Some(SOMETHING_CHANGED));
        if good { Ok(ended.status) } else { Err(self.failed(command, &ended, ui.errors())) }
    }

    /// Runs a command that says line by line what it does, and passes that on. `changed` hears how many
    /// resources have been changed.
    async fn talk(
        &self,
        command: &'static str,
        arguments: &[&str],
        changed: &mut (dyn FnMut(u32) + Send),
    ) -> Result<Talk, TerraformError> {
        let mut ui = Ui::default();
        let ended = self
            .process(command, arguments)
            .run(&mut |line| {
                let text = ui.read(line);
                self.reporter.log(&text);
                changed(ui.changed());
            })
            .await?;
        self.reporter.log(&ended.complaints);
        Ok(Talk { ended, ui })
    }

    /// Runs a command that prints one JSON text, which is for us alone: it holds secrets in the clear.
    async fn read(&self, command: &'static str, arguments: &[&str]) -> Result<Json, TerraformError> {
        let mut json = String::new();
        let ended = self.process(command, arguments).run(&mut |line| json.push_str(line)).await?;
        if !ended.status.success() {
            return Err(self.failed(command, &ended, String::new()));
        }
        Json::parse(&json).map_err(|source| TerraformError::Garbled { command, source })
    }

    fn failed(&self, command: &'static str, ended: &Ended, errors: String) -> TerraformError {
        if ended.killed {
            return TerraformError::Killed { command, limit: self.config.stop_timeout };
        }
        if self.stop.cause().is_some() {
            return TerraformError::Interrupted { command };
        }
        let said = [errors, ended.complaints.trim().to_owned()].into_iter().find(|text| !text.is_empty());
        let reason = said.unwrap_or_else(|| format!("it ended with {} and said nothing", ended.status));
        TerraformError::Failed { command, reason }
    }

    fn process(&self, command: &'static str, arguments: &[&str]) -> Process<'_> {
        let arguments = std::iter::once(command).chain(arguments.iter().copied()).map(OsString::from);
        Process {
            program: &self.config.terraform,
            arguments: arguments.collect(),
            directory: self.workspace.module(),
            output: self.workspace.outside(),
            stop: self.stop,
            stop_timeout: self.config.stop_timeout,
        }
    }
}
