//! Lambda that deploys: by a CI job, or by a webhook. The state machine of deploys invokes it, and anybody
//! who may; every command can be sent again.

mod command;

use std::sync::Arc;

use gatehouse_commands::{CommandFailed, logged, read};
use gatehouse_domain::{
    ci::ProviderDirectory,
    clock::System,
    operations::{Webhook, attempt::CallbackKey, call_webhook, follow_run, trigger_run},
    secret::ReadSecret,
};
use gatehouse_store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

pub use self::command::Answer;
use self::command::Command;

#[derive(Clone)]
pub struct Deployer {
    pub table: Arc<Table>,
    pub providers: Arc<dyn ProviderDirectory>,
    pub webhook: Arc<dyn Webhook>,
    /// Has the key of callback tokens.
    pub secrets: Arc<dyn ReadSecret>,
    pub system: Arc<dyn System>,
}

impl Deployer {
    /// Answers an invocation.
    ///
    /// # Errors
    ///
    /// When the event is no command, or the command was refused or could not be done.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, CommandFailed> {
        let command: Command = read(event.payload)?;
        let outcome = self.obey(&command).await;
        logged(&command, outcome)
    }

    async fn obey(&self, command: &Command) -> Result<Answer, CommandFailed> {
        let (table, providers, system) = (&*self.table, &*self.providers, &*self.system);
        match command {
            Command::TriggerRun { operation_id } => {
                let triggered = trigger_run(table, providers, system, operation_id).await?;
                Ok(Answer::Triggered { ended: triggered.ended, wait_seconds: triggered.wait_seconds })
            }
            Command::FollowRun { operation_id } => {
                let followed = follow_run(table, providers, system, operation_id).await?;
                Ok(Answer::Followed {
                    ended: followed.ended,
                    succeeded: followed.succeeded,
                    wait_seconds: followed.wait_seconds,
                })
            }
            Command::CallWebhook { operation_id, task_token } => {
                // Before the attempt is opened: without the key its receiver could never report.
                let key = CallbackKey::read(&*self.secrets).await?;
                call_webhook(table, &*self.webhook, system, &key, operation_id, task_token).await?;
                Ok(Answer::Called {})
            }
        }
    }
}
