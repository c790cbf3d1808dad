//! Which edge of which content delivery network answered, as its response headers say.
//!
//! Where several networks stand behind each other, the one that is probably nearer to the client is
//! told: delivery networks before hosting platforms, which often have one in front.

use http::{HeaderMap, HeaderName};
use model::report::{Edge, EdgeProvider};

/// Characters of a value that are kept; the longest real one, CloudFront's id, has 56.
const MAX_TEXT: usize = 96;

type Reader = fn(&HeaderMap) -> Option<Edge>;

const READERS: [Reader; 9] = [
    cloudflare, akamai, fastly, cloudfront, azure, vercel, netlify, fly, google,
];

/// The edge that answered with these headers.
pub(crate) fn of(headers: &HeaderMap) -> Option<Edge> {
    READERS.iter().find_map(|read| read(headers))
}

/// `CF-Ray: 230b030023ae2822-SJC`: the request, and the data centre by its airport.
/// <https://developers.cloudflare.com/fundamentals/reference/http-headers/#cf-ray>
fn cloudflare(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "cf-ray")?;
    let pop = suffix(&id, |c| c.is_ascii_uppercase());
    Some(edge(EdgeProvider::Cloudflare, pop, Some(id)))
}

/// `Akamai-GRN: 0.05313217.1567801841.1457a3`: the request.
/// <https://techdocs.akamai.com/property-mgr/docs/global-req-no>
fn akamai(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "akamai-grn")?;
    Some(edge(EdgeProvider::Akamai, None, Some(id)))
}

/// `X-Served-By: cache-sjc3132-SJC, cache-lcy1128-LCY`: cache nodes, that which the client reached
/// last.
/// <https://www.fastly.com/documentation/reference/http/http-headers/X-Served-By/>
fn fastly(headers: &HeaderMap) -> Option<Edge> {
    let nodes = headers.get_all("x-served-by").iter().next_back()?;
    let node = nodes.to_str().ok()?.rsplit(',').next()?.trim();
    if !node.starts_with("cache-") {
        return None;
    }
    let id = model::text::line(node, MAX_TEXT);
    let pop = suffix(&id, |c| c.is_ascii_uppercase());
    Some(edge(EdgeProvider::Fastly, pop, Some(id)))
}

/// `X-Amz-Cf-Pop: JFK52-P2` is the edge location, `X-Amz-Cf-Id` the request.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html>
fn cloudfront(headers: &HeaderMap) -> Option<Edge> {
    let (pop, id) = (text(headers, "x-amz-cf-pop"), text(headers, "x-amz-cf-id"));
    (pop.is_some() || id.is_some()).then(|| edge(EdgeProvider::CloudFront, pop, id))
}

/// `X-Azure-Ref`: the request.
/// <https://learn.microsoft.com/azure/frontdoor/front-door-http-headers-protocol>
fn azure(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "x-azure-ref")?;
    Some(edge(EdgeProvider::AzureFrontDoor, None, Some(id)))
}

/// `X-Vercel-Id: fra1::iad1::7p2m6-1700000000000-0123456789ab`: the regions that the request came
/// through, that which the client reached first, and the request.
/// <https://vercel.com/docs/headers/response-headers#x-vercel-id>
fn vercel(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "x-vercel-id")?;
    let pop = id.split_once("::").map(|(region, _)| region.to_owned());
    Some(edge(EdgeProvider::Vercel, pop, Some(id)))
}

/// `X-Nf-Request-Id`: the request.
/// <https://answers.netlify.com/t/support-guide-netlify-support-asked-for-the-x-nf-request-id-header-what-is-it-and-how-do-i-find-it/4385>
fn netlify(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "x-nf-request-id")?;
    Some(edge(EdgeProvider::Netlify, None, Some(id)))
}

/// `Via: 2 fly.io`, documented at <https://fly.io/docs/networking/request-headers/>; beside it answers
/// carry `Fly-Request-Id: 01HPQ3ZK6VY7Q8E1T9C2N5B4AD-fra`: the request, and the region that took it.
fn fly(headers: &HeaderMap) -> Option<Edge> {
    let id = text(headers, "fly-request-id");
    if id.is_none() && !went_via(headers, "fly.io") {
        return None;
    }
    let pop = id
        .as_deref()
        .and_then(|id| suffix(id, |c| c.is_ascii_lowercase()));
    Some(edge(EdgeProvider::Fly, pop, id))
}

/// `Via: 1.1 google`: an Application Load Balancer of Google Cloud.
/// <https://cloud.google.com/load-balancing/docs/https#target-proxies>
fn google(headers: &HeaderMap) -> Option<Edge> {
    went_via(headers, "google").then(|| edge(EdgeProvider::Google, None, None))
}

/// Whether an intermediary of that name forwarded the answer (RFC 9110 §7.6.3).
fn went_via(headers: &HeaderMap, name: &str) -> bool {
    let is_it = |hop: &str| {
        let by = hop.trim().split_once(' ');
        by.is_some_and(|(_, by)| by.split(' ').next() == Some(name))
    };
    let mut lines = headers.get_all(http::header::VIA).iter();
    lines.any(|hops| hops.to_str().is_ok_and(|hops| hops.split(',').any(is_it)))
}

