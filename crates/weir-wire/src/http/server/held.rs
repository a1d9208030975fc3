//! An answer that holds a part of a budget of bytes for as long as any of it is in memory.
//!
//! Made by the handler that took the part before it made the answer. The bytes own the permit: it comes back when the
//! connection has written the last of them, or has ended, whichever is first, and no earlier.

use bytes::Bytes;

use super::{ResponseBody, full};

/// Bytes and what they took.
struct Held<B, P> {
    bytes: B,
    _permit: P,
}

impl<B: AsRef<[u8]>, P> AsRef<[u8]> for Held<B, P> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// A body of `bytes`, which `permit` was taken for.
pub fn held(bytes: impl AsRef<[u8]> + Send + 'static, permit: impl Send + 'static) -> ResponseBody {
    full(held_bytes(bytes, permit))
}

/// Bytes that hold what was taken for them: a part of an answer that is made while it is read.
pub fn held_bytes(bytes: impl AsRef<[u8]> + Send + 'static, permit: impl Send + 'static) -> Bytes {
    Bytes::from_owner(Held { bytes, _permit: permit })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use weir_sync::ByteBudget;

    use super::*;

    #[tokio::test]
    async fn the_permit_comes_back_with_the_last_of_the_bytes_and_not_with_the_frame() {
        let budget = ByteBudget::new(5);
        let permit = budget.try_acquire(5).unwrap();
        let mut body = held(b"hello".to_vec(), permit);
        let mut written = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(body.frame().await.is_none());
        drop(body);
        let unwritten = written.split_off(2);
        drop(written);
        assert_eq!(budget.available(), 0, "a connection still has to write some");
        drop(unwritten);
        assert_eq!(budget.available(), 5);
    }
}
