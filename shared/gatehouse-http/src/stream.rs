//! Answers that last: each ends with the credential of whoever reads it.
//!
//! The authorizer is asked once, when a stream begins, and a stream may last for a quarter of an hour. So every
//! stream of the API is a body that is made here, which asks the same records again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_stream::stream;
use axum::{body::Body, extract::FromRequestParts, http::request::Parts};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use gatehouse_domain::{
    access::Endpoint,
    admission::{AdmissionStatus, FindCredentials, still_admitted},
    caller::Caller,
    clock::Clock,
    error::Chain,
    name::TenantId,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    extract::{Admitted, nobody_was_admitted},
    problem::Problem,
    sse,
};

/// How often it is asked whether the reader is still admitted. The table answers within eight seconds, or not at all.
const INTERVAL: Duration = Duration::from_secs(7);

/// Within which time a stream ends whose reader is not admitted any more.
pub const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// For how long a stream goes on while nobody can say whether its reader is admitted.
const GRACE: Duration = Duration::from_mins(1);

const _: () = assert!(INTERVAL.as_secs() < ENDS_WITHIN.as_secs() && ENDS_WITHIN.as_secs() < GRACE.as_secs());

/// Whoever reads a stream, and the endpoint that admitted them.
#[derive(Debug, Clone)]
pub struct Reader {
    pub caller: Caller,
    endpoint: &'static Endpoint,
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Admitted(caller) = Admitted::from_request_parts(parts, state).await?;
        let endpoint = parts.extensions.get::<&'static Endpoint>().copied();
        endpoint.map(|endpoint| Self { caller, endpoint }).ok_or_else(nobody_was_admitted)
    }
}

/// Why a stream is ended before its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The session, key or token of the reader does not count any more.
    CredentialEnded,
    /// The reader may not read this any more.
    RoleLost,
    /// For longer than is borne, nobody could say which. Whoever comes back is asked by the authorizer.
    Unknown,
}

impl Cut {
    /// What readers of server-sent events are told.
    ///
    /// The end has no id: whoever logs in again continues behind the last event that they have read.
    pub fn event(self) -> Bytes {
        match self {
            Self::CredentialEnded => sse::frame("end", None, &json!({ "reason": "credential_ended" })),
            Self::RoleLost => sse::frame("end", None, &json!({ "reason": "role_lost" })),
            Self::Unknown => sse::reconnect(),
        }
    }

    /// The last line for readers of plain text.
    pub fn line(self) -> Bytes {
        Bytes::from_static(match self {
            Self::CredentialEnded => b"\n[the log is cut here: your credential has ended]\n",
            Self::RoleLost => b"\n[the log is cut here: your role does not allow this any more]\n",
            Self::Unknown => b"\n[the log is cut here: it cannot be found out whether you may read on]\n",
        })
    }
}

/// Where it is found out whether a reader is still admitted.
pub struct Admission<S> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    reader: Reader,
    /// The tenant whose things are read.
    tenant: TenantId,
}

impl<S: FindCredentials + 'static> Admission<S> {
    /// Of a reader who was admitted just now, to things of `tenant`.
    pub fn new(store: Arc<S>, clock: Arc<dyn Clock>, reader: Reader, tenant: TenantId) -> Self {
        Self { store, clock, reader, tenant }
    }

    /// A body that ends with `pieces`, or with what `last_words` says when the reader is not admitted any more.
    pub fn body(
        self,
        pieces: impl Stream<Item = Bytes> + Send + 'static,
        last_words: fn(Cut) -> Bytes,
    ) -> Body {
        Body::from_stream(self.guard(pieces, last_words).map(Ok::<_, Infallible>))
    }

    fn guard(
        self,
        pieces: impl Stream<Item = Bytes> + Send + 'static,
        last_words: fn(Cut) -> Bytes,
    ) -> impl Stream<Item = Bytes> + Send {
        stream! {
            let mut pieces = Box::pin(pieces);
            let now = self.clock.now();
            let mut known_at = now;
            let mut due_at = now + INTERVAL;
            loop {
                let piece = tokio::select! {
                    biased;
                    piece = pieces.next() => Some(piece),
                    () = self.clock.sleep(until(due_at, self.clock.now())) => None,
                };
                // A piece that is there waits for the answer: a stream that is never silent, or whose reader
                // is slow, is asked about as often as any other.
                let now = self.clock.now();
                if due_at <= now {
                    match self.ask(now, known_at).await {
                        Ok(asked_at) => known_at = asked_at,
                        Err(cut) => {
                            yield last_words(cut);
                            break;
                        }
                    }
                    due_at = now + INTERVAL;
                }
                match piece {
                    Some(Some(piece)) => yield piece,
                    Some(None) => break,
                    None => {}
                }
            }
        }
    }

    /// When it was last known that the reader is admitted, which may be `known_at` for a while.
    async fn ask(&self, now: Timestamp, known_at: Timestamp) -> Result<Timestamp, Cut> {
        let Reader { caller, endpoint } = &self.reader;
        match still_admitted(&*self.store, caller, endpoint, &self.tenant, now).await {
            Ok(AdmissionStatus::Admitted) => Ok(now),
            Ok(AdmissionStatus::CredentialEnded) => Err(Cut::CredentialEnded),
            Ok(AdmissionStatus::RoleLost) => Err(Cut::RoleLost),
            Err(error) => {
                let caller = caller.actor();
                tracing::warn!(caller, error = %Chain(&error), "could not find out whether {caller} is still admitted");
                if known_at + GRACE <= now { Err(Cut::Unknown) } else { Ok(known_at) }
            }
        }
    }
}

