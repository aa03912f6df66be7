//! Users: people, their roles, their passwords and their sessions.
//!
//! Everything that decides whether a session is valid is in one record: the roles, whether the user is
//! disabled, and the sessions that were not ended. So one read answers who is calling, and a change of any
//! of it holds from the next read on.

mod edit;
mod login;
mod password;
mod session;
mod store;
mod throttle;
mod user;

pub use self::{
    edit::{
        CreateUserError, EditUserError, Edited, UserDraft, UserPatch, change_password, create, edit,
        reset_password,
    },
    login::{HashPassword, HashPasswordError, LogIn, LoggedIn, LoginError, SESSION, log_in},
    password::{JudgePassword, Passwords, Weakness, check_password},
    session::{LogOutError, authenticate, in_session, log_out},
    store::{
        Begun, CreateFirstAdmin, FindAccount, FindUser, SaveSession, SaveUser, UserEdit, UserEditOutcome,
    },
    throttle::{Attempt, LONGEST_WAIT, MAX_KNOWN_NETWORKS, Permit, Throttle},
    user::{Account, MAX_PASSWORD, MAX_SESSIONS, MIN_PASSWORD, PasswordHash, Session, User, UserState},
};
