//! Links from front ends: takes questions off, lets the node answer, sends the answers back in any order.
//!
//! One task a link and one a question in flight, all on the node's runtime; a front end that asks too much at once is
//! told that the node is busy. It looks at nothing but ids.

use std::sync::Arc;

use tokio::{net::TcpListener, sync::Semaphore};
use weir_core::limits::{HTTP_CONNECTIONS_MAX, NODE_CALLS_MAX};
use weir_wire::{
    cell::{CellError, CellReply},
    framing::FrameLink,
    open_files,
};

use crate::node::Node;

/// Answers one link until its other end is gone.
async fn serve_link(node: Arc<Node>, mut link: FrameLink) {
    let calls = Arc::new(Semaphore::new(NODE_CALLS_MAX));
    while let Some(frame) = link.receive().await {
        let Ok(permit) = Arc::clone(&calls).try_acquire_owned() else {
            let busy = CellReply::Failed(CellError::Busy).into_frame(frame.id);
            if link.send(busy).await.is_err() {
                return;
            }
            continue;
        };
        let (node, answers) = (Arc::clone(&node), link.outgoing.clone());
        tokio::spawn(async move {
            let answer = node.answer(frame).await;
            let _ = answers.send(answer).await; // a front end that left asks nobody
            drop(permit);
        });
    }
}

/// Accepts links until the runtime ends.
pub(crate) async fn accept(node: Arc<Node>, listener: TcpListener) {
    let links = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&links).acquire_owned().await.expect("never closed");
        let place = open_files::place().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true); // a failure here only costs time
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    tracing::debug!(%peer, "link opened");
                    serve_link(node, FrameLink::over(stream)).await;
                    drop((permit, place));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}
