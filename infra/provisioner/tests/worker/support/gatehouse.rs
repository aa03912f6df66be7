//! A pretend Gatehouse: it takes callbacks, keeps them, and answers as a test wants it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{CALLBACK_TOKEN, wait::eventually};

/// What a callback is answered with.
pub enum Reply {
    /// What Gatehouse would answer.
    Usual,
    /// The same, and the worker should stop.
    Cancel,
    /// A problem.
    Problem(u16, &'static str),
    /// A status without a body.
    Status(u16),
    /// Nothing: the message is taken, and the connection is closed.
    TakeAndDrop,
    /// Nothing: the connection is closed.
    Drop,
    /// Nothing, for ever.
    Hang,
}

/// One callback.
pub struct Call<'a> {
    pub body: &'a Value,
    /// How often this message has come before.
    pub repetition: usize,
}

impl Call<'_> {
    pub fn is(&self, command: &str) -> bool {
        self.body["command"] == command
    }

    /// Whether it says that this step begins.
    pub fn begins(&self, step: &str) -> bool {
        self.body["step"] == step && self.body["state"] == "running"
    }

    /// Whether it has a line with this text.
    pub fn logs(&self, text: &str) -> bool {
        let lines = self.body["log"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.into_iter().any(|line| line.contains(text))
    }
}

type Hook = Box<dyn FnMut(&Call) -> Reply + Send>;

/// The server. Clones are the same.
#[derive(Clone)]
pub struct Gatehouse {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// As JSON: its numbers are given as a test writes them.
    order: String,
    hook: Hook,
    /// Every body that came, as its text.
    texts: Vec<String>,
    /// Every body that came, repetitions too.
    seen: Vec<Value>,
    /// Every message that was taken, once.
    taken: Vec<Value>,
    under_way: usize,
    /// What the worker did that it may not.
    wrongs: Vec<String>,
}

impl Gatehouse {
    /// One that gives this order and answers as usual.
    pub async fn start(order: Value) -> Self {
        Self::answering(order, |_| Reply::Usual).await
    }

    /// One that gives this order, which is JSON.
    pub async fn giving(order: &str) -> Self {
        Self::with(order.to_owned(), |_| Reply::Usual).await
    }

    /// One whose answers a test decides.
    pub async fn answering(order: Value, hook: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self::with(order.to_string(), hook).await
    }

    async fn with(order: String, hook: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (texts, seen, taken, wrongs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let state = State { order, hook: Box::new(hook), texts, seen, taken, under_way: 0, wrongs };
        let gatehouse = Self { address, state: Arc::new(Mutex::new(state)) };
        tokio::spawn(gatehouse.clone().serve(listener));
        gatehouse
    }

    pub fn url(&self) -> String {
        format!("http://{}/provisioning/callback", self.address)
    }

    /// The messages that were taken, after a look at how they came.
    pub fn messages(&self) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        assert_eq!(state.wrongs, Vec::<String>::new());
        state.taken.clone()
    }

    /// Every body that came.
    pub fn seen(&self) -> Vec<Value> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The text of every body that came.
    pub fn texts(&self) -> Vec<String> {
        self.state.lock().unwrap().texts.clone()
    }

    /// Every line of the log.
    pub fn log(&self) -> Vec<String> {
        let logs = self.messages().into_iter().filter_map(|message| message["log"].as_array().cloned());
        logs.flatten().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    /// How the attempt ended.
    pub fn end(&self) -> Value {
        let end = self.messages().pop().unwrap();
        assert!(["success", "failure"].contains(&end["command"].as_str().unwrap()), "no end: {end}");
        end
    }

    /// Why the attempt failed.
    pub fn reason(&self) -> String {
        let end = self.end();
        assert_eq!(end["command"], "failure", "{end}");
        end["reason"].as_str().unwrap().to_owned()
    }

    /// The steps and how they stood, in their order.
    pub fn steps(&self) -> Vec<String> {
        let steps = self.messages().into_iter().filter(|message| message["step"].is_string());
        steps.map(|m| format!("{} {}", m["step"].as_str().unwrap(), m["state"].as_str().unwrap())).collect()
    }

    /// Returns when a message was taken for which `condition` holds.
    pub async fn hears(&self, what: &str, condition: impl Fn(&Call) -> bool) {
        eventually(what, || {
            let state = self.state.lock().unwrap();
            state.taken.iter().any(|body| condition(&Call { body, repetition: 0 }))
        })
        .await;
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let gatehouse = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| gatehouse.clone().answer(request));
                // A connection that is dropped on purpose ends with an error.
                http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
            });
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
        let token = request.headers().get("x-callback-token").cloned();
        let body = request.into_body().collect().await.map_err(|_| Dropped)?.to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        let reply = {
            let mut state = self.state.lock().unwrap();
            state.texts.push(text);
            if token.is_none_or(|token| token != CALLBACK_TOKEN) {
                state.wrongs.push("the token is not the worker's".to_owned());
            }
            state.receive(&body)
        };
        let reply = self.reply(reply, &body).await;
        self.state.lock().unwrap().under_way -= 1;
        reply
    }

    async fn reply(&self, reply: Reply, body: &Value) -> Result<Response<Full<Bytes>>, Dropped> {
        match reply {
            Reply::Usual => Ok(self.take(body, false)),
            Reply::Cancel => Ok(self.take(body, true)),
            Reply::Problem(status, slug) => {
                let problem =
                    json!({ "type": format!("/problems/{slug}"), "detail": "as the test wants it" });
                Ok(answer(status, problem.to_string()))
            }
            Reply::Status(status) => Ok(answer(status, String::new())),
            Reply::TakeAndDrop => {
                self.take(body, false);
                Err(Dropped)
            }
            Reply::Drop => Err(Dropped),
            Reply::Hang => {
                // It gives up, so the next callback is not a second one at the same time.
                self.state.lock().unwrap().under_way -= 1;
                std::future::pending::<Infallible>().await;
                unreachable!()
            }
        }
    }

    fn take(&self, body: &Value, cancel: bool) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        let applied = state.take(body);
        let work = match body["command"].as_str() {
            Some("started") => format!(r#","work":{}"#, state.order),
            _ => String::new(),
        };
        answer(200, format!(r#"{{"applied":{applied},"cancel":{cancel}{work}}}"#))
    }
}

impl State {
    fn receive(&mut self, body: &Value) -> Reply {
        self.under_way += 1;
        if self.under_way > 1 {
            self.wrongs.push("two callbacks at the same time".to_owned());
        }
        let repetition = self.seen.iter().filter(|seen| seen["sequence"] == body["sequence"]).count();
        if let Some(other) =
            self.seen.iter().find(|seen| seen["sequence"] == body["sequence"] && *seen != body)
        {
            self.wrongs.push(format!("two messages with one number: {other} and {body}"));
        }
        self.seen.push(body.clone());
        (self.hook)(&Call { body, repetition })
    }

    /// Whether the message is a new one.
    fn take(&mut self, body: &Value) -> bool {
        let number = |message: &Value| message["sequence"].as_u64().unwrap();
        if self.taken.contains(body) {
            return false;
        }
        let last = self.taken.last().map_or(0, number);
        if number(body) <= last || (self.taken.is_empty() != (body["command"] == "started")) {
            self.wrongs.push(format!("out of order, behind {last}: {body}"));
        }
        self.taken.push(body.clone());
        true
    }
}

fn answer(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

/// A connection that is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped")]
struct Dropped;
