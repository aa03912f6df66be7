//! What a person has to do before anything else is open to them.

use crate::{
    caller::{RequiredAction, Roles},
    store::StoreError,
    tenant::ListTenants,
};

/// What somebody has to do first. Only who has no second factor is asked about with a read: of the tenants, which say
/// whether they want one. Who has a role in all tenants is in each of them.
pub(super) async fn required_action<S: ListTenants>(
    store: &S,
    roles: &Roles,
    must_change_password: bool,
    has_second_factor: bool,
) -> Result<Option<RequiredAction>, StoreError> {
    if must_change_password {
        return Ok(Some(RequiredAction::ChangePassword));
    }
    if has_second_factor || roles.greatest().is_none() {
        return Ok(None);
    }
    let tenants = store.list_tenants().await?;
    let wants = |it: &crate::tenant::Tenant| it.require_second_factor && roles.in_tenant(&it.id).is_some();
    Ok(tenants.iter().any(wants).then_some(RequiredAction::EnrolSecondFactor))
}
