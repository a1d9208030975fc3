//! Fuzzes a message of an event stream: `cargo xtask fuzz event_stream`. What must hold is said in `weir_wire::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_wire::fuzz::event_stream(input));
