//! What an answer is made of, whatever it is written in.
//!
//! Each operation's reply implements [`Reply`] once; an encoding implements [`Encoder`] once. Structures and lists are
//! opened and closed, so that no encoding needs to know a count beforehand. There is no null: what is absent is not
//! written.

use std::fmt::Display;

use weir_core::clock::WallMs;

use super::error::ApiError;

/// An encoding of answers.
pub trait Encoder {
    /// Bytes written so far.
    fn written(&self) -> usize;
    /// Begins a structure.
    fn open_structure(&mut self);
    /// Ends it.
    fn close_structure(&mut self);
    /// Begins a list.
    fn open_list(&mut self);
    /// Ends it.
    fn close_list(&mut self);
    /// The name of a structure's next member.
    fn member(&mut self, name: &'static str);
    /// A text.
    fn text(&mut self, text: &str);
    /// A text that is printed: an id or a number that needs no escapes.
    fn shown(&mut self, value: &dyn Display);
    /// A text of ASCII without escapes: what stands in every record.
    fn plain(&mut self, text: &[u8]);
    /// A number.
    fn integer(&mut self, number: i64);
    /// True or false.
    fn boolean(&mut self, value: bool);
    /// Bytes.
    fn blob(&mut self, bytes: &[u8]);
    /// A time.
    fn timestamp(&mut self, time: WallMs);
}

/// An answer.
pub trait Reply {
    /// Writes the whole answer, a structure.
    fn encode(&self, out: &mut impl Encoder);
}

impl Reply for ApiError {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        out.member("__type");
        out.text(self.code.name());
        if let Some(message) = &self.message {
            out.member(self.code.message_member());
            out.text(message);
        }
        out.close_structure();
    }
}
