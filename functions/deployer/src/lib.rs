//! Lambda that deploys: by a CI job, or by a webhook. The state machine of deploys invokes it, and anybody
//! who may; every command can be sent again.

mod command;
mod failure;

use std::sync::Arc;

use gatehouse_domain::{
    audit::AppendAudit,
    ci::ProviderDirectory,
    clock::{Clock, IdSource},
    jobs::{FindJob, FindJobsByTarget},
    operations::{
        DeployPorts, FindOperation, SaveOperation, Webhook, attempt::CallbackKey, call_webhook,
        change::ChangePorts, follow_run, trigger_run,
    },
    runs::{CancelPorts, FindPorts, FindRun, RecordRun, start::RunRequests, start::StartPorts},
    secret::{ReadSecret, SecretName},
};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use self::command::Command;
pub use self::{command::Answer, failure::CommandFailed};

/// The deployer.
#[derive(Clone)]
pub struct Deployer {
    /// Reads operations.
    pub find: Arc<dyn FindOperation>,
    /// Writes them.
    pub save: Arc<dyn SaveOperation>,
    /// Reads the job that deploys.
    pub job: Arc<dyn FindJob>,
    /// Finds the jobs that a build may belong to.
    pub jobs_by_target: Arc<dyn FindJobsByTarget>,
    /// Reads runs.
    pub runs: Arc<dyn FindRun>,
    /// Writes down what is seen of them.
    pub record_run: Arc<dyn RecordRun>,
    /// Keeps the starts of runs.
    pub starts: Arc<dyn RunRequests>,
    /// Writes the trail.
    pub trail: Arc<dyn AppendAudit>,
    /// Finds the CI systems.
    pub providers: Arc<dyn ProviderDirectory>,
    /// Calls webhooks.
    pub webhook: Arc<dyn Webhook>,
    /// Reads the key of callback tokens.
    pub secrets: Arc<dyn ReadSecret>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl Deployer {
    /// Answers an invocation.
    ///
    /// # Errors
    ///
    /// When the event is no command, or the command was refused or could not be done.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, CommandFailed> {
        let command = Command::read(event.payload).inspect_err(|failed| failed.log(None))?;
        let answer = self.obey(&command).await.inspect_err(|failed| failed.log(Some(&command)))?;
        let (name, operation) = (command.name(), command.operation());
        tracing::info!(command = name, operation_id = %operation, "obeyed {name} for operation {operation}");
        Ok(answer)
    }

    async fn obey(&self, command: &Command) -> Result<Answer, CommandFailed> {
        let ports = self.ports();
        match command {
            Command::TriggerRun { operation_id } => {
                let triggered = trigger_run(&ports, operation_id).await?;
                Ok(Answer::Triggered { ended: triggered.ended, wait_seconds: triggered.wait_seconds })
            }
            Command::FollowRun { operation_id } => {
                let followed = follow_run(&ports, operation_id).await?;
                Ok(Answer::Followed {
                    ended: followed.ended,
                    succeeded: followed.succeeded,
                    wait_seconds: followed.wait_seconds,
                })
            }
            Command::CallWebhook { operation_id, task_token } => {
                let key = self.callback_key().await?;
                call_webhook(&ports, &key, operation_id, &task_token.0).await?;
                Ok(Answer::Called {})
            }
        }
    }

    async fn callback_key(&self) -> Result<CallbackKey, CommandFailed> {
        let secret = self.secrets.read(&SecretName::callback_key()).await?;
        Ok(CallbackKey::new(&secret.ok_or(CommandFailed::NoCallbackKey)?)?)
    }

    fn ports(&self) -> DeployPorts<'_> {
        DeployPorts {
            change: ChangePorts { find: &*self.find, save: &*self.save, clock: &*self.clock },
            runs: StartPorts {
                job: &*self.job,
                find: self.find_ports(),
                starts: &*self.starts,
                providers: &*self.providers,
                clock: &*self.clock,
                ids: &*self.ids,
            },
            cancel: CancelPorts { find: self.find_ports(), trail: &*self.trail, ids: &*self.ids },
            webhook: &*self.webhook,
        }
    }

    fn find_ports(&self) -> FindPorts<'_> {
        FindPorts {
            runs: &*self.runs,
            record: &*self.record_run,
            jobs: &*self.jobs_by_target,
            providers: &*self.providers,
            clock: &*self.clock,
        }
    }
}
