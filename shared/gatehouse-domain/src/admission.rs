//! Whether a caller who was admitted a while ago still is: asked again for as long as an answer lasts.
//!
//! It is decided by the record that the authorizer reads, and by the same rule.

use jiff::Timestamp;

use crate::{
    access::Endpoint,
    api_key::{self, ApiKeyId, FindApiKey},
    caller::{Caller, Grant},
    name::TenantId,
    store::StoreError,
    tenant::ListTenants,
    tokens::{self, FindToken},
    users::{self, FindAccount},
};

/// The records of every kind of credential, and what tenants want of people. Needs `dynamodb:GetItem` and
/// `dynamodb:Query`.
pub trait FindCredentials: FindAccount + ListTenants + FindApiKey + FindToken {}

impl<S: FindAccount + ListTenants + FindApiKey + FindToken> FindCredentials for S {}

/// How somebody stands who was admitted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionStatus {
    Admitted,
    /// The session, key or token does not count any more.
    CredentialEnded,
    /// The credential counts, and what it may do is less than the endpoint asks for.
    RoleLost,
}

/// Whether `caller` may still use `endpoint` on things of `tenant`.
pub async fn still_admitted<S: FindCredentials>(
    store: &S,
    caller: &Caller,
    endpoint: &Endpoint,
    tenant: &TenantId,
    now: Timestamp,
) -> Result<AdmissionStatus, StoreError> {
    Ok(match current(store, caller, now).await? {
        None => AdmissionStatus::CredentialEnded,
        Some(current) if current.may_in(endpoint, tenant) => AdmissionStatus::Admitted,
        Some(_) => AdmissionStatus::RoleLost,
    })
}

