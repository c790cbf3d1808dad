//! Statuses outside 2xx, and what comes with them.

use super::Behaviour;
use super::request::Request;
use super::talk::{Talk, response};

const HTML: &str = "content-type: text/html\r\n";
const LINK: &str = "https://127.0.0.1:9/.well-known/oauth-protected-resource";

pub(super) const LIST: [Behaviour; 24] = [
    Behaviour::of_no_era("redirect-loop", "a redirect to itself", |request| {
        redirect(&format!("{}{}", request.origin, request.path))
    }),
    Behaviour::of_no_era(
        "redirect-metadata",
        "a redirect to the metadata service",
        |_| redirect("http://169.254.169.254/latest/meta-data/"),
    ),
    Behaviour::of_no_era("redirect-file", "a redirect to a file", |_| {
        redirect("file:///etc/passwd")
    }),
    Behaviour::of_no_era(
        "login-redirect",
        "a redirect to a page that asks who you are",
        |_| redirect("https://login.example/authorize?next=%1b%5b31m"),
    ),
    status("not-found", "404, a page", |_| {
        Talk::of(response(404, HTML, "<html>nothing here"))
    }),
    status("not-acceptable", "406", |_| {
        Talk::of(response(406, "", "Not Acceptable"))
    }),
    status("wrong-media", "415", |_| {
        Talk::of(response(415, "", "Unsupported Media Type"))
    }),
    status("misdirected", "421", |_| {
        Talk::of(response(421, "", "Misdirected Request"))
    }),
    status("teapot", "418", |_| {
        Talk::of(response(418, "", "I'm a teapot"))
    }),
    status("status-999", "a status that nobody defined", |_| {
        Talk::of(response(999, "", "Denied"))
    }),
    status(
        "rate-limited",
        "429 until after the end of the world",
        |_| Talk::of(response(429, "retry-after: 18446744073709551615\r\n", "")),
    ),
    status(
        "rate-limited-absurdly",
        "429 until a number that does not exist",
        |_| {
            Talk::of(response(
                429,
                "retry-after: 99999999999999999999999999\r\n",
                "",
            ))
        },
    ),
    status("busy", "503 with Retry-After", |_| {
        Talk::of(response(503, "retry-after: 3\r\n", ""))
    }),
    status("error-page", "502, the page of a proxy", |_| {
        Talk::of(response(502, HTML, "<html><h1>502 Bad Gateway</h1>"))
    }),
    status("server-error", "500", |_| {
        Talk::of(response(500, "", "boom"))
    }),
    status("error-stalled", "500, and a body that never comes", |_| {
        Talk::stalling("HTTP/1.1 500 Oops\r\ncontent-length: 10\r\n\r\n")
    }),
    status("error-endless", "500, and a body without end", |_| {
        Talk::flood("HTTP/1.1 500 Oops\r\n\r\n", "x".repeat(4096))
    }),
    status("challenge", "the challenge of a firewall", |_| {
        let fields = format!("{HTML}cf-mitigated: challenge\r\n");
        Talk::of(response(
            403,
            &fields,
            "<html><title>Just a moment...</title>",
        ))
    }),
    status("block-page", "403, the page of a firewall", |_| {
        Talk::of(response(
            403,
            HTML,
            "<!DOCTYPE html><title>Attention Required!</title>",
        ))
    }),
    status("forbidden", "403", |_| {
        Talk::of(response(403, "", "Invalid Origin header"))
    }),
    status("wall", "401 that says where to get a token", |_| {
        let fields = format!("www-authenticate: Bearer resource_metadata=\"{LINK}\"\r\n");
        Talk::of(response(401, &fields, ""))
    }),
    status("wall-bare", "401 that says nothing", |_| {
        Talk::of(response(401, "", ""))
    }),
    status(
        "wall-metadata",
        "401 that points at the metadata service",
        |_| {
            let field =
                "www-authenticate: Bearer resource_metadata=\"http://169.254.169.254/latest\"\r\n";
            Talk::of(response(401, field, ""))
        },
    ),
    status(
        "challenge-bomb",
        "401 with thousands of parameters, quotes and escapes",
        |_| {
            let many = "a=\"\\\"\\\\\", ".repeat(2500);
            let fields = format!(
                "www-authenticate: Basic {many}\r\nwww-authenticate: Bearer \"{}\r\n",
                "\\".repeat(9000)
            );
            Talk::of(response(401, &fields, ""))
        },
    ),
];

const fn status(name: &'static str, what: &'static str, say: fn(&Request) -> Talk) -> Behaviour {
    Behaviour::of_no_era(name, what, say)
}

fn redirect(location: &str) -> Talk {
    Talk::of(response(307, &format!("location: {location}\r\n"), ""))
}
