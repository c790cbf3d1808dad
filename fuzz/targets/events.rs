//! Event streams, however they are cut: the property is `mcp::fuzzing::events`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing::events(bytes));
