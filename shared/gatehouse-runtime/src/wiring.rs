//! What a function's `main` puts together, from the environment.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_store::Table;

use crate::{
    api_gateway::ApiGateway,
    aws::{Aws, AwsError, CallBudget},
    clock::System,
    env::{self, EnvError},
    signed::SignedError,
};

/// How long opening the first connection may hold up the start of a function.
const WARM_UP_TIMEOUT: Duration = Duration::from_millis(300);

/// What every function with state is wired to, and how the other parts are made.
///
/// A part that needs variables of its own reads them when it is made: a function is given those alone that it
/// uses, and links no client that it does not call.
pub struct Wiring {
    pub table: Arc<Table>,
    pub system: Arc<System>,
    pub aws: Aws,
    table_name: String,
}

/// Why a function cannot be wired, and so does not start.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    #[error(transparent)]
    Environment(#[from] EnvError),
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Signed(#[from] SignedError),
}

impl Wiring {
    /// Reads `GATEHOUSE_TABLE`, and what [`Aws::from_env`] reads.
    ///
    /// # Errors
    ///
    /// When a variable is missing or not usable.
    pub async fn from_env() -> Result<Self, WiringError> {
        Self::from_env_within(CallBudget::REQUEST).await
    }

    /// The same, with calls of AWS that may take so long.
    ///
    /// # Errors
    ///
    /// As [`Wiring::from_env`].
    pub async fn from_env_within(budget: CallBudget) -> Result<Self, WiringError> {
        let table_name = env::table()?;
        let aws = Aws::from_env().await?.within(budget);
        let system = Arc::new(System);
        let table = Arc::new(Table::new(aws.dynamodb(), table_name.clone(), system.clone()));
        Ok(Self { table, system, aws, table_name })
    }

    /// Opens the connection to `DynamoDB` while the function starts, when CPU time is free, so that the first
    /// request need not. Whether it works makes no difference: the first request tries again.
    pub async fn warm_up(&self) {
        let nobody = || AttributeValue::S("WARMUP".to_owned());
        let item = self.aws.dynamodb().get_item().table_name(&self.table_name);
        let call = item.key("pk", nobody()).key("sk", nobody()).send();
        let _outcome = tokio::time::timeout(WARM_UP_TIMEOUT, call).await;
    }

    /// API Gateway, whose stages can be made to forget what the authorizer answered.
    ///
    /// # Errors
    ///
    /// When [`env::authorizer_cache`] has none, or there is no region.
    pub fn api_gateway(&self) -> Result<ApiGateway, WiringError> {
        Ok(ApiGateway::new(&self.aws, env::authorizer_cache()?)?)
    }

    /// The secrets below the installation's prefix.
    ///
    /// # Errors
    ///
    /// When [`env::secret_prefix`] has none.
    #[cfg(feature = "secrets")]
    pub fn secrets(&self) -> Result<Arc<gatehouse_secrets::Secrets>, WiringError> {
        let (client, prefix) = (self.aws.secrets_manager(), env::secret_prefix()?);
        Ok(Arc::new(gatehouse_secrets::Secrets::new(client, prefix, self.system.clone())))
    }

    /// The executions of the state machines in `STEP_FUNCTION_ARN`, which provisions, and
    /// `DEPLOY_STEP_FUNCTION_ARN`, which deploys. One that is not set is missed when it is needed.
    #[cfg(feature = "workflows")]
    pub fn executions(&self) -> Arc<gatehouse_workflows::Executions> {
        let (provision, deploy) =
            (env::optional("STEP_FUNCTION_ARN"), env::optional("DEPLOY_STEP_FUNCTION_ARN"));
        let machines = gatehouse_workflows::Machines::of_arns(provision, deploy);
        Arc::new(gatehouse_workflows::Executions::new(self.aws.step_functions(), machines))
    }

    /// What answers the tasks of executions.
    #[cfg(feature = "workflows")]
    pub fn answers(&self) -> Arc<gatehouse_workflows::Answers> {
        Arc::new(gatehouse_workflows::Answers::new(self.aws.step_functions()))
    }
}
