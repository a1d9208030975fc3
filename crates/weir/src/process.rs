//! What every server process has: a main thread with signals and the admin listener, and threads that serve.
//!
//! Used by `weir serve` and by the roles of `weir node`. The number of threads is a constant of the role; of
//! `weir serve`, of `--serve-threads`.

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use weir_sync::Shutdown;
use weir_wire::http::{
    admin::{Admin, AdminPage, Ready},
    server,
};

use crate::exit::Failure;

/// How long admin requests in flight may take at the end.
const ADMIN_GRACE: Duration = Duration::from_millis(200);

/// What the admin listener shows, once the role has it.
pub(crate) type Registered = watch::Sender<Option<(Arc<Registry>, Ready)>>;

/// A runtime for the current thread.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")
}

/// Binds the address that `flag` gave, or says what to change.
pub(crate) fn listen(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = bind(flag, address)?;
    Ok(TcpListener::from_std(listener).with_context(|| format!("listen on {address}"))?)
}

/// The same for whoever has no runtime yet.
pub(crate) fn bind(flag: &str, address: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    server::bind_early(address).map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::AddrInUse => format!(": end who listens there, or give {flag} another port"),
            io::ErrorKind::AddrNotAvailable => format!(": give {flag} an address of this host"),
            io::ErrorKind::PermissionDenied => format!(": give {flag} a port of 1024 or above"),
            _ => String::new(),
        };
        Failure::environment(anyhow::anyhow!("listen on {address}: {error}{mend}"))
    })
}

/// The main thread's part of a process: signals and the admin listener until `stop`, then the end of the threads that
/// serve. What went wrong here comes before what went wrong there: it is why they were stopped.
pub(crate) fn until_stopped<E>(
    admin: Option<std::net::TcpListener>,
    registered: watch::Receiver<Option<(Arc<Registry>, Ready)>>,
    page: Option<Arc<dyn AdminPage>>,
    stop: Shutdown,
    roles: impl IntoIterator<Item = JoinHandle<Result<(), E>>>,
) -> Result<(), Failure>
where
    Failure: From<E>,
{
    let watched = runtime().map_err(Failure::environment);
    let watched = watched.and_then(|runtime| runtime.block_on(main_thread(admin, registered, page, &stop)));
    stop.begin(); // also after an error: nobody would be there to hear a signal
    roles.into_iter().fold(watched, |outcome, role| {
        let ended = role.join().expect("a panic aborts the process");
        outcome.and(ended.map_err(Failure::from)) // all are waited for, the first failure is told
    })
}

/// Returns at the first SIGTERM or SIGINT, or when somebody else began `stop`. The admin listener answers from when the role
/// has registered its metrics.
async fn main_thread(
    admin: Option<std::net::TcpListener>,
    mut registered: watch::Receiver<Option<(Arc<Registry>, Ready)>>,
    page: Option<Arc<dyn AdminPage>>,
    stop: &Shutdown,
) -> Result<(), Failure> {
    let listener = admin.map(TcpListener::from_std).transpose().context("the admin listener")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let admin_stopped = stop.clone();
    let serve_admin = async move {
        let Some(listener) = listener else { return };
        let shown = match registered.wait_for(Option::is_some).await {
            Ok(shown) => shown.clone(),
            Err(_) => None, // the role ended before it had any
        };
        let Some((registry, ready)) = shown else { return };
        let admin = Admin::new(registry, ready).with_page(page);
        server::serve_own(listener, Arc::new(admin), admin_stopped, ADMIN_GRACE).await;
    };
    let serving = tokio::spawn(serve_admin);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping"),
        _ = interrupt.recv() => tracing::info!("stopping"),
        () = stop.wait_async() => {} // who began it says why
    }
    stop.begin();
    Ok(serving.await.context("the admin listener")?)
}
