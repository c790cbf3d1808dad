//! Challenges of a 401, and values of headers: the property is `mcp::fuzzing::challenge`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing::challenge(bytes));