fn until(due_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due_at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use futures_util::stream;
    use gatehouse_domain::{
        access::{STREAM_RUN_EVENTS, Scope},
        api_key::{ApiKey, ApiKeyId, FindApiKey},
        caller::{Grant, Tenants},
        id::TokenId,
        name::UserName,
        store::StoreError,
        tenant::{ListTenants, Tenant},
        tokens::{FindToken, ServiceToken},
        users::{Account, FindAccount},
    };
    use gatehouse_testkit::app::TestSystem;

    use super::*;

    /// A table with one key, which can be down.
    struct Table {
        key: ApiKey,
        down: AtomicBool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl FindApiKey for Table {
        async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.down.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable("down".into()));
            }
            Ok(Some(self.key.clone()).filter(|key| key.id == *id))
        }
    }

    #[async_trait]
    impl ListTenants for Table {
        async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl FindAccount for Table {
        async fn find_account(&self, _name: &UserName) -> Result<Option<Account>, StoreError> {
            Ok(None)
        }
    }

    #[async_trait]
    impl FindToken for Table {
        async fn find_token(&self, _jti: &TokenId) -> Result<Option<ServiceToken>, StoreError> {
            Ok(None)
        }
    }

    fn guarded() -> (Arc<Table>, Arc<TestSystem>, Admission<Table>) {
        let system = Arc::new(TestSystem::default());
        let scopes = BTreeSet::from([Scope::RunsRead]);
        let (key, _) = ApiKey::generate(&*system, "test".into(), scopes.clone(), Tenants::All, system.now());
        let subject = key.id.as_str().to_owned();
        let caller = Caller {
            subject,
            grant: Grant::ApiKey { scopes, tenants: Tenants::All, expires_at: None, minted_by: None },
        };
        let table = Arc::new(Table { key, down: AtomicBool::default(), asked: AtomicUsize::default() });
        let reader = Reader { caller, endpoint: &STREAM_RUN_EVENTS };
        let admission = Admission::new(table.clone(), system.clone(), reader, "acme".parse().unwrap());
        (table, system, admission)
    }

    fn words(cut: Cut) -> Bytes {
        format!("{cut:?}").into()
    }

    #[tokio::test]
    async fn a_table_that_is_down_ends_a_stream_after_a_grace_only() {
        let (table, system, admission) = guarded();
        let begun = system.now();
        table.down.store(true, Ordering::Relaxed);
        let rest: Vec<_> = admission.guard(stream::pending(), words).collect().await;
        assert_eq!(rest, ["Unknown"]);
        let lasted = Duration::try_from(system.now().duration_since(begun)).unwrap();
        assert!(lasted >= GRACE && lasted <= GRACE + INTERVAL, "{lasted:?}");
    }

    #[tokio::test]
    async fn the_grace_begins_anew_when_the_table_answers() {
        let (table, system, admission) = guarded();
        let begun = system.now();
        // It is asked in every seventh second, and answers each fifth time: sooner than the grace is over.
        let ticks = {
            let (table, system) = (table.clone(), system.clone());
            async_stream::stream! {
                for second in 0..300_u32 {
                    system.advance(Duration::from_secs(1));
                    table.down.store(second % 35 != 6, Ordering::Relaxed);
                    yield Bytes::new();
                }
            }
        };
        let rest: Vec<_> = admission.guard(ticks, words).collect().await;
        assert_eq!(rest, vec![Bytes::new(); 300]);
        assert_eq!(system.now().duration_since(begun).as_secs(), 300);
    }

    #[tokio::test]
    async fn a_stream_costs_one_read_in_each_interval() {
        let (table, system, admission) = guarded();
        let ticks = {
            let system = system.clone();
            async_stream::stream! {
                for _ in 0..1000_u32 {
                    system.advance(Duration::from_millis(70));
                    yield Bytes::from_static(b"x");
                }
            }
        };
        let rest: Vec<_> = admission.guard(ticks, words).collect().await;
        assert_eq!(rest.len(), 1000);
        assert_eq!(table.asked.load(Ordering::Relaxed), 10);
    }

    #[tokio::test]
    async fn a_stream_that_ends_by_itself_is_not_asked_about() {
        let (table, _, admission) = guarded();
        let rest: Vec<_> = admission.guard(stream::iter(["a", "b"].map(Bytes::from)), words).collect().await;
        assert_eq!((rest, table.asked.load(Ordering::Relaxed)), (vec!["a".into(), "b".into()], 0));
    }
}
