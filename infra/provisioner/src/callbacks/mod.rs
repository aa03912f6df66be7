//! Reporting to Gatehouse: one callback after the other, each repeated until it is answered.

mod answer;
mod message;

use std::{sync::Arc, time::Duration};

use gatehouse_domain::{clock::IdSource, error::Chain};
use gatehouse_outbound::{
    Backoff, BodyError, ForbiddenDestination, HttpSetupError, OutboundClient, OutboundHttp, is_loopback,
    jittered, read_body,
};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep_until};

use self::message::Body;
pub(crate) use self::{
    answer::{Answer, Refusal, RefusalKind},
    message::{Command, Link, PlanCounts, Progress, StepState},
};
use crate::settings::Assignment;

/// As much of an answer is read: a work order with large inputs.
const ANSWER_LIMIT: usize = 2 * 1024 * 1024;

/// The pauses between tries.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(20));

/// Gatehouse, as the worker of one attempt sees it.
pub(crate) struct Callbacks {
    http: OutboundClient,
    url: Url,
    token: SecretString,
    timeout: Duration,
    operation_id: String,
    attempt: u32,
    sequence: u32,
    ids: Arc<dyn IdSource>,
}

/// What became of a message.
pub(crate) enum Delivery {
    Taken(Answer),
    /// Gatehouse does not want it.
    Refused(Refusal),
    /// Nobody answered for as long as it was worth trying.
    Lost,
}

/// One try that came to nothing.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Forbidden(#[from] ForbiddenDestination),
    #[error("Gatehouse could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the answer could not be read")]
    Unreadable(#[from] BodyError),
    #[error("Gatehouse answered {0}")]
    Unavailable(u16),
    #[error("the answer {status} is not Gatehouse's")]
    Strange { status: u16 },
}

impl Callbacks {
    /// A client for the worker of this attempt.
    pub(crate) fn new(assignment: &Assignment, ids: Arc<dyn IdSource>) -> Result<Self, HttpSetupError> {
        let mut http = OutboundHttp::new();
        if is_loopback(&assignment.callback_url) {
            http = http.allow_loopback();
        }
        Ok(Self {
            http: http.client(None)?,
            url: assignment.callback_url.clone(),
            token: assignment.callback_token.clone(),
            timeout: assignment.call_timeout,
            operation_id: assignment.operation_id.clone(),
            attempt: assignment.attempt.get(),
            sequence: 0,
            ids,
        })
    }

    /// Sends one message, and repeats it for as long as `patience` while nobody answers. When `hurry`
    /// resolves, it is repeated for only so long from then on. The message keeps its number, so repeating it
    /// is safe.
    pub(crate) async fn send(
        &mut self,
        command: &Command,
        patience: Duration,
        hurry: impl Future<Output = Duration>,
    ) -> Delivery {
        // A message that is given up keeps its number: it may have arrived, and another one under it would be taken for a
        // repetition.
        self.sequence += 1;
        let mut deadline = Instant::now() + patience;
        let mut hurried = false;
        let mut backoff = BACKOFF;
        tokio::pin!(hurry);
        loop {
            match self.call(command).await {
                Ok(delivery) => return delivery,
                Err(error) => self.log_failure(command, &error),
            }
            backoff.fail();
            // Workers that lost Gatehouse together would otherwise come back together, and be too many again.
            let again = Instant::now() + jittered(backoff.pause(), self.ids.random()[0]);
            tokio::select! {
                biased;
                left = &mut hurry, if !hurried => {
                    hurried = true;
                    deadline = deadline.min(Instant::now() + left);
                }
                () = sleep_until(again) => {}
            }
            if again > deadline {
                return Delivery::Lost;
            }
        }
    }

    /// Sends the message once. An error is worth another try.
    async fn call(&self, command: &Command) -> Result<Delivery, CallError> {
        let body = Body {
            operation_id: &self.operation_id,
            attempt: self.attempt,
            sequence: self.sequence,
            command,
        };
        let request = self
            .http
            .request(Method::POST, self.url.clone())?
            .timeout(self.timeout)
            .header("x-callback-token", self.token.expose_secret())
            .json(&body);
        let response = request.send().await.map_err(|error| CallError::Unreachable(error.without_url()))?;
        let status = response.status().as_u16();
        // These pass. Everything else below 500 is an answer for good, and repeating the message would change nothing.
        if matches!(status, 408 | 429 | 500..) {
            return Err(CallError::Unavailable(status));
        }
        let answer = read_body(response, ANSWER_LIMIT).await?;
        match status {
            200..300 => match serde_json::from_slice(&answer) {
                Ok(answer) => Ok(Delivery::Taken(answer)),
                Err(_) => Err(CallError::Strange { status }),
            },
            400..500 => Ok(Delivery::Refused(Refusal::new(status, &answer))),
            _ => Err(CallError::Strange { status }),
        }
    }

    /// Says in the log what it can: nothing of what was sent.
    fn log_failure(&self, command: &Command, error: &CallError) {
        let (command, sequence, cause) = (command.name(), self.sequence, Chain(error).to_string());
        tracing::warn!(operation_id = self.operation_id, command, sequence, cause, "a callback failed");
    }
}

#[cfg(test)]
mod tests {
    use std::{future, num::NonZeroU32};

    use gatehouse_runtime::clock::SystemIds;

    use super::*;
    use crate::work::Phase;

    #[tokio::test]
    async fn a_message_is_given_up_when_patience_ends_and_its_number_is_never_used_again() {
        // Nobody listens there: the port was ours a moment ago.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let assignment = Assignment {
            operation_id: "op_1".into(),
            phase: Phase::Plan,
            attempt: NonZeroU32::MIN,
            callback_url: url.parse().unwrap(),
            callback_token: "token".into(),
            task_token: "token".into(),
            call_timeout: Duration::from_secs(10),
        };
        let mut callbacks = Callbacks::new(&assignment, Arc::new(SystemIds)).unwrap();
        let given_up = callbacks.send(&Command::Heartbeat, Duration::ZERO, future::pending()).await;
        assert!(matches!(given_up, Delivery::Lost));
        let told_to_hurry = async { Duration::ZERO };
        let given_up = callbacks.send(&Command::Heartbeat, Duration::from_hours(1), told_to_hurry).await;
        assert!(matches!(given_up, Delivery::Lost));
        assert_eq!(callbacks.sequence, 2);
    }
}
