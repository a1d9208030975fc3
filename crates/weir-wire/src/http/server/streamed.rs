//! An answer that is made while it is read, part by part, for as long as its source has more.
//!
//! Made by handlers whose answers have no end that is known beforehand. The connection asks for a part when it has room for
//! it, so a client that does not read stops its source and costs what one part costs; one that goes away drops it. It must
//! never run ahead of the connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::ResponseBody;

/// Who makes the parts of an answer.
pub trait Source: Send + 'static {
    /// The next part, when there is one; `None` at the end. Dropped between two parts, or inside, when the client is gone.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A body of what `source` makes.
pub fn streamed(source: impl Source) -> ResponseBody {
    ResponseBody::streamed(Streamed { next: Some(Box::pin(step(source))) })
}

type Step<S> = Pin<Box<dyn Future<Output = (S, Option<Bytes>)> + Send>>;

struct Streamed<S> {
    /// The part that is being made; none after the last.
    next: Option<Step<S>>,
}

async fn step<S: Source>(mut source: S) -> (S, Option<Bytes>) {
    let part = source.next().await;
    (source, part)
}

impl<S: Source> Body for Streamed<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((source, Some(part))) => {
                self.next = Some(Box::pin(step(source)));
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            Poll::Ready((_, None)) => {
                self.next = None;
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    };

    use http_body_util::BodyExt;

    use super::*;

    struct Counter {
        made: Arc<AtomicU8>,
        last: u8,
    }

    impl Source for Counter {
        async fn next(&mut self) -> Option<Bytes> {
            tokio::task::yield_now().await;
            let part = self.made.fetch_add(1, Ordering::Relaxed);
            (part < self.last).then(|| Bytes::from(vec![part]))
        }
    }

    #[tokio::test]
    async fn parts_come_in_order_and_the_end_is_the_end() {
        let made = Arc::new(AtomicU8::new(0));
        let body = streamed(Counter { made: Arc::clone(&made), last: 3 });
        assert_eq!(body.collect().await.unwrap().to_bytes(), [0, 1, 2].as_slice());
        assert_eq!(made.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn nothing_is_made_before_it_is_asked_for_and_the_source_goes_with_its_body() {
        let made = Arc::new(AtomicU8::new(0));
        let mut body = streamed(Counter { made: Arc::clone(&made), last: 9 });
        assert_eq!(made.load(Ordering::Relaxed), 0);
        body.frame().await.unwrap().unwrap();
        assert_eq!((made.load(Ordering::Relaxed), Arc::strong_count(&made)), (1, 2));
        drop(body);
        assert_eq!(Arc::strong_count(&made), 1);
    }
}
