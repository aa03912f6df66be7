//! Who is called by webhooks.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;
use tokio::net::TcpListener;

use super::wait::found;

/// Who is called by a webhook, and remembers the calls.
#[derive(Clone, Default)]
pub struct Receiver(Arc<Mutex<Vec<Value>>>);

impl Receiver {
    /// A receiver, and where it is called.
    pub async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/canary-of-deploys", listener.local_addr().expect("an address"));
        let take = async |State(receiver): State<Self>, Json(call): Json<Value>| {
            receiver.0.lock().expect("no panic").push(call);
        };
        let app = Router::new().route("/canary-of-deploys", post(take)).with_state(receiver.clone());
        tokio::spawn(async { axum::serve(listener, app).await });
        (receiver, url)
    }

    /// The first call.
    pub async fn call(&self) -> Value {
        found("a call of the webhook", || async { self.0.lock().expect("no panic").first().cloned() }).await
    }
}
