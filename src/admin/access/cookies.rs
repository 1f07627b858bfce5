//! The two cookies: of a session, and of a sign-in at the provider that has begun.

use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

/// The cookie of a session.
pub(in crate::admin) const SESSION: &str = "emberway_session";

/// The cookie of a sign-in that has begun.
pub(super) const LOGIN: &str = "emberway_login";

/// Where the cookie of a sign-in is sent.
const LOGIN_PATH: &str = "/";

/// The session that a request names.
pub(in crate::admin) fn session(headers: &HeaderMap) -> Option<String> {
    named(headers, SESSION)
}

/// The sign-in that a request names.
pub(super) fn login(headers: &HeaderMap) -> Option<String> {
    named(headers, LOGIN)
}

fn named(headers: &HeaderMap, name: &str) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    jar.get(name).map(|cookie| cookie.value().to_owned())
}

/// A session's cookie. It ends with the browser; the session itself may end before.
pub(in crate::admin) fn of_session(id: String, headers: &HeaderMap) -> Cookie<'static> {
    Cookie::build((SESSION, id))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_https(headers))
        .path("/")
        .build()
}

/// Ends a session in the browser.
pub(in crate::admin) fn end_of_session(headers: &HeaderMap) -> Cookie<'static> {
    let mut cookie = of_session(String::new(), headers);
    cookie.make_removal();
    cookie
}

/// A sign-in's cookie. The provider sends the browser back from elsewhere, which a strict cookie would not survive.
pub(super) fn of_login(value: String, headers: &HeaderMap) -> Cookie<'static> {
    Cookie::build((LOGIN, value))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https(headers))
        .path(LOGIN_PATH)
        .build()
}

/// Ends a sign-in in the browser.
pub(super) fn end_of_login(headers: &HeaderMap) -> Cookie<'static> {
    let mut cookie = of_login(String::new(), headers);
    cookie.make_removal();
    cookie
}

/// Whether the browser speaks TLS with whatever stands before this listener, which itself speaks none. Whoever lies about it harms
/// nobody but himself.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}
