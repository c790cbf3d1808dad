//! A whole probe, fed with whatever the bytes say that a server does: the property is `mcp::fuzzing::sequence`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing::sequence(bytes));
