//! Service tokens and the keys that sign.

mod signing_keys;
mod state;
mod tokens;

use axum::Router;
use gatehouse_domain::access::{
    LIST_SIGNING_KEYS, LIST_TOKENS, MINT_TOKEN, REVOKE_TOKEN, ROTATE_SIGNING_KEY, ROTATE_TOKEN, SHOW_TOKEN,
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
pub fn routes() -> Routes<AppState> {
    Routes::new()
        .open("GET", "/.well-known/jwks.json", signing_keys::jwks)
        .on(&LIST_TOKENS, tokens::list)
        .on(&MINT_TOKEN, tokens::mint)
        .on(&SHOW_TOKEN, tokens::show)
        .on(&REVOKE_TOKEN, tokens::revoke)
        .on(&ROTATE_TOKEN, tokens::rotate)
        .on(&LIST_SIGNING_KEYS, signing_keys::list)
        .on(&ROTATE_SIGNING_KEY, signing_keys::rotate)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    tokens::list,
    tokens::mint,
    tokens::show,
    tokens::revoke,
    tokens::rotate,
    signing_keys::jwks,
    signing_keys::list,
    signing_keys::rotate
))]
pub struct Description;
