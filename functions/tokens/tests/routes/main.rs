//! Each route of the function with each of its refusals.

mod escalation;
mod signing_keys;
mod tokens;

use std::sync::Arc;

use ::tokens::AppState;
use gatehouse_jwt::Issuer;
use gatehouse_testkit::app::TestApp;

async fn start() -> TestApp {
    TestApp::start(|deps| {
        let (issuer, flush) = (Issuer::new("urn:gatehouse:test"), Arc::new(deps.flushes));
        ::tokens::router(AppState::new(deps.table, deps.secrets, issuer, flush, deps.system))
    })
    .await
}
