//! The small calls of a load: what they ask, written in the load's encoding.

use weir_wire::kinesis::encode::{Encoder, Reply};

/// Asks for something by its members, all of which are texts.
pub(super) struct Call<'a, const N: usize>(pub(super) [(&'static str, &'a str); N]);

impl<const N: usize> Reply for Call<'_, N> {
    fn encode(&self, out: &mut impl Encoder) {
        out.open_structure();
        for (name, value) in self.0 {
            out.member(name);
            out.text(value);
        }
        out.close_structure();
    }
}
