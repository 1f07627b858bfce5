//! The operators' page: the files that `make page` built, as they are in the program, compressed beforehand.
//!
//! Names with a hash of their content are kept by browsers for ever; the rest is asked for again and answered with 304 where it is the
//! same. A program that was built without them says so, and how to build them. The page itself holds no secret and asks no credential.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::admin::api::answer::Refusal;

/// Where files are whose names have a hash of their content.
const HASHED: &str = "assets/";

/// The built page.
#[derive(RustEmbed)]
#[folder = "dashboards/web/dist"]
#[allow_missing = true]
struct Files;

/// The page and its files; whatever else is asked is not served.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return not_served().into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let name = if path.is_empty() { "index.html" } else { path };
    match find(name, &headers) {
        Some(found) => answer(name, found, &headers),
        None if path.is_empty() => not_built(),
        None => not_served().into_response(),
    }
}

/// A file in one of its encodings.
struct Found {
    file: EmbeddedFile,
    encoding: Option<&'static str>,
}

fn find(name: &str, headers: &HeaderMap) -> Option<Found> {
    // They are served as encodings of the files beside them only.
    if matches!(name.rsplit('.').next(), Some("br" | "gz")) {
        return None;
    }
    let plain = Files::get(name)?;
    for (encoding, extension) in [("br", "br"), ("gzip", "gz")] {
        if accepts(headers, encoding)
            && let Some(file) = Files::get(&format!("{name}.{extension}"))
        {
            return Some(Found {
                file,
                encoding: Some(encoding),
            });
        }
    }
    Some(Found {
        file: plain,
        encoding: None,
    })
}

/// Whether `Accept-Encoding` names an encoding, and does not weigh it nothing.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let mut named = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    named.any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1").parse::<f32>();
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_ok_and(|weight| weight > 0.0)
    })
}

fn answer(name: &str, found: Found, headers: &HeaderMap) -> Response {
    let hash = found.file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hex(&hash[..16]));
    let caching = if name.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match found.file.data {
            std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let kind = HeaderValue::from_static(content_type(name));
        ([(header::CONTENT_TYPE, kind)], body).into_response()
    };
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(header::ETAG, tag);
    }
    if let Some(encoding) = found.encoding {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.flatten().collect()
}

/// Whether the browser has this already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    known.any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag)
}

fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn not_built() -> Response {
    let text = "This program was built without the operators' page. `make page` builds it (Node 20.19 or newer is needed); build the program \
        again after that. The same figures are at /status and /metrics.";
    plain(StatusCode::OK, "Emberway", text)
}

/// A small page without styles or scripts. The text may be anybody's.
pub(super) fn plain(status: StatusCode, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<h1>{title}</h1>\n<p>{}</p>\n<p><a href=\"/\">To the page</a></p>\n</html>\n",
        escaped(text)
    );
    (status, Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// What is answered to everything that is not here.
pub(super) fn not_served() -> Refusal {
    let message = "not served here; served are: GET /livez, /readyz, /healthz, /metrics, /status, POST /admin/explain, GET, POST and \
        DELETE /admin/drains, the operators' page at / and its API at /api/v1 (described by /api/v1/openapi.json)";
    Refusal::not_found(message, "not_served")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn encodings_are_taken_as_they_are_weighed() {
        for (sent, br, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("gzip;q=0.5,BR ; q=1.0", true, true),
            ("br;q=0, gzip", false, true),
            ("br;q=0.000", false, false),
            ("identity", false, false),
            ("brotli, xgzip", false, false),
            ("br;q=much", false, false),
        ] {
            let headers = headers("accept-encoding", sent);
            assert_eq!(
                (accepts(&headers, "br"), accepts(&headers, "gzip")),
                (br, gzip),
                "{sent}"
            );
        }
    }

    #[test]
    fn what_a_browser_has_is_known_by_its_tag() {
        for (sent, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(is_known(&headers("if-none-match", sent), "\"a\""), known, "{sent}");
        }
    }

    #[tokio::test]
    async fn what_a_plain_page_tells_runs_nothing() {
        let response = plain(StatusCode::FORBIDDEN, "No", "<script>alert(\"1\")</script>&");
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(
            text.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;"),
            "{text}"
        );
    }
}
