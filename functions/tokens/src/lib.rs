//! Service tokens and the keys that sign.

mod signing_keys;
mod state;
mod tokens;

use axum::Router;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    LIST_TOKENS => tokens::list,
    MINT_TOKEN => tokens::mint,
    SHOW_TOKEN => tokens::show,
    REVOKE_TOKEN => tokens::revoke,
    ROTATE_TOKEN => tokens::rotate,
    LIST_SIGNING_KEYS => signing_keys::list,
    ROTATE_SIGNING_KEY => signing_keys::rotate,
    "GET" "/.well-known/jwks.json" => signing_keys::jwks,
}
