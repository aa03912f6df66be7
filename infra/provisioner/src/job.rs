//! The work itself: from a work order to a result.

use std::num::NonZeroU32;

use gatehouse_domain::error::Chain;

use crate::{
    artifacts::{ArtifactError, Artifacts},
    callbacks::{Command, PlanCounts},
    module::{self, InputError, Module, UnknownModule, UnreadableModule, Variables},
    reporter::Reporter,
    settings::{SettingsError, WorkerConfig},
    stop::Stop,
    terraform::{Plan, PlanMode, Terraform, TerraformError, outputs},
    work::{Kind, OrderError, Phase, WorkOrder},
    workspace::{Workspace, backend},
};

/// Everything that the work needs.
pub(crate) struct Job<'a> {
    pub(crate) order: &'a WorkOrder,
    pub(crate) attempt: NonZeroU32,
    pub(crate) config: &'a WorkerConfig,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stop: &'a Stop,
}

/// Why the work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The worker is not set up for it.
    #[error("the worker is not set up")]
    Settings(#[from] SettingsError),
    /// The work order is not for this worker.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// There is no such module.
    #[error(transparent)]
    Module(#[from] UnknownModule),
    /// The module cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableModule),
    /// The inputs do not fit.
    #[error(transparent)]
    Inputs(#[from] InputError),
    /// There is no place to work in.
    #[error("no workspace could be made")]
    Workspace(#[from] std::io::Error),
    /// The plan is not where it should be.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// Terraform did not do it.
    #[error(transparent)]
    Terraform(#[from] TerraformError),
}

impl Job<'_> {
    /// Does the work, and returns what to tell Gatehouse.
    pub(crate) async fn work(&self) -> Result<Command, JobError> {
        let module = Module::find(&self.config.modules, &self.order.module)?;
        let variables = module.variables()?;
        self.hide_secrets(&variables);
        module::check(module.name(), &variables, &self.order.inputs)?;
        let artifacts = Artifacts::open(&self.config.artifacts, self.config.region.as_deref())?;
        let backend = backend(&self.config.state, self.config.region.as_deref(), self.order);
        let workspace = Workspace::prepare(&module, self.order, &backend)?;
        let terraform = Terraform {
            config: self.config,
            workspace: &workspace,
            reporter: self.reporter,
            stop: self.stop,
        };
        match self.order.phase {
            Phase::Plan => self.plan(&terraform, &artifacts).await,
            Phase::Apply => self.apply(&terraform, &artifacts).await,
        }
    }

    /// Values of sensitive variables are secrets from now on, their defaults too.
    fn hide_secrets(&self, variables: &Variables) {
        for (name, variable) in variables.iter().filter(|(_, variable)| variable.sensitive) {
            let values = [self.order.inputs.get(name), variable.default.as_ref()];
            values.into_iter().flatten().for_each(|value| self.reporter.mask().hide_value(value));
        }
    }

    async fn plan(&self, terraform: &Terraform<'_>, artifacts: &Artifacts) -> Result<Command, JobError> {
        let mode = match self.order.kind {
            Kind::Provision => PlanMode::Normal,
            Kind::Deprovision => PlanMode::Destroy,
            Kind::Drift => PlanMode::RefreshOnly,
        };
        terraform.init().await?;
        let something = terraform.plan(mode).await?;
        let plan = terraform.show().await?;
        if self.order.kind == Kind::Drift {
            return Ok(drift(something.then_some(plan)));
        }
        // A worker that was superseded must not replace the plan of the one that came after it.
        self.reporter.settled().await;
        if self.stop.cause().is_some() {
            return Err(TerraformError::Interrupted { command: "plan" }.into());
        }
        let (plan_file, lock_file) = (terraform.plan_file(), terraform.workspace.lock_file());
        artifacts.keep(&self.order.operation_id, self.attempt, &plan_file, &lock_file).await?;
        let counts = plan.to_apply();
        let PlanCounts { add, change, destroy } = counts;
        let message = format!("{add} to add, {change} to change, {destroy} to destroy");
        Ok(Command::Success { plan: Some(counts), outputs: None, message })
    }

    async fn apply(&self, terraform: &Terraform<'_>, artifacts: &Artifacts) -> Result<Command, JobError> {
        let (plan_file, lock_file) = (terraform.plan_file(), terraform.workspace.lock_file());
        // Exactly the plan that was shown and approved, with the provider versions that made it: Terraform refuses it where
        // the state has moved on since.
        artifacts.fetch(&self.order.operation_id, self.attempt, &plan_file, &lock_file).await?;
        terraform.init().await?;
        let total = terraform.show().await?.to_apply().total();
        terraform.apply(total).await?;
        // It is done, so being asked to stop comes too late: what is there has to be known.
        let calm = Stop::default();
        let printed = Terraform { stop: &calm, ..*terraform }.output().await?;
        if let Err(error) = artifacts.forget(&self.order.operation_id, self.attempt).await {
            // It is of no more use, and the store forgets it by itself.
            tracing::warn!(cause = %Chain(&error), "an applied plan could not be deleted");
        }
        let outputs = outputs(&printed, self.reporter.mask());
        Ok(Command::Success { plan: None, outputs: Some(outputs), message: format!("{total} changes made") })
    }
}

/// What a drift check found; nothing differs without a plan.
fn drift(plan: Option<Plan>) -> Command {
    let (change, message) = match plan {
        None => (0, "nothing has drifted".to_owned()),
        Some(Plan { drifted: 0, outputs, .. }) => {
            (outputs, format!("no resource has drifted, but outputs would read otherwise: {outputs}"))
        }
        Some(Plan { drifted, .. }) => (drifted, format!("resources that have drifted: {drifted}")),
    };
    let counts = PlanCounts { change, ..PlanCounts::default() };
    Command::Success { plan: Some(counts), outputs: None, message }
}
