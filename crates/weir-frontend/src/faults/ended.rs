//! A body of messages that ends with an error: after so many, whatever its source still has.
//!
//! Wrapped around the events of a subscription that a rule ends. With the error the source is dropped, and with it its seat;
//! nothing may come behind the error.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use weir_wire::http::server::ResponseBody;

use super::decide::Ending;
use crate::{error::RequestError, subscription};

struct Ended {
    /// The source; none once it has ended, by itself or by the error.
    body: Option<ResponseBody>,
    /// Messages that come before the error.
    left: u64,
    error: RequestError,
}

/// `body`, which ends so.
pub(super) fn ended(body: ResponseBody, ending: Ending) -> ResponseBody {
    let Ending { after, code, message } = ending;
    Ended { body: Some(body), left: after, error: RequestError::Injected { code, message } }.boxed_unsync()
}

impl Body for Ended {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.left == 0 {
            this.body = None;
            return Poll::Ready(Some(Ok(Frame::data(subscription::ending(&this.error)))));
        }
        let polled = Pin::new(body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(_)) => this.left -= 1,
            Poll::Ready(None) => this.body = None,
            Poll::Pending => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use weir_wire::{
        http::server::full,
        kinesis::{error::ErrorCode, event_stream::Message},
    };

    use super::*;

    fn ending(after: u64) -> Ending {
        Ending { after, code: ErrorCode::InternalFailure, message: Some("why".to_owned()) }
    }

    #[tokio::test]
    async fn the_error_comes_in_its_turn_and_nothing_behind_it() {
        let mut body = ended(full("part"), ending(1));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let (message, _) = Message::decode(&last).unwrap().unwrap();
        assert_eq!(message.header(":exception-type"), Some("InternalFailureException"));
        assert_eq!(&message.payload[..], br#"{"message":"why"}"#);
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_source_that_ends_before_meets_no_error() {
        let mut body = ended(full("part"), ending(2));
        assert!(body.frame().await.is_some() && body.frame().await.is_none() && body.frame().await.is_none());
    }
}
