//! A server that answers as it was told to, and a person who runs commands.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use bytes::Bytes;
use clap::Parser;
use gatehouse_cli::{Ask, Command, Dependencies, Environment, Exit, Stream, run};
use gatehouse_domain::clock::{Clock, IdSource};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The token that the environment gives unless a test says otherwise.
pub const TOKEN: &str = "gh_canary-token-of-the-environment";

/// A request as the server got it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server answers.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<String>,
    cut: bool,
    stays_open: bool,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    /// A body as it stands.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, pieces: vec![body.to_owned()], ..Self::default() }
    }

    pub fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn problem(status: u16, slug: &str, title: &str, more: &Value) -> Self {
        let mut body = json!({
            "type": format!("/problems/{slug}"), "title": title, "status": status,
            "detail": format!("About {slug}."), "request_id": "req-1",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self::json(status, &body).with("content-type", "application/problem+json")
    }

    /// A stream of events that ends as HTTP has it.
    pub fn stream(pieces: &[&str]) -> Self {
        let pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        Self { status: 200, pieces, ..Self::default() }.with("content-type", "text/event-stream")
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The connection is lost behind what was sent.
    pub fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    /// Nothing comes any more, and the connection stays.
    pub fn stays_open(self) -> Self {
        Self { stays_open: true, ..self }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn into_response(self) -> Response {
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).unwrap());
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let (pieces, cut, stays_open) = (self.pieces, self.cut, self.stays_open);
        let stream = async_stream::stream! {
            for piece in pieces {
                yield Ok(Bytes::from(piece));
                // While the body is not ready the server writes what it has: the piece has left before the
                // next one, and before the connection is lost.
                tokio::task::yield_now().await;
            }
            if stays_open {
                std::future::pending::<()>().await;
            }
            if cut {
                yield Err(io::Error::other("cut"));
            }
        };
        let body = if self.status == 204 { Body::empty() } else { Body::from_stream(stream) };
        response.body(body).unwrap()
    }
}

#[derive(Default)]
struct Played {
    replies: BTreeMap<String, VecDeque<Reply>>,
    asked: Vec<Asked>,
}

/// Answers as it was told to. What it was not told is 404.
#[derive(Clone)]
pub struct Server {
    pub url: String,
    played: Arc<Mutex<Played>>,
}

impl Server {
    pub async fn start() -> Self {
        let played = Arc::new(Mutex::new(Played::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&played));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, played }
    }

    /// Adds an answer to `GET /path` and so on; the query does not matter. Each is given once, in their order.
    pub fn on(&self, line: &str, reply: Reply) -> &Self {
        self.played.lock().unwrap().replies.entry(line.to_owned()).or_default().push_back(reply);
        self
    }

    /// What it was asked, in their order.
    pub fn asked(&self) -> Vec<Asked> {
        self.played.lock().unwrap().asked.clone()
    }

    /// Methods, paths and queries of what it was asked.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// The only thing it was asked.
    pub fn only(&self) -> Asked {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.into_iter().next().unwrap()
    }
}

async fn answer(State(played): State<Arc<Mutex<Played>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let mut played = played.lock().unwrap();
    played.asked.push(Asked { line: format!("{} {}", head.method, head.uri), headers, body });
    let line = format!("{} {}", head.method, head.uri.path());
    let reply = played.replies.get_mut(&line).and_then(VecDeque::pop_front);
    let unknown = || Reply::problem(404, "no-such-route", "No such route", &json!({}));
    reply.unwrap_or_else(unknown).into_response()
}

/// Somebody with a home directory who runs commands.
pub struct Person {
    pub home: TempDir,
    pub environment: Environment,
    pub terminal: bool,
    pub stdin: String,
    /// What they type when they are asked.
    pub types: RefCell<VecDeque<&'static str>>,
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
    /// How long it waited, and how often.
    pub waits: Vec<Duration>,
}

impl Ran {
    /// The command did what it was asked for.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.exit, Exit::Done, "{self:?}");
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn never_says(&self, secrets: &[&str]) -> &Self {
        for secret in secrets {
            let said = self.stdout.contains(secret) || self.stderr.contains(secret);
            assert!(!said, "{secret} was printed: {self:?}");
        }
        self
    }
}

#[derive(Debug, Parser)]
#[command(name = "gatehouse")]
pub struct Line {
    #[command(subcommand)]
    pub command: Command,
}

impl Person {
    /// Somebody whose environment has a token for `server`.
    pub fn with_token(server: &Server) -> Self {
        let mut person = Self::at(server);
        person.environment.token = Some(TOKEN.into());
        person
    }

    /// Somebody whose environment names `server`, and who has no credential.
    pub fn at(server: &Server) -> Self {
        let home = TempDir::new().unwrap();
        let environment = Environment {
            url: Some(server.url.clone()),
            home: Some(home.path().to_owned()),
            ..Environment::default()
        };
        Self { home, environment, terminal: false, stdin: String::new(), types: RefCell::default() }
    }

    pub fn on_a_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    pub fn types(self, texts: &[&'static str]) -> Self {
        self.types.borrow_mut().extend(texts);
        self
    }

    pub fn credentials(&self) -> PathBuf {
        self.home.path().join(".config/gatehouse/credentials.json")
    }

    /// Logs in with a session that is told by its token.
    pub async fn log_in(&self, server: &Server, token: &str) {
        let user = json!({ "user_name": "ada", "roles": { "*": "admin" }, "state": "active" });
        let session = json!({
            "token": token, "token_type": "Bearer", "expires_at": "2026-01-01T08:00:00Z", "user": user,
        });
        server.on("POST /auth/login", Reply::ok(&session));
        self.types.borrow_mut().push_back("correct horse");
        self.run(&["login", "--url", &server.url, "--username", "ada"]).await.done();
    }

    /// Runs a command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_until(arguments, std::future::pending()).await
    }

    /// Runs a command that somebody interrupts.
    pub async fn run_until(&self, arguments: &[&str], interrupted: impl Future<Output = ()>) -> Ran {
        let line = ["gatehouse"].iter().chain(arguments);
        let command = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).command;
        let (mut stdout, mut stderr, mut stdin) = (Vec::new(), Vec::new(), self.stdin.as_bytes());
        let clock = Waits::default();
        let dependencies = Dependencies {
            environment: self.environment.clone(),
            stdin: &mut stdin,
            stdout: Stream { writer: &mut stdout, is_terminal: self.terminal },
            stderr: Stream { writer: &mut stderr, is_terminal: self.terminal },
            ask: self,
            clock: &clock,
            ids: &Sevens,
            interrupted: Box::pin(interrupted) as Pin<Box<dyn Future<Output = ()> + '_>>,
        };
        let exit = run(command, dependencies).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { exit, stdout: text(stdout), stderr: text(stderr), waits: clock.0.into_inner().unwrap() }
    }
}

impl Ask for Person {
    fn text(&self, _: &str) -> io::Result<Option<String>> {
        Ok(self.types.borrow_mut().pop_front().map(str::to_owned))
    }

    fn secret(&self, _: &str) -> io::Result<Option<SecretString>> {
        Ok(self.types.borrow_mut().pop_front().map(Into::into))
    }
}

/// A clock on which no wait takes time.
#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

#[async_trait]
impl Clock for Waits {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, pause: Duration) {
        self.0.lock().unwrap().push(pause);
        tokio::task::yield_now().await;
    }
}

/// A source of chance without any.
struct Sevens;

impl IdSource for Sevens {
    fn random(&self) -> [u8; 16] {
        [7; 16]
    }
}

/// The permissions of a file.
pub fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
