//! The events of a subscription as a rule has them: they stop coming, for a while or for good, or end with an error.
//!
//! Wrapped around the answer of a call that a rule has decided on (`server.rs`), and around no other. While it stalls it asks
//! its source for nothing and loses nothing. With an error the source is dropped, and with it its seat; nothing may come
//! behind the error.

use std::future::pending;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::sleep;
use weir_wire::http::server::{ResponseBody, Source, streamed};

use super::decide::{Ending, EventFaults};
use crate::{error::RequestError, subscription};

struct Spoiled {
    /// The source; none behind an error.
    body: Option<ResponseBody>,
    /// Messages that have come of it.
    count: u64,
    /// What is still to happen.
    faults: EventFaults,
}

/// `body`, to whose messages this happens.
pub(crate) fn spoil(body: ResponseBody, faults: EventFaults) -> ResponseBody {
    match faults {
        EventFaults { stall: None, ending: None } => body,
        faults => streamed(Spoiled { body: Some(body), count: 0, faults }),
    }
}

impl Source for Spoiled {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(stall) = self.faults.stall.take_if(|stall| stall.after == self.count) {
            match stall.lasts {
                Some(lasts) => sleep(lasts.0).await,
                None => pending().await, // until its connection ends
            }
        }
        if let Some(ending) = self.faults.ending.take_if(|ending| ending.after == self.count) {
            let Ending { code, message, .. } = ending;
            self.body = None;
            return Some(subscription::ending(&RequestError::Injected { code, message }));
        }
        let Ok(frame) = self.body.as_mut()?.frame().await?;
        self.count += 1;
        frame.into_data().ok() // a message is data: there are no trailers
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};
    use weir_core::units::Span;
    use weir_wire::{
        http::server::full,
        kinesis::{error::ErrorCode, event_stream::Message},
    };

    use super::{super::plan::Stall, *};

    /// One part that stalls behind so many.
    fn stalled(after: u64, lasts: Option<Span>) -> ResponseBody {
        spoil(full("part"), EventFaults { stall: Some(Stall { after, lasts }), ending: None })
    }

    /// One part that ends with an error behind so many.
    fn ended(after: u64) -> ResponseBody {
        let ending = Ending { after, code: ErrorCode::InternalFailure, message: Some("why".to_owned()) };
        spoil(full("part"), EventFaults { stall: None, ending: Some(ending) })
    }

    async fn next(body: &mut ResponseBody) -> Option<Bytes> {
        Some(body.frame().await?.unwrap().into_data().unwrap())
    }

    fn assert_error(message: &[u8]) {
        let (message, _) = Message::decode(message).unwrap().unwrap();
        assert_eq!(message.header(":exception-type"), Some("InternalFailureException"));
        assert_eq!(&message.payload[..], br#"{"message":"why"}"#);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_stop_coming_and_go_on_where_they_stopped() {
        let begun = Instant::now();
        let whole = stalled(0, Some(Span(Duration::from_secs(30)))).collect().await.unwrap();
        assert_eq!((whole.to_bytes(), begun.elapsed().as_secs()), (Bytes::from("part"), 30));
        let never = timeout(Duration::from_secs(3_600), stalled(0, None).collect()).await;
        assert!(never.is_err(), "for good");
        let mut later = stalled(1, None);
        assert_eq!(next(&mut later).await.unwrap(), "part", "the first comes");
        assert!(timeout(Duration::from_secs(3_600), next(&mut later)).await.is_err(), "no end either");
    }

    #[tokio::test]
    async fn the_error_comes_in_its_turn_and_nothing_behind_it() {
        let mut body = ended(1);
        assert_eq!(next(&mut body).await.unwrap(), "part");
        assert_error(&next(&mut body).await.unwrap());
        assert_eq!(next(&mut body).await, None);
        assert_error(&ended(0).collect().await.unwrap().to_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_comes_before_the_error_that_is_due_as_well() {
        let stall = Some(Stall { after: 0, lasts: Some(Span(Duration::from_secs(30))) });
        let ending =
            Some(Ending { after: 0, code: ErrorCode::InternalFailure, message: Some("why".to_owned()) });
        let begun = Instant::now();
        assert_error(&spoil(full("part"), EventFaults { stall, ending }).collect().await.unwrap().to_bytes());
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    async fn a_source_that_ends_before_meets_no_error() {
        let mut body = ended(2);
        assert!(next(&mut body).await.is_some() && next(&mut body).await.is_none());
    }
}
