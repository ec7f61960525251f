//! The listening socket: connections with limits, and their graceful end. Knows no endpoint.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 1_024;
/// How long a client may take for the header of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long requests that are under way may take once the server is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a request's header.
const HEADER_BYTES: usize = 64 << 10;

/// Serves until `stop` ends; then takes no new connections and lets what is under way finish. False: some did not finish in time.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> bool {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut stop => break,
        };
        if let Some((stream, peer, permit)) = accepted {
            spawn(stream, peer, permit, router.clone(), &graceful);
        }
    }
    drop(listener);
    tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_ok()
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            // Out of descriptors, or a connection that ended while it waited: neither is cured by trying again at once.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn spawn(stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, router: Router, graceful: &GracefulShutdown) {
    // Answers are small and waited for; failing to say so only makes them slower.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that goes away or speaks no HTTP is no event of ours.
        let _ = connection.await;
        drop(permit);
    });
}
