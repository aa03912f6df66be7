//! Where people have to have proved of late who they are: a session that was stolen, or left open, makes nothing there
//! that outlives it. Keys are not asked, since nobody is there to answer.

use jiff::{SignedDuration, Timestamp};

use crate::{
    access::{
        CREATE_USER, EDIT_USER, ENROL_SECOND_FACTOR, Endpoint, MINT_API_KEY, MINT_TOKEN, PUT_TENANT,
        REMOVE_SECOND_FACTOR, RENEW_RECOVERY_CODES, RESET_PASSWORD, RESET_SECOND_FACTOR, ROTATE_TOKEN,
    },
    caller::{Caller, Grant},
};

/// How long ago is of late.
pub const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// What makes a credential, or somebody who can log in, or changes what they may do, or what they have to prove. What
/// only takes away is not here: whoever has to end something does so at once.
pub const ASKED_AT: [&Endpoint; 11] = [
    &ENROL_SECOND_FACTOR,
    &RENEW_RECOVERY_CODES,
    &REMOVE_SECOND_FACTOR,
    &CREATE_USER,
    &EDIT_USER,
    &RESET_PASSWORD,
    &RESET_SECOND_FACTOR,
    &MINT_API_KEY,
    &PUT_TENANT,
    &MINT_TOKEN,
    &ROTATE_TOKEN,
];

/// Whether the caller has to say their password again before they use `endpoint`.
pub fn is_due(caller: &Caller, endpoint: &Endpoint, now: Timestamp) -> bool {
    let Grant::User { authenticated_at, .. } = &caller.grant else { return false };
    let is_asked = ASKED_AT.iter().any(|asked| asked.id == endpoint.id);
    is_asked && now.duration_since(*authenticated_at) > RECENT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        access::{ENDPOINTS, Scope},
        caller::Tenants,
        trail::{TRAIL, Trail},
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn ada() -> Caller {
        Caller { subject: "ada".into(), grant: Grant::person("*=admin".parse().unwrap(), "s", at(0)) }
    }

    #[test]
    fn people_are_asked_again_after_ten_minutes_where_something_outlives_their_session() {
        for endpoint in ENDPOINTS {
            let is_asked = ASKED_AT.contains(endpoint);
            assert!(!is_due(&ada(), endpoint, at(600)), "{}", endpoint.id);
            assert_eq!(is_due(&ada(), endpoint, at(601)), is_asked, "{}", endpoint.id);
        }
    }

    #[test]
    fn keys_are_not_asked() {
        let grant = Grant::ApiKey {
            scopes: [Scope::All].into(),
            tenants: Tenants::All,
            expires_at: None,
            minted_by: Some("user:ada".into()),
        };
        let key = Caller { subject: "key_1".into(), grant };
        assert!(ENDPOINTS.iter().all(|endpoint| !is_due(&key, endpoint, at(1_000_000))));
    }

    #[test]
    fn every_act_that_mints_or_grants_is_asked_for() {
        let grants = |name: &str| {
            let (kind, act) = name.split_once('.').unwrap();
            match kind {
                "token" | "api_key" => act == "mint" || act == "rotate",
                "user" => act != "password_change",
                // The code of the device that was enrolled proves enough.
                "second_factor" => act != "confirm",
                // A tenant says whether its members need a second factor.
                "tenant" => act == "put",
                _ => false,
            }
        };
        let acts = TRAIL.iter().filter_map(|(endpoint, trail)| match trail {
            Trail::Acts(actions) if actions.iter().any(|action| grants(action.as_str())) => Some(endpoint.id),
            _ => None,
        });
        let asked: BTreeSet<_> = ASKED_AT.iter().map(|endpoint| endpoint.id).collect();
        assert_eq!(acts.collect::<BTreeSet<_>>(), asked);
    }
}
