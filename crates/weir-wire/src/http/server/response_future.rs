//! An answer on its way, in memory that the next one on this thread gets.
//!
//! Handlers make one for each request, and a front end's is several KiB large: more than an allocator keeps at hand for a
//! thread. It must keep no more of them than [`SPARE_MAX`], and none that has not ended.

use std::{
    cell::RefCell,
    fmt,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::Response;
use tokio_util::sync::ReusableBoxFuture;

use super::ResponseBody;

/// Futures that a thread keeps to be used again, a front end's of 3.4 KiB each. What is served at once beyond has memory of
/// its own.
const SPARE_MAX: usize = 64;

type Boxed = ReusableBoxFuture<'static, Response<ResponseBody>>;

thread_local! {
    static SPARE: RefCell<Vec<Boxed>> = const { RefCell::new(Vec::new()) };
}

/// The answer, when it comes. It must not be polled after that.
pub struct ResponseFuture {
    /// Always there until it is dropped.
    boxed: Option<Boxed>,
    /// It gave its answer.
    ended: bool,
}

impl ResponseFuture {
    /// What gives the answer; an async block, which holds nothing any more when it has given it.
    pub fn new(answer: impl Future<Output = Response<ResponseBody>> + Send + 'static) -> Self {
        let boxed = match SPARE.with_borrow_mut(Vec::pop) {
            Some(mut spare) => {
                spare.set(answer);
                spare
            }
            None => Boxed::new(answer),
        };
        Self { boxed: Some(boxed), ended: false }
    }

    /// An answer that is here.
    pub fn ready(answer: Response<ResponseBody>) -> Self {
        Self::new(future::ready(answer))
    }
}

impl Future for ResponseFuture {
    type Output = Response<ResponseBody>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.boxed.as_mut().expect("there until the drop").poll(context));
        self.ended = true;
        Poll::Ready(response)
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        let Some(ended) = self.boxed.take().filter(|_| self.ended) else { return };
        // A thread that ends has no use for it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(ended);
            }
        });
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::StatusCode;

    use super::{super::text_response, *};

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    /// An answer that holds `request` until it is given, after `turns`.
    fn answer(request: &Arc<()>, turns: usize) -> ResponseFuture {
        let request = Arc::clone(request);
        ResponseFuture::new(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            drop(request);
            text_response(StatusCode::OK, "ok")
        })
    }

    #[tokio::test]
    async fn memory_is_used_again_and_nothing_of_a_request_stays_in_it() {
        let request = Arc::new(());
        for _ in 0..3 {
            assert_eq!(answer(&request, 1).await.status(), StatusCode::OK);
            assert_eq!((spare(), Arc::strong_count(&request)), (1, 1));
        }
        let under_way = answer(&request, 1);
        assert_eq!(spare(), 0, "it is in the memory of the one before");
        drop(under_way);
        assert_eq!((spare(), Arc::strong_count(&request)), (0, 1), "what did not end is not kept");
    }

    #[tokio::test]
    async fn one_answer_follows_another_of_its_layout_and_of_another() {
        let plain = |status| ResponseFuture::ready(text_response(status, ""));
        answer(&Arc::new(()), 1).await;
        assert_eq!(plain(StatusCode::IM_A_TEAPOT).await.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(plain(StatusCode::GONE).await.status(), StatusCode::GONE);
        assert_eq!((answer(&Arc::new(()), 1).await.status(), spare()), (StatusCode::OK, 1));
    }

    #[tokio::test]
    async fn a_thread_keeps_so_many_and_no_more() {
        let request = Arc::new(());
        let all: Vec<_> = (0..SPARE_MAX + 9).map(|_| answer(&request, 0)).collect();
        for one in all {
            one.await;
        }
        assert_eq!(spare(), SPARE_MAX);
    }
}
