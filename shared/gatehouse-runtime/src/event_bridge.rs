//! `EventBridge`: the bus that announcements are published on. `docs/EVENTS.md` describes them.

use std::sync::Arc;

use async_trait::async_trait;
use gatehouse_domain::janitor::{Announcement, Publish, PublishError};
use serde::{Deserialize, Serialize};

use crate::{
    aws::Aws,
    signed::{SignedError, SignedService},
};

const SOURCE: &str = "gatehouse";

/// How many events one call takes.
const EVENTS_PER_CALL: usize = 10;

/// A bus of this account and region.
#[derive(Debug, Clone)]
pub struct EventBus {
    service: SignedService,
    name: String,
}

impl EventBus {
    /// The bus `name`.
    ///
    /// # Errors
    ///
    /// When there is no region.
    pub fn new(aws: &Aws, name: impl Into<String>) -> Result<Self, SignedError> {
        Ok(Self { service: aws.signed("events")?, name: name.into() })
    }
}

/// What `PutEvents` takes.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    event_bus_name: &'a str,
    source: &'a str,
    detail_type: &'a str,
    /// Seconds since 1970.
    time: i64,
    detail: String,
}

/// What it answers: an entry for each that was put, in their order.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_entry_count: usize,
    entries: Vec<Put>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    error_code: Option<String>,
}

