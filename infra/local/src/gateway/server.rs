//! The HTTP/1.1 server in front of the gateway.

use std::{convert::Infallible, io, net::SocketAddr};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tracing::debug;

use super::pipeline::Gateway;

/// Room for the request line and all headers, and for their number. The gateway's own limits are smaller,
/// and answer better.
const READ_BUFFER: usize = 256 * 1024;
const MAX_HEADERS: usize = 1_000;

/// Pause after the system refused a connection, most often for want of file descriptors.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A gateway that is being served.
#[derive(Debug)]
pub struct RunningGateway {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningGateway {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the shutdown was asked for and every connection has ended.
    pub async fn finished(self) {
        self.task.await.ok();
    }
}

impl Gateway {
    /// Serves on `listener` until `shutdown` resolves.
    ///
    /// Then it stops accepting, lets open requests finish within the grace of its limits, and drops what is
    /// left.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<RunningGateway> {
        let address = listener.local_addr()?;
        Ok(RunningGateway { address, task: tokio::spawn(self.accept_until(listener, shutdown)) })
    }

    async fn accept_until(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let (stopping, stop) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        connections.spawn(self.clone().connection(socket, peer, stop.clone()));
                    }
                    Err(error) => {
                        debug!(%error, "a connection was not accepted");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        timeout(self.shutdown_grace(), all_ended).await.ok();
    }

    /// Dropping this future drops the connection, and with it the body of a stream: the handler's work
    /// ends. On AWS a function whose caller has gone runs on to its end.
    async fn connection(self, socket: TcpStream, peer: SocketAddr, mut stop: watch::Receiver<bool>) {
        // Every chunk of a stream goes out at once.
        socket.set_nodelay(true).ok();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let gateway = self.clone();
            async move { Ok::<_, Infallible>(gateway.visited(request, peer.ip()).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .max_buf_size(READ_BUFFER)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection broke off");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stopping| *stopping).await.ok();
}