fn edge(provider: EdgeProvider, pop: Option<String>, id: Option<String>) -> Edge {
    Edge { provider, pop, id }
}

/// A header's value, made safe to show; `None` where it is empty.
fn text(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let value = headers.get(HeaderName::from_static(name))?;
    (!value.is_empty()).then(|| model::text::line_of_bytes(value.as_bytes(), MAX_TEXT))
}

/// The three characters after the last hyphen, where they look like a place.
fn suffix(id: &str, is_letter: fn(char) -> bool) -> Option<String> {
    let (_, place) = id.rsplit_once('-')?;
    (place.len() == 3 && place.chars().all(is_letter)).then(|| place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = &'static [(&'static str, &'static str)];
    type Row = (
        Lines,
        EdgeProvider,
        Option<&'static str>,
        Option<&'static str>,
    );

    fn found(
        lines: &[(&'static str, &str)],
    ) -> Option<(EdgeProvider, Option<String>, Option<String>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        of(&headers).map(|edge| (edge.provider, edge.pop, edge.id))
    }

    /// Values from the pages that are named above, and from answers of the providers.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn each_providers_own_example_is_read() {
        use EdgeProvider as E;
        let table: [Row; 12] = [
            (
                &[("cf-ray", "230b030023ae2822-SJC"), ("server", "cloudflare")],
                E::Cloudflare,
                Some("SJC"),
                Some("230b030023ae2822-SJC"),
            ),
            (
                &[("akamai-grn", "0.08a7cb17.1771389547.c1005fe")],
                E::Akamai,
                None,
                Some("0.08a7cb17.1771389547.c1005fe"),
            ),
            (
                &[("x-served-by", "cache-sjc3132-SJC, cache-lcy1128-LCY")],
                E::Fastly,
                Some("LCY"),
                Some("cache-lcy1128-LCY"),
            ),
            (
                &[("x-amz-cf-pop", "JFK52-P2"), ("x-amz-cf-id", "abc==")],
                E::CloudFront,
                Some("JFK52-P2"),
                Some("abc=="),
            ),
            (
                &[(
                    "x-azure-ref",
                    "0zxV+XAAAAABKMMOjBv2NT4TY6SQVjC0zV1NURURHRTA2MTk",
                )],
                E::AzureFrontDoor,
                None,
                Some("0zxV+XAAAAABKMMOjBv2NT4TY6SQVjC0zV1NURURHRTA2MTk"),
            ),
            (
                &[(
                    "x-vercel-id",
                    "fra1::iad1::7p2m6-1700000000000-0123456789ab",
                )],
                E::Vercel,
                Some("fra1"),
                Some("fra1::iad1::7p2m6-1700000000000-0123456789ab"),
            ),
            (
                &[("x-nf-request-id", "01KJD9FATBP38BK9EPSN617QKP")],
                E::Netlify,
                None,
                Some("01KJD9FATBP38BK9EPSN617QKP"),
            ),
            (
                &[("fly-request-id", "01HPQ3ZK6VY7Q8E1T9C2N5B4AD-fra")],
                E::Fly,
                Some("fra"),
                Some("01HPQ3ZK6VY7Q8E1T9C2N5B4AD-fra"),
            ),
            (&[("via", "2 fly.io")], E::Fly, None, None),
            (&[("via", "1.1 varnish, 1.1 google")], E::Google, None, None),
            // A platform behind a delivery network.
            (
                &[
                    ("x-vercel-id", "fra1::x"),
                    ("cf-ray", "9b7d22ba0cdcde9c-EWR"),
                ],
                E::Cloudflare,
                Some("EWR"),
                Some("9b7d22ba0cdcde9c-EWR"),
            ),
            (
                &[("cf-ray", "9b7d22ba0cdcde9c")],
                E::Cloudflare,
                None,
                Some("9b7d22ba0cdcde9c"),
            ),
        ];
        for (lines, provider, pop, id) in table {
            let expected = (provider, pop.map(str::to_owned), id.map(str::to_owned));
            assert_eq!(found(lines), Some(expected), "{lines:?}");
        }
        for lines in [
            &[("server", "nginx")][..],
            &[("x-served-by", "web-3")],
            &[("via", "1.1 googly"), ("cf-ray", "")],
        ] {
            assert_eq!(found(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn hostile_values_are_cut_and_escaped() {
        let mut headers = HeaderMap::new();
        let hostile = [
            b"\xc2\x9b31m\xe2\x80\xae".to_vec(),
            vec![b'a'; 5000],
            b"-SJC".to_vec(),
        ];
        let value = http::HeaderValue::from_bytes(&hostile.concat()).unwrap();
        headers.insert("cf-ray", value);
        let edge = of(&headers).unwrap();
        let id = edge.id.unwrap();
        assert!(id.starts_with("\\u{9b}31m\\u{202e}aaa"), "{id}");
        assert!(
            id.chars().count() <= MAX_TEXT + 1 && edge.pop.is_none(),
            "{id}"
        );
    }
}
