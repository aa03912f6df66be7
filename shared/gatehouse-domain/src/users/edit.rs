//! Creating users and changing them: nobody gives, or changes in others, more than they hold themselves. The
//! last platform admin cannot be removed.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::{
    audit::{Action, AuditContext, AuditTarget, Outcome},
    caller::{Grant, Roles},
    clock::System,
    grants::{self, BeyondOwnRights},
    id::SessionId,
    name::UserName,
    revision::{Precondition, PreconditionError, Revision},
    revocation::{self, Effective, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
    users::{
        Attempt, FindUser, HashPassword, HashPasswordError, MAX_PASSWORD, MIN_PASSWORD, PasswordHash,
        SaveUser, Throttle, User, UserState,
        login::{account_permit, until_next_window},
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

pub async fn create<S: SaveUser>(
    store: &S,
    passwords: &dyn HashPassword,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: UserDraft,
) -> Result<User, CreateUserError> {
    let mut errors = check_password("/password", &draft.password, &draft.name);
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
    passwords: &dyn HashPassword,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &UserName,
    password: &SecretString,
) -> Result<Edited, EditUserError> {
    let errors = check_password("/password", password, name);
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    let previous = store.find_user(name).await?.ok_or(EditUserError::NotFound)?;
    grants::check_target(audit.caller, &previous.roles)?;
    let password = passwords.hash_password(password).await?;
    let edit = with_password(previous, password, Vec::new());
    save(store, flush, system, audit, edit, Action::ResetPassword, None).await
}

/// Changes the caller's own password and ends their other sessions.
pub async fn change_password<S: FindUser + SaveUser + Throttle + PendingFlush>(
    store: &S,
    passwords: &dyn HashPassword,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    current: &SecretString,
    new: &SecretString,
) -> Result<Edited, EditUserError> {
    let Grant::User { session, .. } = &audit.caller.grant else { return Err(EditUserError::NotAPerson) };
    let name: UserName = audit.caller.subject.parse().map_err(|_| EditUserError::NotAPerson)?;
    let errors = check_password("/new_password", new, &name);
    if !errors.is_empty() {
        return Err(EditUserError::Invalid(errors));
    }
    // Whoever has stolen a session may not guess faster than anybody else.
    let now = system.now();
    if store.take_permits(&[account_permit(&name, now)]).await? == Attempt::Refused {
        return Err(EditUserError::Throttled { retry_after: until_next_window(now) });
    }
    let previous = store.find_user(&name).await?.ok_or(EditUserError::NotFound)?;
    if !passwords.matches(current, Some(&previous.password)).await? {
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

/// Whether somebody may choose this password: long enough, and not what everybody tries first (ASVS 5.0,
/// 6.2). No rules about kinds of characters.
pub fn check_password(pointer: &str, password: &SecretString, user: &UserName) -> Vec<FieldError> {
    let text = password.expose_secret();
    let detail = if text.chars().count() < MIN_PASSWORD {
        "must have at least 8 characters"
    } else if text.len() > MAX_PASSWORD {
        "must be at most 1,024 bytes"
    } else if is_common(text, user) {
        "is one of the first that anybody would try"
    } else {
        return Vec::new();
    };
    vec![FieldError::new(pointer, detail)]
}

/// Passwords of eight characters and more from the top of every list of leaked ones.
const COMMON: &[&str] = &[
    "password",
    "password1",
    "password12",
    "password123",
    "passw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "87654321",
    "11111111",
    "00000000",
    "88888888",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "q1w2e3r4",
    "zaq12wsx",
    "asdfghjk",
    "asdfghjkl",
    "zxcvbnm1",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "whatever",
    "computer",
    "internet",
    "starwars",
    "michelle",
    "jennifer",
    "samantha",
    "danielle",
    "corvette",
    "mercedes",
    "changeme",
    "changeit",
    "changeme1",
    "welcome1",
    "welcome123",
    "administrator",
    "admin123",
    "admin1234",
    "letmein1",
    "letmein123",
    "abcd1234",
    "abc12345",
    "aaaaaaaa",
    "a1b2c3d4",
    "test1234",
    "testtest",
    "default1",
    "secret123",
];

fn is_common(password: &str, user: &UserName) -> bool {
    let lower = password.to_lowercase();
    let mut characters = lower.chars();
    let first = characters.next();
    let trivial = characters.all(|next| Some(next) == first);
    COMMON.contains(&lower.as_str()) || trivial || lower.contains("gatehouse") || lower == user.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(password: &str) -> Option<String> {
        let errors = check_password("/password", &password.into(), &"ada@example.com".parse().unwrap());
        errors.into_iter().next().map(|error| error.detail)
    }

    #[test]
    fn short_and_common_passwords_are_refused() {
        assert!(refusal("seven77").unwrap().contains("8 characters"));
        for common in ["Password1", "12345678", "zzzzzzzzzz", "Gatehouse-2026", "ada@example.com"] {
            assert!(refusal(common).unwrap().contains("anybody would try"), "{common}");
        }
        assert!(refusal(&"x".repeat(1025)).is_some());
    }

    #[test]
    fn any_kind_of_characters_is_fine() {
        for good in ["correct horse battery", "ÄÖÜäöüß1", "ñandú éxito", "blue skies only"] {
            assert_eq!(refusal(good), None, "{good}");
        }
    }
}
