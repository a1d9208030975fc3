//! Tells the machine when the time of a stream that is held has come.
//!
//! One task of a control plane's process, `weir serve`'s included. It sleeps until the next stream is due or something
//! changed; without such a stream it does nothing. It must never decide what becomes of a stream: the machine does.

use std::{sync::Arc, time::Duration};

use weir_wire::control::ControlService;

use crate::embedded::EmbeddedControl;

/// How long a store that could not save is left alone.
const RETRY: Duration = Duration::from_millis(500);

/// Lets streams go on, for ever.
pub async fn let_streams_go_on(control: Arc<EmbeddedControl>) {
    let mut changes = control.changes().expect("a control plane in this process tells of its changes");
    loop {
        changes.mark_unchanged();
        let due = async {
            match control.next_due() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {
                if let Err(error) = control.tick() {
                    tracing::error!(%error, "streams that are due do not go on");
                    tokio::time::sleep(RETRY).await;
                }
            }
            _ = changes.changed() => {}
        }
    }
}
