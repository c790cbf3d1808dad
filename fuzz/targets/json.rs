//! JSON and JSON-RPC: the property is `mcp::fuzzing::json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mcp::fuzzing::json(bytes));