/// The caller as their credential says by now. What cannot be the name of a credential is none.
async fn current<S: FindCredentials>(
    store: &S,
    caller: &Caller,
    now: Timestamp,
) -> Result<Option<Caller>, StoreError> {
    let subject = caller.subject.as_str();
    match &caller.grant {
        Grant::User { session, .. } => {
            let (Ok(user), Ok(session)) = (subject.parse(), session.parse()) else { return Ok(None) };
            users::in_session(store, &user, &session, now).await
        }
        Grant::ApiKey { .. } => {
            let Ok(id) = subject.parse::<ApiKeyId>() else { return Ok(None) };
            api_key::with_key(store, &id, now).await
        }
        Grant::Service { .. } => {
            let Ok(jti) = subject.parse() else { return Ok(None) };
            tokens::with_token(store, &jti, now).await
        }
        // No credential makes such a caller.
        Grant::Operation { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use async_trait::async_trait;
    use futures_util::FutureExt;

    use super::{
        AdmissionStatus::{Admitted, CredentialEnded, RoleLost},
        *,
    };
    use crate::{
        access::{ENDPOINTS, STREAM_RUN_EVENTS, Scope},
        api_key::{ApiKey, Revocation},
        caller::Tenants,
        id::{SessionId, TokenId},
        name::UserName,
        tenant::Tenant,
        test_support::{Hand, START},
        tokens::{ServiceToken, TokenState},
        users::{Account, Session, UserState},
    };

    /// The records, one of each kind.
    struct Records {
        account: Option<Account>,
        key: Option<ApiKey>,
        token: Option<ServiceToken>,
        wants_second_factor: bool,
    }

    /// The table, or one that does not answer.
    struct Table(Mutex<Option<Records>>);

    impl Table {
        fn read<T>(&self, read: impl FnOnce(&Records) -> T) -> Result<T, StoreError> {
            let records = self.0.lock().unwrap();
            records.as_ref().map(read).ok_or_else(|| StoreError::Unavailable("down".into()))
        }
    }

    #[async_trait]
    impl FindAccount for Table {
        async fn find_account(&self, name: &UserName) -> Result<Option<Account>, StoreError> {
            self.read(|records| records.account.clone().filter(|_| name.as_str() == "ada"))
        }
    }

    #[async_trait]
    impl ListTenants for Table {
        async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError> {
            let wanting = |records: &Records| records.wants_second_factor;
            let require_second_factor = self.read(wanting)?;
            Ok(vec![Tenant {
                id: tenant(),
                display_name: "Acme".into(),
                require_second_factor,
                default_project: None,
                created_at: at(0),
                created_by: "user:root".into(),
            }])
        }
    }

    #[async_trait]
    impl FindApiKey for Table {
        async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
            self.read(|records| records.key.clone().filter(|key| key.id == *id))
        }
    }

    #[async_trait]
    impl FindToken for Table {
        async fn find_token(&self, jti: &TokenId) -> Result<Option<ServiceToken>, StoreError> {
            self.read(|records| records.token.clone().filter(|token| token.jti == *jti))
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn session(number: u8) -> SessionId {
        format!("ses_{number:0>26}").parse().unwrap()
    }

    fn token_id(number: u8) -> TokenId {
        format!("tok_{number:0>26}").parse().unwrap()
    }

    fn tenant() -> TenantId {
        "acme".parse().unwrap()
    }

    fn records() -> Records {
        let lasting = Session::new(at(0), at(1000));
        let sessions = BTreeMap::from([(session(1), lasting.clone()), (session(2), lasting)]);
        let scopes = [Scope::RunsRead].into();
        let (key, _) = ApiKey::generate(&Hand::default(), "key".into(), scopes, Tenants::All, at(0));
        Records {
            account: Some(Account {
                roles: "acme=developer,beta=admin".parse().unwrap(),
                state: UserState::Active,
                must_change_password: false,
                second_factor_since: None,
                sessions,
            }),
            key: Some(ApiKey { expires_at: Some(at(1000)), ..key }),
            token: Some(ServiceToken {
                jti: token_id(1),
                tenant: tenant(),
                project: "payments".parse().unwrap(),
                service: "worker".parse().unwrap(),
                description: None,
                created_at: at(0),
                created_by: "user:ada".into(),
                expires_at: at(1000),
                last_used_at: None,
                replaces: None,
                state: TokenState::Active,
            }),
            wants_second_factor: false,
        }
    }

    /// The callers of these records, as the authorizer knows them.
    fn callers(records: &Records) -> [Caller; 3] {
        let account = records.account.clone().unwrap();
        let user = Grant::person(account.roles, session(1).as_str(), at(0));
        let scopes = [Scope::RunsRead].into();
        let key = Grant::ApiKey { scopes, tenants: Tenants::All, expires_at: None, minted_by: None };
        let key_id = records.key.as_ref().unwrap().id.as_str();
        let service = Grant::Service {
            project: "payments".parse().unwrap(),
            tenant: tenant(),
            service: "worker".parse().unwrap(),
        };
        [
            Caller { subject: "ada".into(), grant: user },
            Caller { subject: key_id.into(), grant: key },
            Caller { subject: token_id(1).to_string(), grant: service },
        ]
    }

    /// How each of the callers stands at an endpoint that was open to them, after `change`.
    fn after(change: impl FnOnce(&mut Records), endpoint: &Endpoint, now: Timestamp) -> [AdmissionStatus; 3] {
        let mut records = records();
        let callers = callers(&records);
        change(&mut records);
        let table = Table(Mutex::new(Some(records)));
        let mut statuses = [AdmissionStatus::Admitted; 3];
        for (status, caller) in statuses.iter_mut().zip(&callers) {
            *status =
                still_admitted(&table, caller, endpoint, &tenant(), now).now_or_never().unwrap().unwrap();
        }
        statuses
    }

    /// Open to every kind of credential.
    const ANYBODY: &Endpoint = &crate::access::SHOW_CALLER;

    #[test]
    fn who_was_not_touched_stays_admitted() {
        assert_eq!(after(|_| {}, ANYBODY, at(999)), [Admitted; 3]);
        let service_has_no_endpoints = [Admitted, Admitted, RoleLost];
        assert_eq!(after(|_| {}, &STREAM_RUN_EVENTS, at(0)), service_has_no_endpoints);
    }

    #[test]
    fn every_credential_ends_by_itself() {
        assert_eq!(after(|_| {}, ANYBODY, at(1000)), [CredentialEnded; 3]);
    }

    #[test]
    fn every_way_to_take_a_credential_away_ends_it_and_no_other() {
        type Change = fn(&mut Records);
        let ways: [(&str, usize, Change); 9] = [
            ("logged out", 0, |records| {
                records.account.as_mut().unwrap().sessions.remove(&session(1));
            }),
            ("every session ended", 0, |records| records.account.as_mut().unwrap().sessions.clear()),
            ("disabled", 0, |records| records.account.as_mut().unwrap().state = UserState::Disabled),
            ("forgotten user", 0, |records| records.account = None),
            ("revoked key", 1, |records| {
                let revocation = Revocation { at: at(1), by: "user:root".into(), reason: None };
                records.key.as_mut().unwrap().revoked = Some(revocation);
            }),
            ("forgotten key", 1, |records| records.key = None),
            ("revoked token", 2, |records| {
                let revoked = TokenState::Revoked { at: at(1), by: "user:root".into(), reason: None };
                records.token.as_mut().unwrap().state = revoked;
            }),
            ("rotated out", 2, |records| {
                let rotated = TokenState::Rotated { to: token_id(2), at: at(1), expires_at: Some(at(5)) };
                records.token.as_mut().unwrap().state = rotated;
            }),
            ("forgotten token", 2, |records| records.token = None),
        ];
        for (way, whose, change) in ways {
            let mut expected = [Admitted; 3];
            expected[whose] = CredentialEnded;
            assert_eq!(after(change, ANYBODY, at(10)), expected, "{way}");
        }
    }

    #[test]
    fn another_session_and_a_rotated_token_in_its_grace_change_nothing() {
        let changed = after(
            |records| {
                records.account.as_mut().unwrap().sessions.remove(&session(2));
                let rotated = TokenState::Rotated { to: token_id(2), at: at(1), expires_at: Some(at(50)) };
                records.token.as_mut().unwrap().state = rotated;
            },
            ANYBODY,
            at(10),
        );
        assert_eq!(changed, [Admitted; 3]);
    }

    /// For every endpoint that people are given by a role, and every role that they may have by now.
    #[test]
    fn a_role_that_is_less_than_the_endpoint_asks_for_loses_it() {
        let roles = ["acme=viewer", "acme=developer", "acme=admin", "*=viewer", "*=admin", "beta=admin", ""];
        for endpoint in ENDPOINTS {
            for role in roles {
                let [person, ..] = after(
                    |records| records.account.as_mut().unwrap().roles = role.parse().unwrap(),
                    endpoint,
                    at(10),
                );
                let now = Grant::person(role.parse().unwrap(), session(1).as_str(), at(0));
                let fresh = Caller { subject: "ada".into(), grant: now };
                let expected = if fresh.may_in(endpoint, &tenant()) { Admitted } else { RoleLost };
                assert_eq!(person, expected, "{} with {role:?}", endpoint.id);
            }
        }
    }

    #[test]
    fn who_has_to_enrol_a_second_factor_by_now_loses_what_they_watch() {
        let wants = |records: &mut Records| records.wants_second_factor = true;
        assert_eq!(after(wants, &STREAM_RUN_EVENTS, at(10)), [RoleLost, Admitted, RoleLost]);
        let enrolled = |records: &mut Records| {
            records.wants_second_factor = true;
            records.account.as_mut().unwrap().second_factor_since = Some(at(0));
        };
        assert_eq!(after(enrolled, &STREAM_RUN_EVENTS, at(10)), [Admitted, Admitted, RoleLost]);
    }

    #[test]
    fn a_store_that_does_not_answer_says_nothing() {
        let [ada, ..] = callers(&records());
        let table = Table(Mutex::new(None));
        let asked = still_admitted(&table, &ada, ANYBODY, &tenant(), at(0)).now_or_never().unwrap();
        assert!(asked.is_err(), "{asked:?}");
    }

    #[test]
    fn what_no_credential_makes_is_not_admitted() {
        let table = Table(Mutex::new(Some(records())));
        let operation =
            Grant::Operation { tenant: tenant(), requested_by: "user:ada".into(), hand: "user:ada".into() };
        let [ada, ..] = callers(&records());
        let Grant::User { roles, .. } = ada.grant else { panic!("a person") };
        let strange = Grant::person(roles, "none", at(0));
        for (subject, grant) in [("ada", operation), ("ada", strange)] {
            let caller = Caller { subject: subject.into(), grant };
            let status =
                still_admitted(&table, &caller, ANYBODY, &tenant(), at(0)).now_or_never().unwrap().unwrap();
            assert_eq!(status, CredentialEnded);
        }
    }
}
