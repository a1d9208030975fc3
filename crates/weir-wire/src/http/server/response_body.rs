//! What an answer carries: bytes that are all here, or frames that come one by one.
//!
//! Handlers make it, by [`full`], `held.rs` and `streamed.rs`; the connection sends it (`delivered.rs`). Bytes that are all
//! here must cost nothing but themselves: most answers are.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};

/// A response body: whole, or, when its length is unknown, a stream of frames. A stream is asked for a frame when there is
/// room for it, and is cut behind one when the server stops.
#[derive(Debug)]
pub struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    Streamed(UnsyncBoxBody<Bytes, Infallible>),
}

/// A body of bytes that are all here.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    ResponseBody(Kind::Whole(Full::new(bytes.into())))
}

impl ResponseBody {
    pub(super) fn streamed(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self(Kind::Streamed(body.boxed_unsync()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(whole) => Pin::new(whole).poll_frame(context),
            Kind::Streamed(streamed) => Pin::new(streamed).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.is_end_stream(),
            Kind::Streamed(streamed) => streamed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(whole) => whole.size_hint(),
            Kind::Streamed(streamed) => streamed.size_hint(),
        }
    }
}
