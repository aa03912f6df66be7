//! What using an endpoint leaves in the audit trail: reviewed here, and held by tests to what happens.

use crate::{
    access::{self, Endpoint},
    audit::Action,
};

/// What an endpoint leaves in the trail when it does what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// An entry of one of these actions.
    Acts(&'static [Action]),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

macro_rules! trail {
    ($($endpoint:ident => $($action:ident)|+,)* ; $($silent:ident => $reason:literal,)*) => {
        /// Every endpoint that takes another method than `GET`.
        pub const TRAIL: &[(&Endpoint, Trail)] = &[
            $((&access::$endpoint, Trail::Acts(&[$(Action::$action),+])),)*
            $((&access::$silent, Trail::Nothing($reason)),)*
        ];
    };
}

trail! {
    PUT_JOB => PutJob,
    DELETE_JOB => DeleteJob,
    IMPORT_JOBS => PutJob,
    PUT_PROVIDER => PutProvider,
    DELETE_PROVIDER => DeleteProvider,
    TRIGGER_RUN => TriggerRun,
    RERUN_RUN => TriggerRun,
    CANCEL_RUN => CancelRun,
    LOG_OUT => Logout,
    REAUTHENTICATE => Reauthenticate,
    END_SESSION => EndSessions,
    END_OTHER_SESSIONS => EndSessions,
    ENROL_SECOND_FACTOR => EnrolSecondFactor,
    CONFIRM_SECOND_FACTOR => ConfirmSecondFactor,
    RENEW_RECOVERY_CODES => RenewRecoveryCodes,
    REMOVE_SECOND_FACTOR => RemoveSecondFactor,
    CHANGE_PASSWORD => ChangePassword,
    CREATE_USER => CreateUser,
    EDIT_USER => ChangeRoles | DisableUser | EnableUser,
    RESET_PASSWORD => ResetPassword,
    END_USER_SESSIONS => EndSessions,
    RESET_SECOND_FACTOR => ResetSecondFactor,
    MINT_API_KEY => MintApiKey,
    REVOKE_API_KEY => RevokeApiKey,
    MINT_TOKEN => MintToken,
    REVOKE_TOKEN => RevokeToken,
    ROTATE_TOKEN => RotateToken,
    ROTATE_SIGNING_KEY => RotateSigningKey,
    PUT_MODULE => PutModule,
    DELETE_MODULE => DeleteModule,
    PUT_TENANT => PutTenant,
    DELETE_TENANT => DeleteTenant,
    PUT_PROJECT => PutProject,
    DELETE_PROJECT => DeleteProject,
    CREATE_SERVICE => CreateService,
    PUT_SERVICE => PutService,
    DELETE_SERVICE => DeleteService,
    IMPORT_ENTITIES => PutEntity,
    DELETE_ENTITY => DeleteEntity,
    PROVISION_SERVICE => ProvisionService,
    DEPROVISION_SERVICE => DeprovisionService,
    CHECK_DRIFT => CheckDrift,
    EXTEND_ENVIRONMENT => ExtendEnvironment,
    DEPLOY_SERVICE => DeployService,
    APPROVE_OPERATION => ApproveOperation,
    REJECT_OPERATION => RejectOperation,
    CANCEL_OPERATION => CancelOperation,
    ;
    DISCOVER_JOBS => "it proposes jobs and saves none; importing them is in the trail",
    CHECK_PROVIDER => "it asks a CI system what will work, and changes nothing here or there",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_that_can_change_something_says_what_it_leaves_in_the_trail() {
        let named: Vec<_> = TRAIL.iter().map(|(endpoint, _)| endpoint.id).collect();
        let unique: BTreeSet<_> = named.iter().copied().collect();
        assert_eq!(named.len(), unique.len(), "an endpoint is named twice");
        let changing = access::ENDPOINTS.iter().filter(|endpoint| endpoint.methods != ["GET"]);
        assert_eq!(unique, changing.map(|endpoint| endpoint.id).collect());
    }

    #[test]
    fn every_action_is_an_endpoints_or_a_logins() {
        let of_endpoints: Vec<_> = TRAIL
            .iter()
            .flat_map(|(_, trail)| match trail {
                Trail::Acts(actions) => *actions,
                Trail::Nothing(reason) => {
                    assert!(reason.split_whitespace().count() > 3, "{reason:?} is no reason");
                    &[]
                }
            })
            .collect();
        for action in Action::ALL {
            // Logging in is open to everybody, and so is no endpoint of the table.
            assert!(*action == Action::Login || of_endpoints.contains(&action), "{}", action.as_str());
        }
    }
}
