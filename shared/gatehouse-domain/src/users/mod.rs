//! Users: people, their roles, their passwords and their sessions.
//!
//! Everything that decides whether a session is valid is in one record: the roles, whether the user is
//! disabled, and the sessions that were not ended. So one read answers who is calling, and a change of any
//! of it holds from the next read on.

mod authenticate;
mod edit;
mod end_sessions;
mod enrolment;
mod login;
mod own_password;
mod password;
mod reauthenticate;
mod required_action;
mod second_factor;
mod session;
mod store;
mod throttle;
mod user;

pub use self::{
    authenticate::{RecordSessionUse, SessionUse, authenticate, in_session},
    edit::{
        CreateUserError, EditUserError, Edited, UserDraft, UserPatch, change_password, create, edit,
        reset_password,
    },
    end_sessions::{
        EndedSessions, OwnSession, SessionsError, end_other_sessions, end_session, end_sessions_of,
        list_sessions, log_out,
    },
    enrolment::{
        Enrolment, RecoveryCodes, SecondFactorError, confirm_second_factor, enrol_second_factor,
        remove_second_factor, renew_recovery_codes, reset_second_factor,
    },
    login::{HashPassword, HashPasswordError, LogIn, LoggedIn, LoginError, log_in},
    own_password::OwnPasswordError,
    password::{JudgePassword, Passwords, Weakness, check_password},
    reauthenticate::{Proof, reauthenticate},
    second_factor::{
        CodesError, OneTimeCodes, RECOVERY_CODES, RecoveryCodeHash, SealedSecret, SecondFactor, SpentCode,
    },
    session::{IDLE, MAX_SESSIONS, SEEN_INTERVAL, SESSION, Session},
    store::{
        Begun, CreateFirstAdmin, FindAccount, FindUser, Reauthenticated, SaveSession, SaveUser, UserEdit,
        UserEditOutcome,
    },
    throttle::{Attempt, LONGEST_WAIT, MAX_KNOWN_NETWORKS, Permit, Throttle},
    user::{Account, MAX_PASSWORD, MIN_PASSWORD, PasswordHash, User, UserState},
};
