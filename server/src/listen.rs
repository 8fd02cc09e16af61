//! Connections, and the end of the server.

use crate::app::App;
use crate::http::router;
use crate::lock::lock;
use crate::options::Options;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

/// What runs when the server is told to end has this time.
const GRACE: Duration = Duration::from_secs(25);
/// How often sessions are looked over.
const TIDY: Duration = Duration::from_secs(30);

/// Connections by address.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection that counts until it is dropped.
struct Counted {
    counts: Counts,
    address: IpAddr,
}

impl Counted {
    fn new(counts: &Counts, address: IpAddr, options: &Options) -> Option<Counted> {
        let mut all = lock(counts);
        // Loopback is one address for everything on this machine, a proxy too.
        let most = if address.is_loopback() { options.max_connections } else { options.max_per_address };
        if all.values().sum::<usize>() >= options.max_connections || all.get(&address).is_some_and(|&n| n >= most) {
            return None;
        }
        *all.entry(address).or_default() += 1;
        Some(Counted { counts: counts.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = lock(&self.counts);
        if let Some(n) = all.get_mut(&self.address) {
            *n -= 1;
            if *n == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// Answers on a listener until `end` comes. Then no new work is taken, what runs is waited for, and sessions are saved.
///
/// # Errors
///
/// The listener fails, or a session could not be saved.
pub fn run(app: &Arc<App>, listener: TcpListener, end: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(accept(app, listener, end))?;
    // What a lane runs now is waited for; what waits is dropped.
    app.lanes.close();
    runtime.shutdown_timeout(Duration::from_secs(1));
    app.sessions.save_all().map_err(|problem| io::Error::other(format!("a session was not saved: {problem:?}")))
}

async fn accept(app: &Arc<App>, listener: TcpListener, end: impl Future<Output = ()>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (routes, counts, graceful) = (router(app.clone()), Counts::default(), GracefulShutdown::new());
    let mut tidy = tokio::time::interval(TIDY);
    let mut end = std::pin::pin!(end);
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Such as too many open files, which passes.
                    log::warn!("a connection was not accepted: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = tidy.tick() => {
                app.tidy();
                continue;
            }
            () = &mut end => break,
        };
        let Some(counted) = Counted::new(&counts, address.ip(), &app.options) else {
            app.metrics.rejected("connections");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let told = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            request
        };
        let service = TowerToHyperService::new(routes.clone().map_request(told));
        let mut server = hyper::server::conn::http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(app.options.head_timeout).max_buf_size(64 << 10);
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that goes away is no error of the server.
            let _ = connection.await;
            drop(counted);
        });
    }
    drop(listener);
    app.close();
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        log::warn!("connections were still open after {} seconds", GRACE.as_secs());
    }
    Ok(())
}
