//! An answer on its way out, and what keeps count of it.
//!
//! Wrapped around every body. It ends its exchange when it is gone, ends a stream when the server stops, and on HTTP/2
//! hands the body over in slices that tell when they have left, for there an answer can lie although the socket is free.
//! It must not copy a byte.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use weir_core::limits::KIB;
use weir_sync::{Shutdown, shutdown::ShutdownBegun};

use super::{
    ResponseBody,
    exchanges::{Exchange, Lying},
};

/// Bytes handed over at once on HTTP/2: whether an answer moves is known to so many.
const SLICE_BYTES: usize = 64 * KIB;

/// A body with its exchange.
pub(super) struct Delivered {
    body: ResponseBody,
    /// What is left of the body's last frame.
    rest: Bytes,
    /// Only where slices are counted.
    lying: Option<Arc<Lying>>,
    /// Only for a stream.
    stopped: Option<ShutdownBegun>,
    cut: bool,
    _exchange: Exchange,
}

impl Delivered {
    /// `by_slices` when the socket alone does not tell whether this answer moves.
    pub(super) fn new(body: ResponseBody, mut exchange: Exchange, by_slices: bool, stop: &Shutdown) -> Self {
        let endless = body.size_hint().exact().is_none();
        if endless {
            exchange.is_endless();
        }
        Self {
            lying: by_slices.then(|| exchange.watch()),
            stopped: endless.then(|| stop.wait_async()),
            body,
            rest: Bytes::new(),
            cut: false,
            _exchange: exchange,
        }
    }

    fn next_slice(&mut self) -> Bytes {
        let Some(lying) = &self.lying else { return std::mem::take(&mut self.rest) };
        let bytes = self.rest.split_to(self.rest.len().min(SLICE_BYTES));
        lying.add(bytes.len(), Instant::now());
        Bytes::from_owner(Slice { bytes, lying: Arc::clone(lying) })
    }

    /// Whether a stream must end because the server does.
    fn is_stopped(&mut self, context: &mut Context<'_>) -> bool {
        self.cut = self.cut
            || self.stopped.as_mut().is_some_and(|stopped| Pin::new(stopped).poll(context).is_ready());
        self.cut
    }
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.next_slice()))));
        }
        if self.is_stopped(context) {
            return Poll::Ready(None); // between two frames, so that the client finds every one of them whole
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    Frame::data(self.next_slice())
                }
                Err(trailers) => trailers,
            }))),
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => {
                if let Some(lying) = &self.lying {
                    lying.pause();
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && (self.cut || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// Bytes that tell when nobody holds them any more.
struct Slice {
    bytes: Bytes,
    lying: Arc<Lying>,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.lying.remove(self.bytes.len(), Instant::now());
    }
}
