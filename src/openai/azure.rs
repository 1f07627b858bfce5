//! What is particular to Azure: the path of a deployment's operation, and how long a throttled one asks to be left alone.

use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::openai::target::WireOperation;

/// What stands unescaped in one path segment (RFC 3986 unreserved characters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Path and query of an operation in the classic family, where the deployment is in the path.
pub fn classic_path(base_path: &str, deployment: &str, operation: WireOperation, api_version: &str) -> String {
    let deployment = utf8_percent_encode(deployment, SEGMENT);
    let api_version = utf8_percent_encode(api_version, SEGMENT);
    format!(
        "{base_path}/openai/deployments/{deployment}/{}?api-version={api_version}",
        operation.path()
    )
}

/// Path of an operation in the v1 family, where the deployment is the body's `model`. Every resource serves it, whatever its dated
/// API version; Responses are asked for here only, since most dated versions do not know them.
pub fn v1_path(base_path: &str, operation: WireOperation) -> String {
    format!("{base_path}/openai/v1/{}", operation.path())
}

/// How long an answer asks to wait: `retry-after-ms`, else `retry-after` in seconds or as an HTTP date. Values that
/// cannot be read, negative ones and dates in the past are absent.
pub fn retry_after(retry_after_ms: Option<&[u8]>, retry_after: Option<&[u8]>, now: SystemTime) -> Option<Duration> {
    let text = |bytes: &'_ [u8]| std::str::from_utf8(bytes).ok().map(str::trim).map(str::to_owned);
    let number = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value >= 0.0)
    };
    if let Some(ms) = retry_after_ms.and_then(text).and_then(|text| number(&text)) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = retry_after.and_then(text)?;
    if let Some(seconds) = number(&value) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    httpdate::parse_http_date(&value).ok()?.duration_since(now).ok()
}

/// What an answer's headers say of the deployment's limits: limit and what remains of it, for each where both are there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateLimits {
    /// Tokens a minute.
    pub tokens: Option<(f64, f64)>,
    /// Requests a minute.
    pub requests: Option<(f64, f64)>,
}

/// Reads the `x-ratelimit-*` headers. Provisioned deployments have none, and what cannot be read is absent; absence never means
/// that there is no limit.
pub fn rate_limits<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> RateLimits {
    let number = |name| get(name)?.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let pair = |limit, remaining| {
        let limit = number(limit).filter(|&limit| limit > 0.0)?;
        Some((limit, number(remaining)?.clamp(0.0, limit)))
    };
    RateLimits {
        tokens: pair("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"),
        requests: pair("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
    }
}

/// Whether a region as answers show it (`Sweden Central`) is this one as it is named elsewhere (`swedencentral`). Allocates nothing.
pub fn is_region(shown: &str, name: &str) -> bool {
    letters(shown).eq(letters(name))
}

/// A region's name as it is written everywhere but in answers.
pub fn region_name(shown: &str) -> String {
    letters(shown).collect()
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|character| character.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_however_they_are_written() {
        assert!(is_region("Sweden Central", "swedencentral") && is_region("East US 2", "eastus2"));
        assert!(!is_region("East US", "eastus2"));
        assert_eq!(region_name("East US 2"), "eastus2");
    }

    #[test]
    fn paths() {
        assert_eq!(
            classic_path("", "a b/c", WireOperation::Chat, "2024-10-21"),
            "/openai/deployments/a%20b%2Fc/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(v1_path("/sim", WireOperation::Embeddings), "/sim/openai/v1/embeddings");
    }

    #[test]
    fn rate_limits_are_pairs_or_absent() {
        let read = |headers: &[(&'static str, &'static str)]| {
            rate_limits(|name| {
                headers
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map(|(_, value)| *value)
            })
        };
        let all = [
            ("x-ratelimit-limit-tokens", "50000"),
            ("x-ratelimit-remaining-tokens", " 60000 "),
            ("x-ratelimit-limit-requests", "50"),
            ("x-ratelimit-remaining-requests", "-1"),
        ];
        let limits = read(&all);
        assert_eq!(limits.tokens, Some((50_000.0, 50_000.0)));
        assert_eq!(limits.requests, Some((50.0, 0.0)));
        assert_eq!(read(&all[1..]).tokens, None);
        assert_eq!(read(&[("x-ratelimit-limit-requests", "many")]), RateLimits::default());
        let zero = [("x-ratelimit-limit-tokens", "0"), ("x-ratelimit-remaining-tokens", "0")];
        assert_eq!(read(&zero).tokens, None);
    }

    #[test]
    fn retry_after_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let get = |ms: Option<&str>, s: Option<&str>| retry_after(ms.map(str::as_bytes), s.map(str::as_bytes), now);
        assert_eq!(get(Some("250"), Some("9")), Some(Duration::from_millis(250)));
        assert_eq!(get(None, Some("9")), Some(Duration::from_secs(9)));
        assert_eq!(get(None, Some(" 0.5 ")), Some(Duration::from_millis(500)));
        assert_eq!(get(Some("x"), Some("86400")), Some(Duration::from_hours(24)));
        assert_eq!(
            get(None, Some("Sun, 06 Nov 1994 08:49:47 GMT")),
            Some(Duration::from_secs(10))
        );
        assert_eq!(get(None, Some("Sun, 06 Nov 1994 08:49:27 GMT")), None);
        assert_eq!(get(None, Some("-1")), None);
        assert_eq!(get(None, Some("soon")), None);
        assert_eq!(get(None, Some("1e300")), None);
        assert_eq!(get(None, None), None);
    }
}
