//! JSON 1.1: `application/x-amz-json-1.1`.
//!
//! Decodes bodies in one pass into described inputs and writes answers. It knows shapes and no operation; another
//! encoding is another module beside this one.

mod decode;
mod reader;
mod writer;

pub use self::decode::decode;
pub use self::reader::{Malformed, Reader, Token};
pub use self::writer::JsonWriter;

/// What requests and answers say they are.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
