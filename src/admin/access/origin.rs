//! Where a request comes from: whether a page of somebody else's makes a browser send it.
//!
//! A browser tells by `Sec-Fetch-Site` and `Origin`, which no page can set, and it lets no page of another origin add a header of its
//! own without asking first, which is answered by a refusal here. Whoever sends `Authorization` is no such browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, StatusCode, header};

use crate::admin::access::Carried;
use crate::admin::api::answer::Refusal;

/// The header that a write carries, with any value.
pub(in crate::admin) const CSRF_HEADER: &str = "x-emberway-csrf";

/// By which proxies tell for whom they ask.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-forwarded-host"];

/// Refuses a request to a name that is not this machine's own where nobody is asked for a credential: a page whose name an attacker
/// points to 127.0.0.1 would else read and write as if it were served from here. So would everybody outside behind a proxy on this machine.
pub(in crate::admin) fn check_host(asks: bool, headers: &HeaderMap) -> Result<(), Refusal> {
    if !asks && FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "a proxy sent this on, and without a credential everybody behind it would be an administrator; set `admin.token` in the configuration",
            "forwarded",
        ));
    }
    let Some(host) = headers.get(header::HOST) else {
        // No browser leaves it out.
        return Ok(());
    };
    if asks || host.to_str().is_ok_and(is_loopback) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "without a credential this is served as `localhost` or `127.0.0.1` only; use that name, or set `admin.token` in the configuration",
        "foreign_host",
    ))
}

/// Whether the value of `Host` names this machine by a loopback name or address.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let address = address.parse::<Ipv6Addr>();
            return is_port(port) && address.is_ok_and(|address| address.is_loopback());
        }
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Nothing, or a colon with digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses a write that a page of another origin may have made a browser send.
pub(super) fn check_write(carried: Carried, wants_header: bool, headers: &HeaderMap) -> Result<(), Refusal> {
    if carried == Carried::Header {
        return Ok(());
    }
    let site = site(headers);
    if site == Site::Other || site == Site::Untold && carried == Carried::Cookie {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "a write from a browser must come from this page itself",
            "cross_site",
        ));
    }
    if wants_header && !headers.contains_key(CSRF_HEADER) {
        let message =
            format!("send the header `{CSRF_HEADER}: 1` with a write, or a token as `Authorization: Bearer TOKEN`");
        return Err(Refusal::new(StatusCode::FORBIDDEN, message, "csrf_header_missing"));
    }
    Ok(())
}

/// Where a browser says that the page is which made it ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// It says nothing: it is old, or no browser.
    Untold,
    /// Here.
    Same,
    /// Elsewhere.
    Other,
}

fn site(headers: &HeaderMap) -> Site {
    let by_fetch = headers.get("sec-fetch-site").map(|site| site == "same-origin");
    let by_origin = headers.get(header::ORIGIN).map(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        authority.is_some_and(|(_, authority)| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
    });
    match (by_fetch, by_origin) {
        (None, None) => Site::Untold,
        // Behind a proxy that changes `host` the origin is another, and the browser knows better.
        (Some(true), _) | (None, Some(true)) => Site::Same,
        _ => Site::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn hosts_of_this_machine() {
        for own in [
            "localhost",
            "LocalHost:9090",
            "localhost.:9090",
            "ember.localhost",
            "127.0.0.1",
            "127.8.9.1:9090",
            "[::1]",
            "[::1]:9090",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for foreign in [
            "",
            "example.com",
            "example.com:9090",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "notlocalhost",
            "128.0.0.1",
            "0.0.0.0:9090",
            "[::2]:9090",
            "[::1",
            "[::1]x",
            "::1",
            "localhost:90@example.com",
        ] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
        let foreign = headers(&[("host", "example.com")]);
        assert_eq!(
            check_host(false, &foreign).map_err(|refusal| refusal.code),
            Err("foreign_host")
        );
        assert_eq!(check_host(true, &foreign), Ok(()));
        for name in FORWARDED {
            let forwarded = headers(&[("host", "localhost"), (name, "10.0.0.1")]);
            let refused = check_host(false, &forwarded).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err("forwarded"), "{name}");
            assert_eq!(check_host(true, &forwarded), Ok(()));
        }
    }

    #[test]
    fn writes_that_others_may_cause() {
        let check = |carried, wants_header, lines: &[_], expected: Result<(), &str>| {
            let checked = check_write(carried, wants_header, &headers(lines)).map_err(|refusal| refusal.code);
            assert_eq!(checked, expected, "{carried:?} {wants_header} {lines:?}");
        };
        let (own, other) = (("origin", "http://h:1"), ("origin", "http://evil:1"));
        let (host, csrf) = (("host", "h:1"), (CSRF_HEADER, "1"));
        let site = |site| ("sec-fetch-site", site);
        check(Carried::Header, true, &[host, other], Ok(()));
        for carried in [Carried::Not, Carried::Cookie] {
            check(carried, true, &[host, own, csrf], Ok(()));
            check(carried, true, &[host, own], Err("csrf_header_missing"));
            check(carried, false, &[host, own], Ok(()));
            check(carried, true, &[host, other, csrf], Err("cross_site"));
            check(carried, false, &[host, other], Err("cross_site"));
            check(carried, true, &[host, ("origin", "null"), csrf], Err("cross_site"));
            check(carried, true, &[host, site("same-origin"), other, csrf], Ok(()));
            check(carried, true, &[host, site("same-site"), own, csrf], Err("cross_site"));
            check(carried, true, &[host, site("cross-site"), csrf], Err("cross_site"));
        }
        check(Carried::Not, true, &[host, csrf], Ok(()));
        check(Carried::Not, false, &[host], Ok(()));
        check(Carried::Cookie, true, &[host, csrf], Err("cross_site"));
    }
}
