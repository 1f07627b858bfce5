//! The two cookies: of a session, and of a sign-in at the provider that has begun.
//!
//! Browsers send a host's cookies to all its ports, so a name has the listener's port in it, and that of the page's address where that is
//! another one: gateways of one machine, or behind one proxy or several tunnels, do not sign each other out. Where the page is known to
//! come by HTTPS, cookies are `Secure` and their names say so (`__Host-`), so that nothing that is not encrypted can set or read them.

use axum::http::{HeaderMap, header};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};

use crate::config::checked::admin::AdminListener;

/// How names of the cookies of sessions begin.
const SESSION: &str = "emberway_session";

/// How names of the cookies of sign-ins begin that are on their way.
const LOGIN: &str = "emberway_login";

/// What a listener's cookies are called, and how they are kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) struct Cookies {
    port: u16,
    /// Whether the configuration says that the page is at an `https` address.
    is_public_https: bool,
}

impl Cookies {
    /// Those of a listener with this port.
    pub(super) fn new(port: u16, admin: &AdminListener) -> Self {
        let redirect = admin.oidc.as_ref().and_then(|oidc| oidc.redirect_url.as_ref());
        Self {
            port,
            is_public_https: redirect.is_some_and(|url| url.scheme() == "https"),
        }
    }

    /// The session that a request names.
    pub(in crate::admin) fn session(self, headers: &HeaderMap) -> Option<String> {
        self.named(SESSION, headers)
    }

    /// The sign-in that a request names.
    pub(super) fn login(self, headers: &HeaderMap) -> Option<String> {
        self.named(LOGIN, headers)
    }

    /// A session's cookie. It ends with the browser; the session itself may end before.
    pub(in crate::admin) fn of_session(self, id: String, headers: &HeaderMap) -> Cookie<'static> {
        self.made(SESSION, id, SameSite::Strict, headers)
    }

    /// Ends a session in the browser.
    pub(in crate::admin) fn end_of_session(self, headers: &HeaderMap) -> Cookie<'static> {
        let mut cookie = self.of_session(String::new(), headers);
        cookie.make_removal();
        cookie
    }

    /// A sign-in's cookie. The provider sends the browser back from elsewhere, which a strict cookie would not survive.
    pub(super) fn of_login(self, value: String, headers: &HeaderMap) -> Cookie<'static> {
        self.made(LOGIN, value, SameSite::Lax, headers)
    }

    /// Ends a sign-in in the browser.
    pub(super) fn end_of_login(self, headers: &HeaderMap) -> Cookie<'static> {
        let mut cookie = self.of_login(String::new(), headers);
        cookie.make_removal();
        cookie
    }

    /// Whether the browser speaks TLS with whatever stands before this listener, which itself speaks none: by the configuration or by what
    /// that one says. Whoever lies about it harms nobody but himself.
    pub(super) fn is_https(self, headers: &HeaderMap) -> bool {
        let scheme = headers.get("x-forwarded-proto");
        self.is_public_https || scheme.is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
    }

    fn named(self, kind: &str, headers: &HeaderMap) -> Option<String> {
        let jar = CookieJar::from_headers(headers);
        jar.get(&self.name(kind, headers))
            .map(|cookie| cookie.value().to_owned())
    }

    fn name(self, kind: &str, headers: &HeaderMap) -> String {
        let prefix = if self.is_https(headers) { "__Host-" } else { "" };
        let port = self.port;
        match shown_port(headers).filter(|shown| *shown != port) {
            Some(shown) => format!("{prefix}{kind}_{port}_{shown}"),
            None => format!("{prefix}{kind}_{port}"),
        }
    }

    fn made(self, kind: &str, value: String, same_site: SameSite, headers: &HeaderMap) -> Cookie<'static> {
        // `__Host-` asks for the root path, no domain, and `Secure`.
        Cookie::build((self.name(kind, headers), value))
            .http_only(true)
            .same_site(same_site)
            .secure(self.is_https(headers))
            .path("/")
            .build()
    }
}

/// The port that the browser has in its address, if it has one there.
fn shown_port(headers: &HeaderMap) -> Option<u16> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    host.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::admin::testing;
    use crate::config::checked::admin::OidcSettings;
    use crate::config::secrets::Secret;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (name.parse().expect("a name"), value.parse().expect("a value"))
        };
        lines.iter().map(line).collect()
    }

    fn cookies(redirect_url: Option<&str>) -> Cookies {
        let issuer: Url = "https://login.example".parse().expect("a URL");
        let oidc = OidcSettings {
            issuer_text: issuer.to_string(),
            issuer,
            client_id: String::new(),
            client_secret: Secret::new(String::new()),
            roles: Vec::new(),
            redirect_url: redirect_url.map(|url| url.parse().expect("a URL")),
        };
        let admin = AdminListener {
            oidc: Some(oidc),
            ..testing::nobody_asked()
        };
        Cookies::new(9_090, &admin)
    }

    #[test]
    fn gateways_on_several_ports_of_a_host_have_cookies_of_their_own() {
        for (host, expected) in [
            ("localhost:9090", "emberway_session_9090=1"),
            ("localhost:9191", "emberway_session_9090_9191=1"),
            ("emberway.example.com", "emberway_session_9090=1"),
            ("[::1]", "emberway_session_9090=1"),
            ("[::1]:9191", "emberway_session_9090_9191=1"),
            ("localhost:many", "emberway_session_9090=1"),
        ] {
            let headers = headers(&[("host", host)]);
            let set = cookies(None).of_session("1".to_owned(), &headers).to_string();
            assert_eq!(set, format!("{expected}; HttpOnly; SameSite=Strict; Path=/"), "{host}");
            let mut back = headers.clone();
            let pair = set.split(';').next().expect("a pair");
            back.insert(
                "cookie",
                format!("emberway_session=0; {pair}").parse().expect("a value"),
            );
            assert_eq!(cookies(None).session(&back).as_deref(), Some("1"), "{host}");
            back.insert("host", "localhost:9292".parse().expect("a value"));
            assert_eq!(cookies(None).session(&back), None, "{host}");
        }
    }

    #[test]
    fn where_the_page_comes_by_https_nothing_else_sees_its_cookies() {
        let by_proxy = headers(&[("host", "e.example"), ("x-forwarded-proto", "HTTPS")]);
        let silent = headers(&[("host", "e.example")]);
        let secure = "__Host-emberway_login_9090=1; HttpOnly; SameSite=Lax; Secure; Path=/";
        let plain = "emberway_login_9090=1; HttpOnly; SameSite=Lax; Path=/";
        for (redirect_url, headers, expected) in [
            (None, &silent, plain),
            (None, &by_proxy, secure),
            (Some("http://localhost:9090/auth/callback"), &silent, plain),
            (Some("https://e.example/auth/callback"), &silent, secure),
        ] {
            let set = cookies(redirect_url).of_login("1".to_owned(), headers).to_string();
            assert_eq!(set, expected, "{redirect_url:?} {headers:?}");
        }
        let mut sent = by_proxy.clone();
        sent.insert("cookie", "emberway_login_9090=1".parse().expect("a value"));
        assert_eq!(
            cookies(None).login(&sent),
            None,
            "set by something that is not encrypted"
        );
    }
}
