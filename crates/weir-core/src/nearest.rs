//! What was probably meant by a word that nobody knows.
//!
//! Used wherever people write names: scenarios, limits, faults. It offers and never corrects.

/// The candidate most like `word`, when one is like it at all.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let scored = candidates.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= word.chars().count().max(3) / 2).then(|| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_candidate_that_looks_alike_is_offered() {
        let keys = ["servers", "cells", "mesh"];
        assert_eq!(nearest("servrs", keys.into_iter()).as_deref(), Some("servers"));
        assert_eq!(nearest("cell", keys.into_iter()).as_deref(), Some("cells"));
        assert_eq!(nearest("temperature", keys.into_iter()), None);
    }
}
