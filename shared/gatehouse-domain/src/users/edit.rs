//! Creating users and changing them: nobody gives, or changes in others, more than they hold themselves. The
//! last platform admin cannot be removed.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    audit::{Action, AppendAudit, AuditContext, AuditTarget, CountAudit, Outcome},
    caller::Roles,
    clock::System,
    grants::{self, BeyondOwnRights},
    id::SessionId,
    name::UserName,
    revision::{Precondition, PreconditionError, Revision},
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
    users::{
        FindUser, HashPasswordError, OwnPasswordError, PasswordHash, SaveUser, Throttle, User, UserState,
        own_password::{self, oneself, own_session},
        password::{Passwords, check_password},
        store::{UserEdit, UserEditOutcome},
    },
    validation::FieldError,
};

/// A user who is to be created.
#[derive(Debug)]
pub struct UserDraft {
    /// The name with which they log in.
    pub name: UserName,
    /// A name for people.
    pub display_name: Option<String>,
    /// What they may do.
    pub roles: Roles,
    pub password: SecretString,
}

/// What is to be changed of a user; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// A name for people.
    pub display_name: Option<String>,
    /// What they may do.
    pub roles: Option<Roles>,
    /// Whether they may log in.
    pub state: Option<UserState>,
}

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    #[error("the user is not valid")]
    Invalid(Vec<FieldError>),
    /// The name is taken.
    #[error("there is a user `{0}` already")]
    Taken(UserName),
    /// The user would be worth more than whoever creates them.
    #[error(transparent)]
    Beyond(#[from] BeyondOwnRights),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashPasswordError),
    #[error("could not record the user")]
    Store(#[from] StoreError),
}

/// Creates a user, who has to change the password that somebody else chose at their first login.
pub async fn create<S: SaveUser>(
    store: &S,
    passwords: &dyn Passwords,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: UserDraft,
) -> Result<User, CreateUserError> {
    let mut errors = check_password(passwords, "/password", &draft.password, &draft.name);
    errors.extend(check_display_name(draft.display_name.as_deref()));
    if !errors.is_empty() {
        return Err(CreateUserError::Invalid(errors));
    }
    grants::check_roles(audit.caller, &draft.roles)?;
    let password = passwords.hash_password(&draft.password).await?;
    let audit_target = user_target(&draft.name, Some(draft.roles.to_string()));
    let entry = audit.entry(system, Action::CreateUser, Outcome::Done, audit_target);
    let user = User::new(system, draft.name, draft.roles, password, entry.at, audit.caller.actor());
    let user = User { display_name: draft.display_name, must_change_password: true, ..user };
    match store.create_user(&user, &entry).await? {
        UserEditOutcome::Done => Ok(user),
        UserEditOutcome::Conflict | UserEditOutcome::LastPlatformAdmin => {
            Err(CreateUserError::Taken(user.name))
        }
    }
}

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditUserError {
    #[error("there is no such user")]
    NotFound,
    #[error("the change is not valid")]
    Invalid(Vec<FieldError>),
    /// The user is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    /// The user is, or would be, worth more than whoever changes them.
    #[error(transparent)]
    Beyond(#[from] BeyondOwnRights),
    /// Nobody could administer the platform any more.
    #[error("this is the last platform admin; make somebody else one first")]
    LastPlatformAdmin,
    /// The caller has not proved who they are.
    #[error(transparent)]
    Own(#[from] OwnPasswordError),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashPasswordError),
    #[error("could not change the user")]
    Store(#[from] StoreError),
}

/// A user was changed.
#[derive(Debug)]
pub struct Edited {
    /// As they stand now.
    pub user: User,
    /// When that holds everywhere.
    pub effective: Effective,
    /// Why API Gateway's memory could not be flushed, for the log.
    pub flush_error: Option<FlushError>,
}

/// Changes roles, name or state of a user.
pub async fn edit<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &UserName,
    patch: UserPatch,
    expected: &Precondition,
) -> Result<Edited, EditUserError> {
    let errors = check_display_name(patch.display_name.as_deref());
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    let previous = store.find_user(name).await?.ok_or(EditUserError::NotFound)?;
    grants::check_target(audit.caller, &previous.roles)?;
    expected.admit(Some(&previous.revision))?;
    if let Some(roles) = &patch.roles {
        grants::check_roles(audit.caller, roles)?;
    }
    let action = match (patch.state, &patch.roles) {
        (Some(UserState::Disabled), _) => Action::DisableUser,
        (Some(UserState::Active), _) if previous.state == UserState::Disabled => Action::EnableUser,
        _ => Action::ChangeRoles,
    };
    let user = User {
        display_name: patch.display_name.or_else(|| previous.display_name.clone()),
        roles: patch.roles.unwrap_or_else(|| previous.roles.clone()),
        state: patch.state.unwrap_or(previous.state),
        ..previous.clone()
    };
    let detail = format!("{} to {}", previous.roles, user.roles);
    // A user who is disabled is logged out as well, and stays so when they are enabled again.
    let keep_sessions = (user.state == UserState::Disabled).then(Vec::new);
    save(store, flush, system, audit, UserEdit { previous, user, keep_sessions }, action, Some(detail)).await
}

/// Gives a user another password and ends all their sessions. One that somebody else chose has to be changed at the next
/// login.
pub async fn reset_password<S: FindUser + SaveUser + PendingFlush>(
    store: &S,
    passwords: &dyn Passwords,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &UserName,
    password: &SecretString,
) -> Result<Edited, EditUserError> {
    let errors = check_password(passwords, "/password", password, name);
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    let previous = store.find_user(name).await?.ok_or(EditUserError::NotFound)?;
    grants::check_target(audit.caller, &previous.roles)?;
    let password = passwords.hash_password(password).await?;
    let mut edit = with_password(previous, password, Vec::new());
    edit.user.must_change_password = audit.caller.hand() != format!("user:{name}");
    // Whoever had the old password may be known from where they used it.
    edit.user.known_networks.clear();
    save(store, flush, system, audit, edit, Action::ResetPassword, None).await
}

/// Changes the caller's own password and ends their other sessions.
pub async fn change_password<S>(
    store: &S,
    passwords: &dyn Passwords,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    current: &SecretString,
    new: &SecretString,
) -> Result<Edited, EditUserError>
where
    S: FindUser + SaveUser + Throttle + PendingFlush + AppendAudit + CountAudit,
{
    let name = oneself(audit.caller)?;
    let errors = check_password(passwords, "/new_password", new, &name);
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    let action = Action::ChangePassword;
    let (mut previous, _) = own_password::prove(store, passwords, system, audit, action, current).await?;
    if current.expose_secret() == new.expose_secret() {
        let error = FieldError::new("/new_password", "is the one that you have");
        return Err(EditUserError::Invalid(vec![error]));
    }
    let password = passwords.hash_password(new).await?;
    let own = own_session(audit.caller);
    if let Some(session) = own.as_ref().and_then(|id| previous.sessions.get_mut(id)) {
        session.reauthenticated_at = Some(system.now());
    }
    let mut edit = with_password(previous, password, own.into_iter().collect());
    edit.user.must_change_password = false;
    save(store, flush, system, audit, edit, action, None).await
}

fn with_password(previous: User, password: PasswordHash, keep: Vec<SessionId>) -> UserEdit {
    let user = User { password, ..previous.clone() };
    UserEdit { previous, user, keep_sessions: Some(keep) }
}

pub(super) async fn save<S: SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    mut edit: UserEdit,
    action: Action,
    detail: Option<String>,
) -> Result<Edited, EditUserError> {
    let entry = audit.entry(system, action, Outcome::Done, user_target(&edit.user.name, detail));
    edit.user.revision = Revision::new(system);
    edit.user.updated_at = entry.at;
    edit.user.updated_by = audit.caller.actor();
    match store.edit_user(&edit, &entry).await? {
        UserEditOutcome::Done => {}
        UserEditOutcome::Conflict => return Err(PreconditionError::Failed.into()),
        UserEditOutcome::LastPlatformAdmin => return Err(EditUserError::LastPlatformAdmin),
    }
    let (effective, flush_error) = revocation::flush(store, flush, system, entry.at).await;
    Ok(Edited { user: edit.user, effective, flush_error })
}

pub(super) fn user_target(name: &UserName, detail: Option<String>) -> AuditTarget {
    AuditTarget { target: format!("user:{name}"), tenant: None, detail }
}

fn check_display_name(name: Option<&str>) -> Vec<FieldError> {
    let bad = name.is_some_and(|name| name.trim().is_empty() || name.len() > 200);
    bad.then(|| FieldError::new("/display_name", "must be 1 to 200 bytes of text")).into_iter().collect()
}
