//! Watching a service: its status as server-sent events.
//!
//! Every event is the whole status, so a reader that comes back has lost nothing; its `Last-Event-ID` only
//! keeps it from reading the same again.

use std::time::Duration;

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_core::Stream;
use gatehouse_domain::{
    catalog::ShowServiceError,
    error::Chain,
    id::ServiceId,
    idempotency::Fingerprint,
    operations::{self, ServiceStatus},
};
use gatehouse_http::{
    Problem,
    extract::single,
    gateway::Deadline,
    sse::{self, frame, frame_of},
    stream::{Admission, Cut, Reader},
};
use serde_json::json;

use crate::state::AppState;

/// How often the status is read: nobody deploys faster than they can look.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What of a status a reader sees.
#[derive(Clone, Copy)]
pub(crate) struct View {
    /// As JSON on one line.
    pub(crate) render: fn(ServiceStatus) -> String,
    /// Whether an operation is open that the reader waits for.
    pub(crate) goes_on: fn(&ServiceStatus) -> bool,
}

pub(crate) struct Watch {
    pub(crate) state: AppState,
    pub(crate) reader: Reader,
    pub(crate) service: ServiceId,
    pub(crate) view: View,
    /// When the stream has to end.
    pub(crate) deadline: Deadline,
}

/// What one look found.
enum Look {
    Status(Box<ServiceStatus>),
    /// The service is gone, or hidden from the reader by now.
    Gone,
    /// The store did not answer; the next look may.
    Failed,
}

impl Watch {
    /// The stream, which begins with `status`.
    pub(crate) fn answer(self, status: ServiceStatus, headers: &HeaderMap) -> Result<Response, Problem> {
        let last = single(headers, "last-event-id")?.map(str::to_owned);
        if last.as_deref() == Some(sse::END) && !(self.view.goes_on)(&status) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let (table, clock) = (self.state.table.clone(), self.state.system.clone());
        let admission = Admission::new(table, clock, self.reader.clone(), status.service.tenant.clone());
        let body = admission.body(self.into_stream(status, last), Cut::event);
        Ok((sse::headers(), body).into_response())
    }

    fn into_stream(self, first: ServiceStatus, mut last: Option<String>) -> impl Stream<Item = Bytes> + Send {
        async_stream::stream! {
            yield sse::OPENING;
            let mut look = Look::Status(Box::new(first));
            let mut silent = Duration::ZERO;
            loop {
                match look {
                    Look::Status(status) => {
                        let goes_on = (self.view.goes_on)(&status);
                        let data = (self.view.render)(*status);
                        let id = event_id(&data);
                        if last.as_ref() != Some(&id) {
                            yield frame_of("status", Some(&id), &data);
                            last = Some(id);
                            silent = Duration::ZERO;
                        }
                        if !goes_on {
                            yield frame("end", Some(sse::END), &json!({}));
                            break;
                        }
                    }
                    Look::Gone => {
                        yield frame("end", Some(sse::END), &json!({}));
                        break;
                    }
                    Look::Failed => {}
                }
                if self.is_late() {
                    yield sse::reconnect();
                    break;
                }
                self.state.system.sleep(LOOK_INTERVAL).await;
                silent += LOOK_INTERVAL;
                if silent >= sse::HEARTBEAT {
                    yield sse::ALIVE;
                    silent = Duration::ZERO;
                }
                look = self.look().await;
            }
        }
    }

    fn is_late(&self) -> bool {
        let left = self.deadline.time_left(self.state.system.now());
        left.is_some_and(|left| left <= LOOK_INTERVAL)
    }

    async fn look(&self) -> Look {
        match operations::status(&*self.state.table, &self.reader.caller, &self.service).await {
            Ok(status) => Look::Status(Box::new(status)),
            Err(ShowServiceError::NotFound) => Look::Gone,
            Err(ShowServiceError::Store(error)) => {
                tracing::warn!(service_id = %self.service, error = %Chain(&error), "could not look at service {}", self.service);
                Look::Failed
            }
        }
    }
}

/// The same for the same data, and for no other.
fn event_id(data: &str) -> String {
    Fingerprint::of(&[data]).as_str().chars().take(16).collect()
}
