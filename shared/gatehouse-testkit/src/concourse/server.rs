//! The listener, the connections and what happens to every call.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use http::Method;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::ConcourseTwin;
use super::builder::{Config, TwinBuilder};
use super::faults::{Cut, Route};
use super::state::State;
use super::{api, run, token};

/// Calls that are remembered; a twin started by hand runs for long.
const REMEMBERED_CALLS: usize = 10_000;

/// A call that the twin took.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it was for.
    pub route: Route,
    /// Its method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
}

/// What handlers, builds and the test share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) url: String,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    pub(super) shutdown: watch::Sender<bool>,
    pub(super) listening: watch::Sender<bool>,
    pub(super) cut_streams: watch::Sender<u64>,
    pub(super) open_streams: AtomicUsize,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for a change.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    /// Waits until `ready` gives something.
    pub(super) async fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(value) = ready(&mut self.lock()) {
                self.changed.send_replace(());
                return value;
            }
            // The sender is in `self`, so it cannot be gone.
            let _ = changed.changed().await;
        }
    }

    /// Unix time for everything that is written.
    pub(super) fn now(&self) -> i64 {
        self.config.fixed_time.unwrap_or_else(wall_clock)
    }
}

/// Unix time for tokens, whose expiry is real.
pub(super) fn wall_clock() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

pub(super) async fn start(builder: TwinBuilder) -> io::Result<ConcourseTwin> {
    let TwinBuilder { address, config, mut state } = builder;
    if !config.version.has_instanced_pipelines() {
        state.pipelines.retain(|pipeline| pipeline.instance_vars.is_none());
    }
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        config,
        address,
        url: format!("http://{address}"),
        state: Mutex::new(state),
        changed: watch::Sender::new(()),
        shutdown: watch::Sender::new(false),
        listening: watch::Sender::new(true),
        cut_streams: watch::Sender::new(0),
        open_streams: AtomicUsize::new(0),
    });
    let router = api::router(&shared).merge(token::router(&shared));
    run::spawn(&shared, accept(shared.clone(), router, listener));
    Ok(ConcourseTwin::new(shared))
}

/// Accepts connections while the twin listens; a twin that does not refuses them, as one that is down.
async fn accept(shared: Arc<Shared>, router: Router, first: TcpListener) {
    let mut listening = shared.listening.subscribe();
    let mut listener = Some(first);
    loop {
        if !*listening.borrow_and_update() {
            listener = None;
            if listening.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(shared.address).await.ok();
            if listener.is_none() {
                // Somebody else has the port at the moment.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            continue;
        };
        tokio::select! {
            _ = listening.changed() => {}
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    run::spawn(&shared, connection(shared.clone(), router.clone(), stream));
                }
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, router: Router, stream: TcpStream) {
    let mut listening = shared.listening.subscribe();
    // Without it a small event may wait for the next one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&shared, router.clone(), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = listening.wait_for(|listening| !listening) => {}
        // An error is a client that left or a cut that was asked for.
        _ = serving => {}
    }
}

async fn answer(
    shared: &Shared,
    router: Router,
    mut request: http::Request<Incoming>,
) -> Result<Response, Cut> {
    let route = Route::of(request.method(), request.uri().path());
    let Some(fault) = note(shared, route, &request) else {
        return pass(router, request).await;
    };
    if let Some(answer) = fault.strike_before().await? {
        return Ok(answer);
    }
    if let Some(events) = fault.stream_cut() {
        request.extensions_mut().insert(CutAfterEvents(events));
    }
    let answer = pass(router, request).await?;
    if let Some(answer) = fault.strike_after().await? {
        return Ok(answer);
    }
    Ok(match fault.body_cut() {
        Some(bytes) => answer.map(|body| Body::from_stream(cut_at(body.into_data_stream(), bytes))),
        None => answer,
    })
}

/// Says that a stream is to be cut when this many records are out.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutAfterEvents(pub(super) u64);

async fn pass(router: Router, request: http::Request<Incoming>) -> Result<Response, Cut> {
    let answer: Result<_, Infallible> = router.oneshot(request.map(Body::new)).await;
    answer.map_err(|never| match never {})
}

fn note(shared: &Shared, route: Route, request: &http::Request<Incoming>) -> Option<super::Fault> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str()).to_owned();
    let mut state = shared.lock();
    if state.requests.len() == REMEMBERED_CALLS {
        state.requests.pop_front();
    }
    state.requests.push_back(Request { route, method: request.method().clone(), target });
    state.take_fault(route)
}

/// Passes `limit` bytes on, then fails, which closes the connection.
fn cut_at(
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
    limit: usize,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    async_stream::stream! {
        let mut body = std::pin::pin!(body);
        let mut left = limit;
        while let Some(Ok(mut chunk)) = body.next().await {
            if chunk.len() < left {
                left -= chunk.len();
                yield Ok(chunk);
                continue;
            }
            yield Ok(chunk.split_to(left));
            break;
        }
        flushed().await;
        yield Err(axum::Error::new(Cut));
    }
}

/// Gives the connection a chance to send what it has: a body that fails takes unsent bytes with it.
pub(super) async fn flushed() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}
