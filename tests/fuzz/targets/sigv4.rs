//! Fuzzes a proof in a header or a query: `cargo xtask fuzz sigv4`. What must hold is said in `weir_wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_wire::fuzz::sigv4(input));
