//! The work itself: from a work order to a result.

use std::{collections::BTreeMap, num::NonZeroU32, path::Path};

use gatehouse_domain::{error::Chain, json::Json};
use gatehouse_modules::{ModuleError, Variables};

use crate::{
    artifacts::{ArtifactError, Artifacts},
    backend::Backend,
    callbacks::{Command, PlanCounts},
    module::{self, InputError, Module, PackedModule, UnknownModule},
    reporter::Reporter,
    settings::{SettingsError, WorkerConfig},
    stop::Stop,
    terraform::{Outputs, Plan, PlanMode, Terraform, TerraformError, Unapplied, outputs},
    work::{Kind, OrderError, Phase, WorkOrder},
    workspace::Workspace,
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
    /// The module cannot be used.
    #[error(transparent)]
    Unusable(#[from] ModuleError),
    /// The inputs do not fit.
    #[error(transparent)]
    Inputs(#[from] InputError),
    /// There is no place to work in.
    #[error("no workspace could be made")]
    Workspace(#[from] std::io::Error),
    /// The plan is not where it should be.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// Terraform did not do it, and changed nothing.
    #[error(transparent)]
    Terraform(#[from] TerraformError),
    /// Terraform did not do it, and may have changed something.
    #[error(transparent)]
    HalfDone(TerraformError),
}

impl From<Unapplied> for JobError {
    fn from(Unapplied { error, changed }: Unapplied) -> Self {
        if changed { Self::HalfDone(error) } else { Self::Terraform(error) }
    }
}

impl Job<'_> {
    /// Does the work, and returns what to tell Gatehouse.
    pub(crate) async fn work(&self) -> Result<Command, JobError> {
        let artifacts = Artifacts::open(&self.config.artifacts, self.config.region.as_deref())?;
        let unpacked = tempfile::Builder::new().prefix("gatehouse-module-").tempdir()?;
        let module = self.module(&artifacts, unpacked.path()).await?;
        let variables = module.variables()?;
        self.hide_secrets(&variables);
        let told = module::told(&variables, self.order);
        module::check(module.name(), &variables, &told, &self.order.inputs)?;
        self.say_what_is_ignored(&module);
        let backend = Backend::of(&self.config.state, self.config.region.as_deref(), self.order);
        let values = self.order.inputs.clone().into_iter().chain(told).collect();
        let workspace = Workspace::prepare(&module, &values, &backend.configuration())?;
        let terraform = Terraform {
            config: self.config,
            workspace: &workspace,
            backend: &backend,
            reporter: self.reporter,
            stop: self.stop,
        };
        match self.order.phase {
            Phase::Plan => self.plan(&terraform, &artifacts).await,
            Phase::Apply => self.apply(&terraform, &artifacts).await,
        }
    }

    /// The module: as it was when this was planned, or applied, where that was kept.
    async fn module(&self, artifacts: &Artifacts, directory: &Path) -> Result<Module, JobError> {
        let WorkOrder { module, artifact, .. } = self.order;
        if let Some(digest) = artifact {
            if let Some(packed) = artifacts.fetch_module(digest).await? {
                packed.unpack(directory)?;
                return Ok(Module::kept(module, directory));
            }
            self.reporter.log("the module as it was applied is not kept any more; it is taken as it stands");
        }
        Ok(Module::find(&self.config.modules, module)?)
    }

    /// Values of sensitive variables are secrets from now on, their defaults too. What the environment is called is none.
    fn hide_secrets(&self, variables: &Variables) {
        let mask = self.reporter.mask();
        let WorkOrder { tenant, service, environment, .. } = self.order;
        for name in [tenant, service, environment] {
            mask.show(name);
        }
        let sensitive = || variables.iter().filter(|(_, variable)| variable.sensitive);
        sensitive()
            .filter_map(|(_, variable)| variable.default.as_ref())
            .for_each(|default| mask.hide_default(default));
        let secret = sensitive().map(|(name, _)| name).chain(&self.order.secret_inputs);
        secret.filter_map(|name| self.order.inputs.get(name)).for_each(|value| mask.hide_value(value));
    }

    fn say_what_is_ignored(&self, module: &Module) {
        for file in module.ignored_values() {
            self.reporter.log(&format!("`{file}` of the module is left out: its values come from Gatehouse"));
        }
    }

    async fn plan(&self, terraform: &Terraform<'_>, artifacts: &Artifacts) -> Result<Command, JobError> {
        let mode = match self.order.kind {
            Kind::Provision => PlanMode::Normal,
            Kind::Deprovision => PlanMode::Destroy,
            Kind::Drift => PlanMode::RefreshOnly,
        };
        terraform.init().await?;
        let plan = terraform.plan(mode).await?;
        if self.order.kind == Kind::Drift {
            return Ok(drift(plan));
        }
        // Nothing will be applied then, and what came out before is in the state, whatever became of whoever put it there.
        let outputs = match (self.order.kind, plan.applyable) {
            (Kind::Provision, Some(false)) => Some(self.outputs(&terraform.output().await?)),
            _ => None,
        };
        // A worker that was superseded must not replace the plan of the one that came after it.
        self.reporter.settled().await;
        if self.stop.cause().is_some() {
            return Err(TerraformError::Interrupted { command: "plan" }.into());
        }
        let (plan_file, lock_file) = (terraform.plan_file(), terraform.workspace.lock_file());
        artifacts.keep(&self.order.operation_id, self.attempt, &plan_file, &lock_file).await?;
        let artifact = match self.order.kind {
            Kind::Provision => Some(keep_module(terraform, artifacts).await?),
            Kind::Deprovision | Kind::Drift => None,
        };
        let counts = plan.to_apply();
        let PlanCounts { add, change, destroy, moved, .. } = counts;
        let moved = if moved > 0 { format!(", {moved} to move") } else { String::new() };
        let message = format!("{add} to add, {change} to change, {destroy} to destroy{moved}");
        Ok(Command::Success { plan: Some(counts), artifact, outputs, message })
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
        let printed = Terraform { stop: &calm, ..*terraform }.output().await.map_err(JobError::HalfDone)?;
        if let Err(error) = artifacts.forget(&self.order.operation_id, self.attempt).await {
            // It is of no more use, and the store forgets it by itself.
            tracing::warn!(cause = %Chain(&error), "an applied plan could not be deleted");
        }
        let outputs = Some(self.outputs(&printed));
        let message = format!("{total} changes made");
        Ok(Command::Success { plan: None, artifact: None, outputs, message })
    }

    fn outputs(&self, printed: &Json) -> BTreeMap<String, Json> {
        let Outputs { shown, too_large } = outputs(printed, self.reporter.mask());
        for name in too_large {
            self.reporter.log(&format!("the output `{name}` is too large for Gatehouse; it is in the state"));
        }
        shown
    }
}

/// Keeps the module that a plan was made with, with the providers that it took, and returns under which hash.
async fn keep_module(terraform: &Terraform<'_>, artifacts: &Artifacts) -> Result<String, JobError> {
    let packed = PackedModule::pack(terraform.workspace.module())?;
    artifacts.keep_module(&packed).await?;
    Ok(packed.digest().to_owned())
}

/// What a drift check found; nothing differs where nothing could be applied.
fn drift(plan: Plan) -> Command {
    let (change, message) = match plan {
        Plan { applyable: Some(true), drifted: 0, outputs: 0, .. } => {
            (0, "nothing has drifted but what Terraform keeps for itself".to_owned())
        }
        Plan { applyable: Some(true), drifted: 0, outputs, .. } => {
            (outputs, format!("no resource has drifted, but outputs would read otherwise: {outputs}"))
        }
        Plan { applyable: Some(true), drifted, .. } => {
            (drifted, format!("resources that have drifted: {drifted}"))
        }
        Plan { .. } => (0, "nothing has drifted".to_owned()),
    };
    let counts = PlanCounts { change, ..PlanCounts::default() };
    Command::Success { plan: Some(counts), artifact: None, outputs: None, message }
}
