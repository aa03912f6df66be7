//! Who is calling (sessions, users, API keys), whose things there are (tenants, projects) and who did what (the
//! audit trail).

mod api_keys;
mod audit;
mod own_sessions;
mod projects;
mod second_factor;
mod sessions;
mod state;
mod tenants;
mod users;

use axum::Router;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    SHOW_CALLER => sessions::show_caller,
    LOG_OUT => sessions::log_out,
    REAUTHENTICATE => sessions::reauthenticate,
    LIST_SESSIONS => own_sessions::list,
    END_OTHER_SESSIONS => own_sessions::end_others,
    END_SESSION => own_sessions::end,
    ENROL_SECOND_FACTOR => second_factor::enrol,
    CONFIRM_SECOND_FACTOR => second_factor::confirm,
    RENEW_RECOVERY_CODES => second_factor::renew_recovery_codes,
    REMOVE_SECOND_FACTOR => second_factor::remove,
    CHANGE_PASSWORD => sessions::change_password,
    LIST_USERS => users::list,
    CREATE_USER => users::create,
    SHOW_USER => users::show,
    EDIT_USER => users::edit,
    RESET_PASSWORD => users::reset_password,
    END_USER_SESSIONS => own_sessions::end_of_user,
    RESET_SECOND_FACTOR => second_factor::reset,
    LIST_API_KEYS => api_keys::list,
    MINT_API_KEY => api_keys::mint,
    SHOW_API_KEY => api_keys::show,
    REVOKE_API_KEY => api_keys::revoke,
    LIST_AUDIT => audit::list,
    LIST_TENANTS => tenants::list,
    PUT_TENANT => tenants::put,
    DELETE_TENANT => tenants::delete,
    LIST_PROJECTS => projects::list,
    SHOW_PROJECT => projects::show,
    PUT_PROJECT => projects::put,
    DELETE_PROJECT => projects::delete,
    "POST" "/auth/login" => sessions::log_in,
}
