//! The calls, and what the SDK says in the words of the domain.

use std::error::Error;

use async_trait::async_trait;
use aws_sdk_sfn::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::describe_execution::DescribeExecutionOutput,
    types::ExecutionStatus,
};
use gatehouse_domain::{
    id::OperationId,
    operations::{
        TaskToken,
        workflow::{
            AnswerTask, Execution, NotReady, OverseeWorkflow, StartWorkflow, TaskAnswer, Workflow,
            WorkflowError, input,
        },
    },
};
use serde_json::Value;

/// The errors for a token whose task has ended, or whose execution is gone.
const GONE: [&str; 3] = ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"];

/// Errors with a status below 500 that nevertheless pass by themselves.
const BUSY: [&str; 7] = [
    "ExecutionLimitExceeded",
    "KmsThrottlingException",
    "RequestLimitExceeded",
    "RequestThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The error of an execution that was stopped without one.
const STOPPED: &str = "Stopped";

/// The state machine of a workflow.
#[derive(Debug, Clone)]
pub struct Machine {
    pub arn: String,
    /// Whether operations may be begun with it, or why not. Those that were begun before are looked after in
    /// any case.
    pub ready: Result<(), NotReady>,
}

/// The state machines of all workflows.
#[derive(Debug, Clone)]
pub struct Machines {
    /// `infra/state-machines/provision.asl.json`.
    pub provision: Machine,
    /// `infra/state-machines/deploy.asl.json`.
    pub deploy: Machine,
}

impl Machine {
    /// The machine that a variable names; without one, nothing is begun, and `missing` says why.
    fn of_arn(arn: Option<String>, missing: &str) -> Self {
        let ready = if arn.is_some() { Ok(()) } else { Err(NotReady(missing.to_owned())) };
        Self { arn: arn.unwrap_or_default(), ready }
    }
}

impl Machines {
    /// The deployed machines. One that is not deployed begins nothing.
    pub fn of_arns(provision: Option<String>, deploy: Option<String>) -> Self {
        let missing = "nothing is set up here that could provision: deploy the stack with the parameters of a \
            provisioner, as docs/OPERATIONS.md says";
        Self {
            provision: Machine::of_arn(provision, missing),
            deploy: Machine::of_arn(
                deploy,
                "nothing is set up here that could deploy: DEPLOY_STEP_FUNCTION_ARN is not set",
            ),
        }
    }

    fn of(&self, workflow: Workflow) -> &Machine {
        match workflow {
            Workflow::Provision => &self.provision,
            Workflow::Deploy => &self.deploy,
        }
    }

    /// The ARN of the operation's execution, which has the operation's id as its name.
    fn execution(&self, workflow: Workflow, operation: &OperationId) -> String {
        let machine = self.of(workflow).arn.replacen(":stateMachine:", ":execution:", 1);
        format!("{machine}:{operation}")
    }
}

/// The executions of operations.
#[derive(Debug, Clone)]
pub struct Executions {
    client: Client,
    machines: Machines,
}

impl Executions {
    /// Those in these machines, reached by `client`.
    pub fn new(client: Client, machines: Machines) -> Self {
        Self { client, machines }
    }
}

#[async_trait]
impl StartWorkflow for Executions {
    fn ready(&self, workflow: Workflow) -> Result<(), NotReady> {
        self.machines.of(workflow).ready.clone()
    }

    async fn start(&self, workflow: Workflow, operation: &OperationId) -> Result<(), WorkflowError> {
        let call = self
            .client
            .start_execution()
            .state_machine_arn(&self.machines.of(workflow).arn)
            .name(operation.as_str())
            .input(input(operation))
            .send();
        match call.await {
            Ok(_) => Ok(()),
            // An execution of this name has ended. While it runs, starting it with the same input succeeds.
            Err(error) if says(&error, &["ExecutionAlreadyExists"]) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }
}

#[async_trait]
impl OverseeWorkflow for Executions {
    async fn describe(
        &self,
        workflow: Workflow,
        operation: &OperationId,
    ) -> Result<Option<Execution>, WorkflowError> {
        let arn = self.machines.execution(workflow, operation);
        match self.client.describe_execution().execution_arn(arn).send().await {
            Ok(described) => Ok(Some(execution(described))),
            Err(error) if says(&error, &["ExecutionDoesNotExist"]) => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    async fn stop(
        &self,
        workflow: Workflow,
        operation: &OperationId,
        cause: &str,
    ) -> Result<(), WorkflowError> {
        let arn = self.machines.execution(workflow, operation);
        match self.client.stop_execution().execution_arn(arn).error(STOPPED).cause(cause).send().await {
            Ok(_) => Ok(()),
            Err(error) if says(&error, &["ExecutionDoesNotExist"]) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }
}

/// The tasks of executions that wait for an answer.
#[derive(Debug, Clone)]
pub struct Answers {
    client: Client,
}

impl Answers {
    /// Those that `client` reaches.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl AnswerTask for Answers {
    async fn succeed(&self, token: &TaskToken, output: &Value) -> Result<TaskAnswer, WorkflowError> {
        let call = self.client.send_task_success().task_token(token.expose()).output(output.to_string());
        answered(call.send().await)
    }

    async fn fail(&self, token: &TaskToken, error: &str, cause: &str) -> Result<TaskAnswer, WorkflowError> {
        let call = self.client.send_task_failure().task_token(token.expose()).error(error).cause(cause);
        answered(call.send().await)
    }

    async fn heartbeat(&self, token: &TaskToken) -> Result<TaskAnswer, WorkflowError> {
        answered(self.client.send_task_heartbeat().task_token(token.expose()).send().await)
    }
}

fn execution(described: DescribeExecutionOutput) -> Execution {
    match described.status {
        ExecutionStatus::Succeeded => Execution::Succeeded,
        ExecutionStatus::TimedOut => Execution::TimedOut,
        ExecutionStatus::Failed | ExecutionStatus::Aborted => Execution::Failed {
            error: described.error.unwrap_or_else(|| STOPPED.to_owned()),
            cause: described.cause.unwrap_or_default(),
        },
        // Also what AWS may think of later: what has not ended goes on.
        _ => Execution::Running,
    }
}

fn answered<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Result<TaskAnswer, WorkflowError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match result {
        Ok(_) => Ok(TaskAnswer::Accepted),
        Err(error) if says(&error, &GONE) => Ok(TaskAnswer::Expired),
        Err(error) => Err(failure(error)),
    }
}

/// A call that failed for good: the SDK has tried it as often as makes sense.
fn failure<E>(error: SdkError<E, HttpResponse>) -> WorkflowError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let refused = match &error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_client_error() && !says(&error, &BUSY),
        _ => false,
    };
    if refused {
        WorkflowError::Refused(Box::new(error))
    } else {
        WorkflowError::Unavailable(Box::new(error))
    }
}

/// Whether the service answered one of these errors.
fn says<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, codes: &[&str]) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    code.is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::{
        error::{ConnectorError, ErrorMetadata},
        operation::send_task_success::SendTaskSuccessError,
    };
    use aws_smithy_types::body::SdkBody;

    use super::*;

    type Refusal = SdkError<SendTaskSuccessError, HttpResponse>;

    fn answered(status: u16, code: &str) -> Refusal {
        let error = SendTaskSuccessError::generic(ErrorMetadata::builder().code(code).build());
        Refusal::service_error(error, HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()))
    }

    fn word(error: Refusal) -> &'static str {
        match super::answered::<(), _>(Err(error)) {
            Ok(TaskAnswer::Accepted) => "taken",
            Ok(TaskAnswer::Expired) => "gone",
            Err(WorkflowError::Refused(_)) => "refused",
            Err(WorkflowError::Unavailable(_)) => "unavailable",
        }
    }

    #[test]
    fn errors_are_said_in_words_of_the_domain() {
        for (status, code, wanted) in [
            (400, "TaskTimedOut", "gone"),
            (400, "TaskDoesNotExist", "gone"),
            (400, "InvalidToken", "gone"),
            (400, "InvalidOutput", "refused"),
            (400, "AccessDeniedException", "refused"),
            (403, "UnrecognizedClientException", "refused"),
            (400, "StateMachineDoesNotExist", "refused"),
            (400, "ThrottlingException", "unavailable"),
            (400, "ExecutionLimitExceeded", "unavailable"),
            (500, "InternalFailure", "unavailable"),
            (503, "ServiceUnavailable", "unavailable"),
        ] {
            assert_eq!(word(answered(status, code)), wanted, "{status} {code}");
        }
    }

    #[test]
    fn what_does_not_answer_is_unavailable() {
        for error in
            [Refusal::timeout_error("late"), Refusal::dispatch_failure(ConnectorError::io("closed".into()))]
        {
            assert_eq!(word(error), "unavailable");
        }
        assert_eq!(word(Refusal::construction_failure("no region")), "refused");
    }

    #[test]
    fn an_execution_is_named_after_its_machine_and_its_operation() {
        let machine = |name: &str| Machine {
            arn: format!("arn:aws:states:eu-west-1:000000000000:stateMachine:{name}"),
            ready: Ok(()),
        };
        let machines = Machines { provision: machine("provision"), deploy: machine("deploy") };
        let operation = "op_1".parse().unwrap();
        assert_eq!(
            machines.execution(Workflow::Deploy, &operation),
            "arn:aws:states:eu-west-1:000000000000:execution:deploy:op_1"
        );
    }

    #[test]
    fn what_aws_says_of_an_execution_is_one_of_four_things() {
        let described = |status: &str| {
            let execution = DescribeExecutionOutput::builder()
                .execution_arn("e")
                .state_machine_arn("m")
                .status(status.into())
                .start_date(aws_sdk_sfn::primitives::DateTime::from_secs(0))
                .set_error((status == "FAILED").then(|| "OperationNotDone".to_owned()))
                .build();
            execution.unwrap()
        };
        let failed = |error: &str| Execution::Failed { error: error.to_owned(), cause: String::new() };
        for (status, wanted) in [
            ("RUNNING", Execution::Running),
            ("PENDING_REDRIVE", Execution::Running),
            ("SUCCEEDED", Execution::Succeeded),
            ("FAILED", failed("OperationNotDone")),
            ("ABORTED", failed("Stopped")),
            ("TIMED_OUT", Execution::TimedOut),
        ] {
            assert_eq!(execution(described(status)), wanted, "{status}");
        }
    }
}
