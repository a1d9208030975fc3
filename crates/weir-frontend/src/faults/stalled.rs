//! A body whose parts stop coming: for a while, or for good.
//!
//! Wrapped around the events of a subscription that a rule has stalled. While it stalls it asks its source for nothing; it
//! must not lose a part.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use weir_wire::http::server::ResponseBody;

use super::plan::Stall;

struct Stalled {
    body: ResponseBody,
    /// Parts that come before.
    left: u64,
    stall: Stall,
    /// The pause, once it has begun.
    pause: Option<Pin<Box<Sleep>>>,
    over: bool,
}

/// `body`, which stalls so.
pub(super) fn stalled(body: ResponseBody, stall: Stall) -> ResponseBody {
    Stalled { body, left: stall.after, stall, pause: None, over: false }.boxed_unsync()
}

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 && !self.over {
            let Some(lasts) = self.stall.lasts else { return Poll::Pending }; // until its connection ends
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(lasts.0)));
            if pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.over = true;
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(_)) = &polled {
            self.left = self.left.saturating_sub(1);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};
    use weir_core::units::Span;
    use weir_wire::http::server::full;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn parts_stop_coming_and_go_on_where_they_stopped() {
        let stall = |lasts| Stall { after: 0, lasts };
        let begun = Instant::now();
        let whole =
            stalled(full("part"), stall(Some(Span(Duration::from_secs(30))))).collect().await.unwrap();
        assert_eq!((whole.to_bytes(), begun.elapsed().as_secs()), (Bytes::from("part"), 30));
        let never = timeout(Duration::from_secs(3_600), stalled(full("part"), stall(None)).collect()).await;
        assert!(never.is_err(), "for good");
        let later = Stall { after: 1, lasts: None };
        assert!(stalled(full("part"), later).frame().await.is_some(), "the first comes");
    }
}
