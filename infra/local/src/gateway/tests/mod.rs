//! The gateway as its callers see it: over a socket, with toy functions behind it.

mod answers;
mod authorization;
mod invocations;
mod limits;
mod resources;
mod streaming;
mod toys;
mod visitors;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use bytes::Bytes;
use gatehouse_loopback::OwnNames;
use gatehouse_template::Template;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming as IncomingBody;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use self::toys::Toys;
use super::{ApiIdentity, Gateway, GatewayError, GatewaySettings, KnownToEverybody, Limits};
use crate::testing::{CountedIds, HandClock, account};

const TEMPLATE: &str = include_str!("template.yaml");

struct Stack {
    gateway: Gateway,
    address: SocketAddr,
    clock: Arc<HandClock>,
    toys: Toys,
    stop: Option<oneshot::Sender<()>>,
    running: Option<super::RunningGateway>,
}

fn template() -> Template {
    Template::parse(TEMPLATE, &std::collections::BTreeMap::new()).unwrap()
}

fn settings(limits: Limits) -> (GatewaySettings, Arc<HandClock>) {
    let (clock, ids) = (HandClock::new(), Arc::new(CountedIds::default()));
    let names = OwnNames::of_loopback().and(["api.example.com".to_owned()]);
    let refused = KnownToEverybody {
        keys: ["known-key".to_owned()].into(),
        passwords: ["known-word".to_owned()].into(),
    };
    (GatewaySettings { api: identity(), limits, clock: clock.clone(), ids, names, refused }, clock)
}

fn identity() -> ApiIdentity {
    ApiIdentity { account: account(), api_id: "local".into(), stage: String::new() }
}

impl Stack {
    async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    async fn with_limits(limits: Limits) -> Self {
        let toys = Toys::default();
        let (settings, clock) = settings(limits);
        let gateway = Gateway::new(&template(), &toys.functions(), settings).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let running = gateway.clone().serve(listener, shutdown).unwrap();
        let address = running.address();
        Self { gateway, address, clock, toys, stop: Some(stop), running: Some(running) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    async fn get_as(&self, credential: &str, path: &str) -> Answer {
        self.send(Request::get(path).header("authorization", credential), "").await
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let response = self.open(request, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { parts, body }
    }

    async fn open(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Response<IncomingBody> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request = request.body(Full::new(body.into())).unwrap();
        request.headers_mut().entry("host").or_insert(HeaderValue::from_static("localhost"));
        let response = sender.send_request(request).await.unwrap();
        // The connection lives as long as somebody may still send on it.
        tokio::spawn(async move { sender.ready().await });
        response
    }
}

struct Answer {
    parts: http::response::Parts,
    body: Bytes,
}

impl Answer {
    fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
