//! The workflows of this process: the deployed definitions, whose tasks are the functions of this process
//! and workers on this machine.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use gatehouse_domain::operations::workflow::NotReady;
use gatehouse_workflows::{Machine, Machines};
use lambda_runtime::Context as LambdaContext;
use serde_json::Value;

use super::workers::Workers;
use crate::{
    gateway::{Invocation, LambdaFunction},
    step_functions::{StateMachine, StepFunctions, TaskError, Tasks},
};

/// What the definitions say of a worker's silence.
const WORKER_SILENCE: &str = "\"HeartbeatSeconds\": 180";

const PROVISION: &str = "provision";
const DEPLOY: &str = "deploy";

/// What every provision begins with, as it is deployed.
const PROVISION_DEFINITION: &str = include_str!("../../../state-machines/provision.asl.json");
/// What every deploy begins with, as it is deployed.
const DEPLOY_DEFINITION: &str = include_str!("../../../state-machines/deploy.asl.json");

/// The state machines, with what the template would fill in. `base_url` is where the stack listens.
pub(super) fn machines(base_url: &str, silence: Option<Duration>) -> anyhow::Result<Vec<StateMachine>> {
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let substitutions = BTreeMap::from([
        text("CallbackBaseUrl", base_url),
        text("CallbacksFunctionArn", "callbacks"),
        text("DeployerFunctionArn", "deployer"),
        text("ProvisionerClusterArn", "local"),
        text("ProvisionerTaskDefinitionArn", "provisioner"),
        text("ProvisionerSubnets", "local"),
        text("ProvisionerSecurityGroups", "local"),
        text("ProvisionerAssignPublicIp", "DISABLED"),
    ]);
    let machine = |name, definition| {
        let definition = with_silence(definition, silence);
        StateMachine::parse(name, &definition, &substitutions)
    };
    Ok(vec![
        machine(PROVISION, PROVISION_DEFINITION).context("provision.asl.json")?,
        machine(DEPLOY, DEPLOY_DEFINITION).context("deploy.asl.json")?,
    ])
}

/// The definition with another limit of a worker's silence.
fn with_silence(definition: &str, silence: Option<Duration>) -> Cow<'_, str> {
    match silence {
        None => Cow::Borrowed(definition),
        Some(silence) => {
            let limit = format!("\"HeartbeatSeconds\": {}", silence.as_secs());
            Cow::Owned(definition.replace(WORKER_SILENCE, &limit))
        }
    }
}

/// Where operations find their state machines, and whether there is Terraform for them.
pub(super) fn directory(engine: &StepFunctions, has_terraform: bool) -> Machines {
    let missing = "Terraform is not installed on this machine: install it from \
        https://developer.hashicorp.com/terraform/install, or name it in GATEHOUSE_TERRAFORM, and start the stack \
        again";
    let provision = if has_terraform { Ok(()) } else { Err(NotReady(missing.to_owned())) };
    Machines {
        provision: Machine { arn: engine.arn(PROVISION), ready: provision },
        deploy: Machine { arn: engine.arn(DEPLOY), ready: Ok(()) },
    }
}

/// Who does what the workflows hand out.
pub(super) struct LocalTasks {
    functions: BTreeMap<String, LambdaFunction>,
    workers: Workers,
}

impl LocalTasks {
    pub(super) fn new(functions: BTreeMap<String, LambdaFunction>, workers: Workers) -> Self {
        Self { functions, workers }
    }
}

#[async_trait]
impl Tasks for LocalTasks {
    async fn invoke_lambda(&self, arn: &str, payload: Value) -> Result<Value, TaskError> {
        let function = self.functions.get(arn);
        let function = function.ok_or_else(|| {
            TaskError::new("Lambda.ResourceNotFoundException", format!("no function {arn}"))
        })?;
        let payload = Bytes::from(payload.to_string());
        let invocation = Invocation { payload, context: LambdaContext::default(), ignore_stage: false };
        let answer = function.invoke(invocation).await;
        let answer = answer.map_err(|failed| TaskError::new(failed.error_type, failed.error_message))?;
        serde_json::from_slice(&answer).map_err(|error| TaskError::new("Lambda.Unknown", error.to_string()))
    }

    async fn run_ecs_task(&self, parameters: Value) -> Result<(), TaskError> {
        self.workers.start(parameters)
    }
}
