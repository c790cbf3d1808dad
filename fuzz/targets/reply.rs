//! Heads and bodies of responses: the property is `mcp::fuzzing::reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing::reply(bytes));
