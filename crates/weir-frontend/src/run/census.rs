//! How many servers of the cell are registered: asked beside the fleet's own polls, for the headroom metrics alone.
//!
//! What a server is committed to rises the moment that others register, long before it learns of them. The fleet's logic
//! must never see this: a joiner is learned of by the jittered poll and by nothing else.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle};
use weir_core::id::CellName;
use weir_wire::control::{Census, Control, ControlReply, ControlRequest};

/// The shortest wait between two questions: nobody looks at the metrics more often.
const PACE_MIN: Duration = Duration::from_secs(1);

/// A task that asks once a gossip interval, and at most once a second; it ends with this.
#[derive(Debug)]
pub(super) struct CensusTaker {
    pace: watch::Sender<Duration>,
    newest: watch::Receiver<Option<Census>>,
    task: JoinHandle<()>,
}

impl CensusTaker {
    /// Asks from now on, on the current runtime.
    pub(super) fn start(control: Control, cell: CellName) -> Self {
        let (pace, paced) = watch::channel(PACE_MIN);
        let (counted, newest) = watch::channel(None);
        let task = tokio::spawn(count(control, cell, paced, counted));
        Self { pace, newest, task }
    }

    /// The gossip interval.
    pub(super) fn set_pace(&self, gossip: Duration) {
        self.pace.send_replace(gossip.max(PACE_MIN));
    }

    /// The newest answer; none before the first.
    pub(super) fn newest(&self) -> Option<Census> {
        *self.newest.borrow()
    }

    /// The next answer.
    pub(super) async fn changed(&mut self) {
        if self.newest.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for CensusTaker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn count(
    control: Control,
    cell: CellName,
    paced: watch::Receiver<Duration>,
    counted: watch::Sender<Option<Census>>,
) {
    loop {
        if let Ok(ControlReply::Census(census)) =
            control.call(ControlRequest::Census { cell: cell.clone() }).await
        {
            // While the control plane is silent the last count stands.
            counted.send_if_modified(|newest| newest.replace(census) != Some(census));
        }
        let pace = *paced.borrow();
        tokio::time::sleep(pace).await;
    }
}
