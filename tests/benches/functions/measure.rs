//! One start of one function, measured.

use std::time::Duration;

use gatehouse_testkit::runtime_api::{FunctionError, FunctionProcess};
use serde_json::Value;

use crate::dependencies::Dependencies;
use crate::subject::Subject;

/// Lambda's limit behind API Gateway; no invocation here comes near it.
const DEADLINE: Duration = Duration::from_secs(29);

/// A value for each start.
#[derive(Default)]
pub struct Measurements {
    pub start_wall: Vec<Duration>,
    pub start_cpu: Vec<Duration>,
    pub first_cpu: Vec<Duration>,
    /// The median of the warm invocations of one start.
    pub warm_cpu: Vec<Duration>,
    pub peak_memory: Vec<u64>,
    /// What the function answered.
    pub answer: String,
}

impl Measurements {
    pub async fn add(
        &mut self,
        subject: &Subject,
        dependencies: &Dependencies,
        warm: usize,
    ) -> anyhow::Result<()> {
        let mut function = FunctionProcess::spawn(&subject.binary, &dependencies.variables()).await?;
        self.start_wall.push(function.startup().wall);
        self.start_cpu.push(function.startup().cpu);
        let (first, answer) = invoke(&mut function, subject).await?;
        self.first_cpu.push(first);
        let mut invocations = Vec::with_capacity(warm);
        for _ in 0..warm {
            invocations.push(invoke(&mut function, subject).await?.0);
        }
        self.warm_cpu.push(median(&invocations));
        self.peak_memory.push(function.peak_memory()?);
        self.answer = answer;
        function.stop().await;
        Ok(())
    }
}

/// Returns the CPU time of one invocation and what came of it: an error is an answer too.
async fn invoke(function: &mut FunctionProcess, subject: &Subject) -> anyhow::Result<(Duration, String)> {
    let before = function.cpu_time()?;
    let answer = match function.invoke(subject.event.clone(), DEADLINE).await {
        Ok(invocation) => describe(&invocation.body),
        Err(FunctionError::Reported { body, .. }) => {
            function.idle().await?;
            format!("error {}", describe(body.as_bytes()))
        }
        Err(error) => return Err(error.into()),
    };
    Ok((function.cpu_time()?.saturating_sub(before), answer))
}

fn describe(answer: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let policy = answer.get("policyDocument").map(|_| "policy".to_owned());
    let status = answer.get("statusCode").map(Value::to_string);
    let error = answer.get("errorMessage").map(Value::to_string);
    policy.or(status).or(error).unwrap_or_else(|| answer.to_string())
}

/// Returns the middle value.
///
/// # Panics
///
/// Panics when there is none; every function is started and invoked at least once.
pub fn median<T: Ord + Copy>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
