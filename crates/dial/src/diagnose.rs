//! What is wrong with presented certificates, and which of them a client needs.
//!
//! A verifier stops at the first thing that it does not like. Whoever has to mend it wants to hear
//! of everything, and of the right thing: that an authority is unknown says little where only an
//! intermediate certificate has ended or was not sent. So the verifier is asked again, at a time
//! at which all certificates were valid, and without those that it may not need.

use std::time::Duration;

use model::report::CertificateFault as Fault;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::verify::{MAX_CHAIN, MAX_TEXT};

/// Whether the server's certificate leads to a trusted authority over these intermediates at that
/// time, whatever its name.
pub(crate) type Trusts<'a> = &'a dyn Fn(&[CertificateDer<'_>], UnixTime) -> bool;

/// What a refusal comes down to.
pub(crate) struct Refusal {
    /// Everything that is wrong, the cause first.
    pub(crate) faults: Vec<Fault>,
    /// The same in words.
    pub(crate) problem: String,
    /// The cause, for whoever reads rustls's errors.
    pub(crate) error: Error,
}

/// When the first certificate ends that the way to the trusted authority needs, in seconds since the
/// epoch; for a chain that is trusted at `now`.
pub(crate) fn path_end(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
    trusts: Trusts<'_>,
) -> Option<i64> {
    let own = end_of(leaf)?;
    let mut needed: Vec<CertificateDer<'_>> = intermediates.to_vec();
    // What ends after the server's own certificate cannot be the first to end.
    let mut earlier: Vec<(i64, &CertificateDer<'_>)> = intermediates
        .iter()
        .take(MAX_CHAIN)
        .filter_map(|cert| Some((end_of(cert)?, cert)))
        .filter(|(end, _)| *end < own)
        .collect();
    earlier.sort_by_key(|(end, _)| *end);
    for (end, candidate) in earlier {
        let rest: Vec<_> = needed
            .iter()
            .filter(|cert| *cert != candidate)
            .cloned()
            .collect();
        if !trusts(&rest, now) {
            return Some(end);
        }
        needed = rest;
    }
    Some(own)
}

/// What a refused chain comes down to.
pub(crate) fn refusal(
    error: Error,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
    trusts: Trusts<'_>,
) -> Refusal {
    let Ok((_, own)) = X509Certificate::from_der(leaf) else {
        return Refusal {
            faults: vec![Fault::Malformed],
            problem: format!("the certificate cannot be read: {error}"),
            error,
        };
    };
    let sent: Vec<X509Certificate<'_>> = intermediates
        .iter()
        .take(MAX_CHAIN)
        .filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1))
        .collect();
    let path = path(&own, &sent);
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let is_trusted = match common_time(&path, seconds) {
        Some(then) => trusts(intermediates, then),
        // There never was such a time, so only the times can be told.
        None => true,
    };
    let mut found: Vec<(Fault, String)> = own_time(&own, seconds).into_iter().collect();
    if !is_trusted {
        let (fault, words) = distrust(&path);
        // Beside another cause the first words must do: the whole has to fit into a line.
        let first = words.split(": ").next().unwrap_or_default();
        let words = if found.is_empty() { &words } else { first };
        found.push((fault, words.to_owned()));
    }
    found.extend(path[1..].iter().filter_map(|cert| sent_time(cert, seconds)));
    if let Some(other) = wrong_name(leaf, &own, name) {
        found.push(other);
    }
    if found.is_empty() {
        found.push((Fault::Malformed, format!("{error}")));
    }
    let error = match found[0].0 {
        Fault::Expired | Fault::IntermediateExpired => CertificateError::Expired.into(),
        Fault::NotYetValid | Fault::IntermediateNotYetValid => CertificateError::NotValidYet.into(),
        Fault::WrongName => CertificateError::NotValidForName.into(),
        Fault::SelfSigned | Fault::IntermediateMissing | Fault::AuthorityUnknown => {
            CertificateError::UnknownIssuer.into()
        }
        Fault::Malformed => error,
    };
    let words: Vec<String> = found.iter().map(|(_, words)| words.clone()).collect();
    Refusal {
        faults: found.into_iter().map(|(fault, _)| fault).collect(),
        problem: words.join("; "),
        error,
    }
}

/// The certificates from the server's own upwards, each issued by the next, as far as they were
/// sent. Of several with the same name the one that ends last is taken.
fn path<'a, 'b>(
    own: &'b X509Certificate<'a>,
    sent: &'b [X509Certificate<'a>],
) -> Vec<&'b X509Certificate<'a>> {
    let mut path = vec![own];
    let mut last = own;
    while path.len() <= sent.len() && !is_self_issued(last) {
        let issuer = last.issuer().as_raw();
        let next = sent
            .iter()
            .filter(|cert| cert.subject().as_raw() == issuer)
            .max_by_key(|cert| cert.validity().not_after.timestamp());
        let Some(next) = next else {
            break;
        };
        path.push(next);
        last = next;
    }
    path
}

