//! Fuzzes a body in JSON: `cargo xtask fuzz json`. What must hold is said in `weir_wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_wire::fuzz::json(input));
