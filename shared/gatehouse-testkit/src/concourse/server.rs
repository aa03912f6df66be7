//! The listener, the connections and what happens to every call.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::calls::{Request, Route};
use super::config::Config;
use super::faults::{Cut, CutAfterEvents, Fault, flushed};
use super::state::State;
use super::world::World;
use super::{api, pages, run, token};

/// Calls that are remembered; a twin started by hand runs for long.
const REMEMBERED_CALLS: usize = 10_000;

/// Listens, and answers until the twin is dropped.
pub(super) async fn start(address: SocketAddr, config: Config, mut state: State) -> io::Result<Arc<World>> {
    if !config.version.has_instanced_pipelines() {
        state.pipelines.retain(|pipeline| pipeline.instance_vars.is_none());
    }
    let listener = TcpListener::bind(address).await?;
    let world = Arc::new(World::new(config, listener.local_addr()?, state));
    let router = api::router(&world).merge(token::router(&world)).fallback(pages::elsewhere);
    let router = router.layer(from_fn_with_state(world.config.version, pages::add_headers));
    run::spawn(&world, accept(world.clone(), router, listener));
    Ok(world)
}

/// Accepts connections while the twin listens; a twin that does not refuses them, as one that is down.
async fn accept(world: Arc<World>, router: Router, first: TcpListener) {
    let mut listening = world.listening.subscribe();
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
            listener = TcpListener::bind(world.address).await.ok();
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
                    run::spawn(&world, connection(world.clone(), router.clone(), stream));
                }
            }
        }
    }
}

async fn connection(world: Arc<World>, router: Router, stream: TcpStream) {
    let mut listening = world.listening.subscribe();
    // Without it a small event may wait for the next one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&world, router.clone(), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = listening.wait_for(|listening| !listening) => {}
        // An error is a client that left or a cut that was asked for.
        _ = serving => {}
    }
}

async fn answer(
    world: &World,
    router: Router,
    mut request: http::Request<Incoming>,
) -> Result<Response, Cut> {
    let route = Route::of(request.method(), request.uri().path());
    let Some(fault) = note(world, route, &request) else {
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

async fn pass(router: Router, request: http::Request<Incoming>) -> Result<Response, Cut> {
    let answer: Result<_, Infallible> = router.oneshot(request.map(Body::new)).await;
    let mut answer = answer.map_err(|never: Infallible| match never {})?;
    pages::tidy_allow(&mut answer);
    Ok(answer)
}

fn note(world: &World, route: Route, request: &http::Request<Incoming>) -> Option<Fault> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str()).to_owned();
    let mut state = world.lock();
    if state.requests.len() == REMEMBERED_CALLS {
        state.requests.pop_front();
    }
    state.requests.push_back(Request { route, method: request.method().clone(), target });
    state.faults.take(route)
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