fn is_self_issued(cert: &X509Certificate<'_>) -> bool {
    cert.subject().as_raw() == cert.issuer().as_raw()
}

/// The time next to now at which every certificate of the path was or will be valid.
fn common_time(path: &[&X509Certificate<'_>], now: i64) -> Option<UnixTime> {
    let times = path.iter().map(|cert| cert.validity());
    let begin = times
        .clone()
        .map(|time| time.not_before.timestamp())
        .max()?;
    let end = times.map(|time| time.not_after.timestamp()).min()?;
    if begin > end {
        return None;
    }
    let then = u64::try_from(now.clamp(begin, end)).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(then)))
}

fn own_time(own: &X509Certificate<'_>, now: i64) -> Option<(Fault, String)> {
    let (begin, end) = times(own);
    if now > end {
        let ago = duration(now - end);
        return Some((Fault::Expired, format!("the certificate ended {ago} ago")));
    }
    let ahead = duration(begin - now);
    let words = || format!("the certificate begins in {ahead}");
    (now < begin).then(|| (Fault::NotYetValid, words()))
}

fn sent_time(cert: &X509Certificate<'_>, now: i64) -> Option<(Fault, String)> {
    let (begin, end) = times(cert);
    let name = subject(cert);
    if now > end {
        let words = format!(
            "the intermediate certificate {name} ended {} ago",
            duration(now - end)
        );
        return Some((Fault::IntermediateExpired, words));
    }
    let words = || {
        let ahead = duration(begin - now);
        format!("the intermediate certificate {name} begins in {ahead}")
    };
    (now < begin).then(|| (Fault::IntermediateNotYetValid, words()))
}

/// Why nobody who is trusted stands at the end of the path.
fn distrust(path: &[&X509Certificate<'_>]) -> (Fault, String) {
    let Some(last) = path.last() else {
        return (Fault::Malformed, "no certificate was sent".to_owned());
    };
    let issuer = model::text::line(&last.issuer().to_string(), MAX_TEXT);
    if is_self_issued(last) {
        return if path.len() == 1 {
            let words =
                format!("the certificate is signed by itself ({issuer}) and not trusted here");
            (Fault::SelfSigned, words)
        } else {
            let words =
                format!("the authority {issuer}, which the server sent, is not trusted here");
            (Fault::AuthorityUnknown, words)
        };
    }
    let of = if path.len() == 1 {
        "the certificate's issuer"
    } else {
        "the last certificate's issuer"
    };
    match published_issuer(last) {
        Some(url) => {
            let words = format!(
                "an intermediate certificate is missing: {of}, {issuer}, was not sent and is not \
                 trusted here; it is published at {url}"
            );
            (Fault::IntermediateMissing, words)
        }
        None => {
            let words = format!(
                "{of}, {issuer}, is not trusted here and was not sent: a private authority, or a \
                 missing intermediate certificate"
            );
            (Fault::AuthorityUnknown, words)
        }
    }
}

/// Where the certificate says that its issuer's is published (RFC 5280 §4.2.2.1). Authorities that
/// sign public servers' certificates do say it; nothing is fetched.
fn published_issuer(cert: &X509Certificate<'_>) -> Option<String> {
    cert.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        let mut issuers = access
            .iter()
            .filter(|entry| entry.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS);
        issuers.find_map(|entry| {
            let GeneralName::URI(url) = &entry.access_location else {
                return None;
            };
            Some(model::text::line(url, MAX_TEXT))
        })
    })
}

fn wrong_name(
    leaf: &CertificateDer<'_>,
    own: &X509Certificate<'_>,
    name: &ServerName<'_>,
) -> Option<(Fault, String)> {
    let parsed = ParsedCertificate::try_from(leaf).ok()?;
    rustls::client::verify_server_name(&parsed, name).err()?;
    let names = crate::verify::names(own);
    let held = match names.len() {
        0 => "for no name at all".to_owned(),
        1..=4 => format!("for {}", names.join(", ")),
        more => format!("for {} and {} more names", names[..3].join(", "), more - 3),
    };
    let words = format!("the certificate is {held}, not for {}", name.to_str());
    Some((Fault::WrongName, words))
}

fn times(cert: &X509Certificate<'_>) -> (i64, i64) {
    let validity = cert.validity();
    (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    )
}

fn end_of(der: &CertificateDer<'_>) -> Option<i64> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(cert.validity().not_after.timestamp())
}

fn subject(cert: &X509Certificate<'_>) -> String {
    model::text::line(&cert.subject().to_string(), MAX_TEXT)
}

/// Some seconds in the largest unit that leaves a number.
fn duration(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} d", seconds / 86_400),
        7_200.. => format!("{} h", seconds / 3_600),
        120.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
