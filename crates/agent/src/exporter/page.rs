//! A page of metrics, in either of the formats that scrapers ask for.
//!
//! Written here because the client library that the coordinator uses knows OpenMetrics only, and
//! whoever asks for nothing, like curl and many agents, is to get the text format 0.0.4.

use std::fmt::{Display, Write as _};

use http::HeaderMap;
use http::header::ACCEPT;

/// An exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that a scraper likes best; text where it does not say.
    pub(crate) fn asked(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if media.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(weight);
            } else if media.eq_ignore_ascii_case("text/plain") {
                text = text.max(weight);
            }
        }
        // A tie is for the one that says more.
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// Named without `_total`.
    Counter,
    /// Named without `_info`.
    Info,
}

/// A page. A family is begun, and its samples follow.
pub(crate) struct Page {
    format: Format,
    text: String,
    /// The name of the samples of the family.
    sample: String,
}

impl Page {
    pub(crate) const fn new(format: Format) -> Self {
        Self {
            format,
            text: String::new(),
            sample: String::new(),
        }
    }

    /// Begins a family. `help` is one line without quotes and backslashes.
    pub(crate) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        debug_assert!(!help.contains(['"', '\\', '\n']), "{help}");
        let (suffix, open) = match kind {
            Kind::Gauge => ("", "gauge"),
            Kind::Counter => ("_total", "counter"),
            Kind::Info => ("_info", "info"),
        };
        self.sample = format!("{name}{suffix}");
        // In the older format a family has its samples' name, and there is no info.
        let (family, word) = match (self.format, kind) {
            (Format::OpenMetrics, _) => (name, open),
            (Format::Text, Kind::Info) => (&*self.sample, "gauge"),
            (Format::Text, Kind::Gauge | Kind::Counter) => (&*self.sample, open),
        };
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
    }

    /// A sample of the family that was begun last.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(&self.sample);
        for (n, (name, value)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", escaped(value));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A family of one gauge.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(Kind::Gauge, name, help);
        self.sample(&[], value);
    }

    /// The whole page.
    pub(crate) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The value of a label, by the escapes that both formats have.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Seconds of whole microseconds, exactly.
pub(crate) fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Format::asked(&headers)
    }

    /// The `Accept` of Prometheus 3 and 2.42, of curl and of a browser.
    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        let newest = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(asked(newest), Format::OpenMetrics);
        let older = "application/openmetrics-text;version=1.0.0,\
                     application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(asked(older), Format::OpenMetrics);
        assert_eq!(asked("*/*"), Format::Text);
        assert_eq!(asked("text/html,application/xml;q=0.9"), Format::Text);
        assert_eq!(asked("text/plain;version=0.0.4"), Format::Text);
        assert_eq!(asked("application/openmetrics-text;q=0"), Format::Text);
        assert_eq!(
            asked("application/openmetrics-text;q=0.2,text/plain"),
            Format::Text
        );
        assert_eq!(Format::asked(&HeaderMap::new()), Format::Text);
    }

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.family(Kind::Counter, "a_done", "What is done");
        page.sample(&[("why", "x\"y\\z"), ("how", "1")], 3);
        page.family(Kind::Info, "a", "What it is");
        page.sample(&[("version", "1")], 1);
        page.gauge("a_seconds", "How long", seconds(1_000_042));
        page.end()
    }

    /// Written by hand from exposition_formats.md of Prometheus, and from OpenMetrics 1.0.
    #[test]
    fn each_format_has_its_own_names() {
        let text = "# HELP a_done_total What is done\n# TYPE a_done_total counter\n\
                    a_done_total{why=\"x\\\"y\\\\z\",how=\"1\"} 3\n\
                    # HELP a_info What it is\n# TYPE a_info gauge\na_info{version=\"1\"} 1\n\
                    # HELP a_seconds How long\n# TYPE a_seconds gauge\na_seconds 1.000042\n";
        assert_eq!(page(Format::Text), text);
        let open = text
            .replace("HELP a_done_total", "HELP a_done")
            .replace("TYPE a_done_total", "TYPE a_done")
            .replace("HELP a_info", "HELP a")
            .replace("TYPE a_info gauge", "TYPE a info");
        assert_eq!(page(Format::OpenMetrics), format!("{open}# EOF\n"));
    }
}
