//! Fuzzes a body in CBOR: `cargo xtask fuzz cbor`. What must hold is said in `weir_wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_wire::fuzz::cbor(input));