/// Why an event was not put.
#[derive(Debug, thiserror::Error)]
enum PutError {
    #[error("EventBridge could not be called")]
    Call(#[from] SignedError),
    #[error("an event could not be written, or EventBridge's answer not be read")]
    Json(#[from] serde_json::Error),
    #[error("EventBridge could not be called")]
    Request(#[from] http::Error),
    #[error("EventBridge did not answer for each event")]
    Incomplete,
    #[error("EventBridge refused the event: {0}")]
    Refused(String),
}

#[async_trait]
impl Publish for EventBus {
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>> {
        let mut outcomes = Vec::with_capacity(announcements.len());
        for chunk in announcements.chunks(EVENTS_PER_CALL) {
            match self.put(chunk).await {
                Ok(puts) => outcomes.extend(puts),
                Err(error) => {
                    // One error, for each of the events.
                    let error = Arc::new(error);
                    outcomes.extend(chunk.iter().map(|_| Err(PublishError(Box::new(error.clone())))));
                }
            }
        }
        outcomes
    }
}

impl EventBus {
    async fn put(&self, announcements: &[Announcement]) -> Result<Vec<Result<(), PublishError>>, PutError> {
        let entries = announcements.iter().map(|announcement| self.entry(announcement));
        let body = serde_json::to_string(&PutEvents { entries: entries.collect::<Result<_, _>>()? })?;
        let request = http::Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AWSEvents.PutEvents")
            .body(body)?;
        let answer: Answer = serde_json::from_slice(&self.service.call(request).await?)?;
        let refused = answer.entries.iter().filter(|put| put.error_code.is_some()).count();
        if answer.entries.len() != announcements.len() || refused != answer.failed_entry_count {
            return Err(PutError::Incomplete);
        }
        Ok(answer.entries.into_iter().map(outcome).collect())
    }

    fn entry(&self, announcement: &Announcement) -> Result<Entry<'_>, serde_json::Error> {
        Ok(Entry {
            event_bus_name: &self.name,
            source: SOURCE,
            detail_type: announcement.news.title(),
            time: announcement.found_at.as_second(),
            detail: serde_json::to_string(announcement)?,
        })
    }
}

fn outcome(put: Put) -> Result<(), PublishError> {
    put.error_code.map_or(Ok(()), |code| Err(PublishError(PutError::Refused(code).into())))
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::{error::Chain, janitor::News};
    use serde_json::{Value, json};

    use super::*;
    use crate::canned::{Canned, aws};

    fn announcement(number: usize) -> Announcement {
        let announcement = json!({
            "id": format!("tok_{number}:ending:14"),
            "news": News::TokenEnding.title(),
            "found_at": "2026-01-02T03:04:05Z",
            "subject": format!("tok_{number}"),
            "tenant": "acme",
            "days": 14,
        });
        serde_json::from_value(announcement).unwrap()
    }

    fn accepted(number: usize) -> Value {
        let entries: Vec<_> = (0..number).map(|id| json!({ "EventId": id.to_string() })).collect();
        json!({ "FailedEntryCount": 0, "Entries": entries })
    }

    async fn publish(server: &Canned, number: usize) -> Vec<Result<(), String>> {
        let bus = EventBus::new(&aws(server), "gatehouse-bus").unwrap();
        let announcements: Vec<_> = (0..number).map(announcement).collect();
        let outcomes = bus.publish(&announcements).await;
        outcomes.into_iter().map(|put| put.map_err(|error| Chain(&error).to_string())).collect()
    }

    #[tokio::test]
    async fn an_announcement_becomes_an_event_of_the_bus() {
        let server = Canned::start([(200, accepted(1).to_string())]).await;
        assert_eq!(publish(&server, 1).await, [Ok(())]);
        let request = &server.requests()[0];
        assert!(request.head.starts_with("POST / HTTP/1.1\r\n"), "{}", request.head);
        assert!(request.has("x-amz-target: AWSEvents.PutEvents"), "{}", request.head);
        assert!(request.has("content-type: application/x-amz-json-1.1"), "{}", request.head);
        assert!(request.is_signed_for("events"), "{}", request.head);
        let mut body: Value = serde_json::from_str(&request.body).unwrap();
        let detail = body["Entries"][0]["Detail"].take();
        let expected = json!({ "Entries": [{
            "EventBusName": "gatehouse-bus",
            "Source": "gatehouse",
            "DetailType": "Service Token Ending",
            "Time": 1_767_323_045,
            "Detail": null,
        }] });
        assert_eq!(body, expected);
        let detail: Announcement = serde_json::from_str(detail.as_str().unwrap()).unwrap();
        assert_eq!(detail, announcement(0));
    }

    #[tokio::test]
    async fn ten_events_go_with_each_call() {
        let server = Canned::start([(200, accepted(10).to_string()), (200, accepted(3).to_string())]).await;
        assert_eq!(publish(&server, 13).await, vec![Ok(()); 13]);
        let sizes = server.requests().into_iter().map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["Entries"].as_array().unwrap().len()
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [10, 3]);
    }

    #[tokio::test]
    async fn an_event_that_is_refused_is_told_from_those_that_are_not() {
        let answer = json!({ "FailedEntryCount": 1, "Entries": [
            { "EventId": "1" },
            { "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" },
            { "EventId": "3" },
        ] });
        let server = Canned::start([(200, answer.to_string())]).await;
        let outcomes = publish(&server, 3).await;
        assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(()), &Ok(())));
        let refused = outcomes[1].as_ref().unwrap_err();
        assert!(refused.ends_with("EventBridge refused the event: ThrottlingException"), "{refused}");
    }

    #[tokio::test]
    async fn a_call_that_fails_puts_none_of_its_events() {
        let server = Canned::start([(400, "{}".to_owned()), (200, accepted(1).to_string())]).await;
        let outcomes = publish(&server, 11).await;
        assert!(outcomes[..10].iter().all(Result::is_err) && outcomes[10].is_ok(), "{outcomes:?}");
    }

    #[tokio::test]
    async fn an_answer_that_does_not_add_up_puts_nothing() {
        for answer in [
            accepted(1).to_string(),
            json!({ "FailedEntryCount": 1, "Entries": [{}, {}] }).to_string(),
            "?".into(),
        ] {
            let server = Canned::start([(200, answer.clone())]).await;
            assert!(publish(&server, 2).await.iter().all(Result::is_err), "{answer}");
        }
    }
}
