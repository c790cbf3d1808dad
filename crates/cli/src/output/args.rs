//! Options that say where a result goes.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Where a result goes beside stdout.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Keep the whole report as JSON in this file (mode 0600), whatever --output says
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// The file of your repository that findings of github, gitlab and sarif point at, such as the
    /// manifest that deploys the server
    #[arg(long, value_name = "FILE[:LINE]")]
    pub(crate) annotate: Option<Place>,
}

/// A line of a file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path, relative to the repository's root.
    pub(crate) path: String,
    /// The line, from 1.
    pub(crate) line: u32,
}

/// A place that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write FILE or FILE:LINE, the file relative to the root of your repository")]
pub(crate) struct BadPlace;

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let split = text.rsplit_once(':');
        let numbered = split.and_then(|(path, line)| Some((path, line.parse::<u32>().ok()?)));
        let (path, line) = numbered.unwrap_or((text, 1));
        let path = path.trim_start_matches("./");
        let is_relative = !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        if path.is_empty() || line == 0 || !is_relative {
            return Err(BadPlace);
        }
        Ok(Self {
            path: path.to_owned(),
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_relative_path_and_a_line() {
        for (text, path, line) in [
            ("deploy/mcp.yaml", "deploy/mcp.yaml", 1),
            ("deploy/mcp.yaml:12", "deploy/mcp.yaml", 12),
            ("./a:b", "a:b", 1),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.path.as_str(), place.line), (path, line));
        }
        for text in ["", "/etc/hosts", "../a", "a:0", ":3"] {
            assert_eq!(text.parse::<Place>(), Err(BadPlace), "{text}");
        }
    }
}
