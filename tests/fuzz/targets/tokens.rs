//! Fuzzes an iterator or a paging token: `cargo xtask fuzz tokens`. What must hold is said in `weir_frontend::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_frontend::fuzz::tokens(input));
