//! Fuzzes frames of HTTP/2: `cargo xtask fuzz http2`. What must hold is said in `weir_wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_wire::fuzz::http2(input));
