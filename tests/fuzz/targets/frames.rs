//! Fuzzes frames of the log, and what is in them: `cargo xtask fuzz frames`. What must hold is said in `weir_log::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_log::fuzz::frames(input));
