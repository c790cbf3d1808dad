//! Files of monitors, in each of their formats: what is read is valid and bounded, and what is not
//! says so in bounded text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::file::{self, Format, MAX_PROBLEMS, Source};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for format in Format::ALL {
        let source = Source {
            name: "fuzzed",
            text,
            format: *format,
        };
        let variable = |name: &str| (name.len() < 4).then(|| name.repeat(2));
        match file::parse(source, &variable) {
            Ok(read) => {
                assert!(read.monitors.len() <= file::MAX_MONITORS);
                for (id, spec) in &read.monitors {
                    assert!(spec.problems().is_empty(), "{id}: {spec:?}");
                }
            }
            Err(problems) => {
                assert!(!problems.is_empty() && problems.list.len() <= MAX_PROBLEMS);
                for problem in &problems.list {
                    let shown = problem.to_string();
                    assert!(!shown.contains(char::is_control), "{shown:?}");
                    assert!(shown.len() <= 4096, "{} bytes", shown.len());
                }
            }
        }
    }
});
