//! Creating users and changing them: nobody gives, or changes in others, more than they hold themselves. The
//! last platform admin cannot be removed.

use std::time::Duration;

use secrecy::SecretString;

use crate::{
    audit::{Action, AppendAudit, AuditContext, AuditTarget, CountAudit, Outcome},
    caller::{Grant, Roles},
    clock::System,
    grants::{self, BeyondOwnRights},
    id::SessionId,
    name::UserName,
    revision::{Precondition, PreconditionError, Revision},
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
    users::{
        Attempt, FindUser, HashPasswordError, PasswordHash, SaveUser, Throttle, User, UserState,
        password::{Passwords, check_password},
        store::{UserEdit, UserEditOutcome},
        throttle::{self, COUNTED_IN},
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
    let audit_target = audit_target(&draft.name, Some(draft.roles.to_string()));
    let entry = audit.entry(system, Action::CreateUser, Outcome::Done, audit_target);
    let user = User::new(system, draft.name, draft.roles, password, entry.at, audit.caller.actor());
    let user = User { display_name: draft.display_name, ..user };
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
    /// The caller is no person.
    #[error("only people have passwords of their own")]
    NotAPerson,
    /// The current password is not that.
    #[error("the current password is wrong")]
    WrongPassword,
    /// Too many passwords were tried for this account.
    #[error("too many attempts failed; try again later")]
    Throttled {
        /// When the next one may be made.
        retry_after: Duration,
    },
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

/// Gives a user another password and ends all their sessions.
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
    let Grant::User { session, .. } = &audit.caller.grant else { return Err(EditUserError::NotAPerson) };
    let name: UserName = audit.caller.subject.parse().map_err(|_| EditUserError::NotAPerson)?;
    let errors = check_password(passwords, "/new_password", new, &name);
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    // Whoever has stolen a session may not guess faster than anybody else.
    let now = system.now();
    let permit = throttle::own(&name, now);
    let refused = |detail: &str| {
        let audit_target = audit_target(&name, Some(detail.to_owned()));
        audit.entry(system, Action::ChangePassword, Outcome::Refused, audit_target)
    };
    if store.take_permits(std::slice::from_ref(&permit)).await? != Attempt::Permitted {
        let entry = refused("too many attempts").counted(COUNTED_IN, name.as_str());
        store.count_audit(&entry).await?;
        return Err(EditUserError::Throttled { retry_after: permit.wait(now) });
    }
    let previous = store.find_user(&name).await?.ok_or(EditUserError::NotFound)?;
    if !passwords.matches(current, Some(&previous.password)).await? {
        store.append_audit(&refused("wrong password")).await?;
        return Err(EditUserError::WrongPassword);
    }
    let password = passwords.hash_password(new).await?;
    let keep = session.parse::<SessionId>().into_iter().collect();
    save(store, flush, system, audit, with_password(previous, password, keep), Action::ChangePassword, None)
        .await
}

fn with_password(previous: User, password: PasswordHash, keep: Vec<SessionId>) -> UserEdit {
    let user = User { password, ..previous.clone() };
    UserEdit { previous, user, keep_sessions: Some(keep) }
}

async fn save<S: SaveUser + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    mut edit: UserEdit,
    action: Action,
    detail: Option<String>,
) -> Result<Edited, EditUserError> {
    let entry = audit.entry(system, action, Outcome::Done, audit_target(&edit.user.name, detail));
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

fn audit_target(name: &UserName, detail: Option<String>) -> AuditTarget {
    AuditTarget { target: format!("user:{name}"), tenant: None, detail }
}

fn check_display_name(name: Option<&str>) -> Vec<FieldError> {
    let bad = name.is_some_and(|name| name.trim().is_empty() || name.len() > 200);
    bad.then(|| FieldError::new("/display_name", "must be 1 to 200 bytes of text")).into_iter().collect()
}
