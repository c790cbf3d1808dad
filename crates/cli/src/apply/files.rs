//! Reads the files that are named on the command line.

use std::io::Read as _;

use model::file::{self, Format, MAX_FILE_BYTES, MonitorFile, Problems, Source};

use super::Error;

/// Reads all of them; variables come from the environment.
pub(super) fn read(names: &[String], format: Option<Format>) -> Result<MonitorFile, Error> {
    if names.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Error::Usage("-f -: stdin can be read once".to_owned()));
    }
    let mut texts = Vec::new();
    let mut problems = Problems::default();
    for name in names {
        let shown = model::text::line(name, 200);
        let Some(format) = format.or_else(|| Format::of_name(name)) else {
            let way_out = "say it with --format toml, json or yaml";
            let problem = format!("-f {shown}: its name does not say how it is written; {way_out}");
            return Err(Error::Usage(problem));
        };
        match text(name) {
            Ok(text) => texts.push((name, text, format)),
            Err(problem) => problems.extend(Problems::of_file(name, None, problem)),
        }
    }
    let sources = texts.iter().map(|(name, text, format)| Source {
        name: if *name == "-" { "stdin" } else { name },
        text,
        format: *format,
    });
    let variable = |name: &str| std::env::var(name).ok();
    let read = file::parse_all(&sources.collect::<Vec<_>>(), &variable);
    match read {
        Ok(file) if problems.is_empty() => Ok(file),
        Ok(_) => Err(Error::Files(problems)),
        Err(more) => {
            problems.extend(more);
            Err(Error::Files(problems))
        }
    }
}

fn text(name: &str) -> Result<String, String> {
    // One more byte shows that there is too much.
    let most = MAX_FILE_BYTES as u64 + 1;
    let mut text = String::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(name).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.map_err(|error| error.to_string())?;
    Ok(text)
}
