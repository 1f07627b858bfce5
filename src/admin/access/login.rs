//! `GET /auth/login` and `GET /auth/callback`: a browser's way to the provider of OpenID Connect and back; and the session that begins.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;

use crate::admin::access::attempts::Attempts;
use crate::admin::access::oidc::{Oidc, OidcError};
use crate::admin::access::refused::Unknown;
use crate::admin::access::{Access, Caller};
use crate::admin::api::answer::Refusal;
use crate::admin::{Sources, page};
use crate::telemetry::events::access::{SignInRefused, SignedIn};

/// Longest path that a sign-in may end at.
const TO_CHARS_MAX: usize = 1_000;

/// Longest text of a provider that is shown.
const TOLD_CHARS_MAX: usize = 200;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(in crate::admin) struct Peer(pub(in crate::admin) IpAddr);

impl Access {
    /// Begins a session for whoever holds this token, and gives its id.
    pub(in crate::admin) fn sign_in(&self, token: &str, peer: Peer) -> Result<(Caller, String), Refusal> {
        let Some(caller) = self.holder(token.as_bytes()) else {
            return Err(self.refuse(&Unknown::WrongToken, Some((&self.wrong_tokens, peer))));
        };
        Ok((caller.clone(), self.begin(caller, Instant::now())))
    }

    /// Ends the session that a request names, if it names one.
    pub(in crate::admin) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(id) = self.cookies.session(headers) {
            self.sessions.end(&id);
        }
    }

    fn begin(&self, caller: Caller, now: Instant) -> String {
        SignedIn {
            name: &caller.name,
            role: caller.role.as_ref(),
        }
        .emit();
        self.sessions.begin(caller, now)
    }
}

/// Counts an attempt.
///
/// # Errors
/// When there were too many from this address lately.
pub(super) fn count(attempts: &Attempts, peer: Peer) -> Result<(), Refusal> {
    let now = Instant::now();
    attempts.may(peer.0, now).map_err(too_often)?;
    attempts.count(peer.0, now);
    Ok(())
}

fn too_often(left: std::time::Duration) -> Refusal {
    let seconds = left.as_secs() + 1;
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("too many attempts; try again in {seconds} s"),
        "too_many_attempts",
    )
    .retry_after(seconds)
}

/// Where a sign-in is to end.
#[derive(Deserialize)]
pub(in crate::admin) struct To {
    #[serde(default, rename = "return")]
    to: String,
}

/// Sends a browser to the provider.
pub(in crate::admin) async fn login(
    State(sources): State<Arc<Sources>>,
    Extension(peer): Extension<Peer>,
    Query(To { to }): Query<To>,
    headers: HeaderMap,
) -> Response {
    let Some(oidc) = &sources.access.oidc else {
        return page::not_served().into_response();
    };
    let now = Instant::now();
    if let Err(left) = sources.access.logins.may(peer.0, now) {
        return too_often(left).into_response();
    }
    sources.access.logins.count(peer.0, now);
    let begun = match come_back(&sources.access, oidc, &headers) {
        Some(redirect) => oidc.begin(redirect, inside(&to).to_owned()).await,
        None => Err(OidcError::Redirect("the request has no `host`".to_owned())),
    };
    match begun {
        Ok(login) => {
            let jar = CookieJar::new().add(sources.access.cookies.of_login(login.cookie, &headers));
            (jar, Redirect::to(login.url.as_str())).into_response()
        }
        Err(error) => refused(&error),
    }
}

/// What the provider sends a browser back with.
#[derive(Deserialize)]
pub(in crate::admin) struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Takes a browser back from the provider.
pub(in crate::admin) async fn callback(
    State(sources): State<Arc<Sources>>,
    Query(back): Query<Back>,
    headers: HeaderMap,
) -> Response {
    let Some(oidc) = &sources.access.oidc else {
        return page::not_served().into_response();
    };
    let cookie = sources.access.cookies.login(&headers).unwrap_or_default();
    let finished = if let Some(code) = back.code {
        oidc.finish(&back.state, &cookie, code).await
    } else if oidc.end(&back.state, &cookie) {
        let told = back.error_description.or(back.error);
        Err(OidcError::NoToken(
            told.map_or_else(|| "it sent no code".to_owned(), |told| in_short(&told)),
        ))
    } else {
        // Anybody can make a browser come here with any text.
        Err(OidcError::NotBegun)
    };
    match finished {
        Ok((caller, to)) => {
            let id = sources.access.begin(caller, Instant::now());
            let cookies = sources.access.cookies;
            let jar = CookieJar::new()
                .add(cookies.of_session(id, &headers))
                .add(cookies.end_of_login(&headers));
            let home = oidc
                .redirect_url()
                .and_then(|url| url.path().strip_suffix("/auth/callback"));
            (jar, Redirect::to(&format!("{}{to}", home.unwrap_or_default()))).into_response()
        }
        Err(error) => refused(&error),
    }
}

/// What a provider says, as far as it is shown.
fn in_short(told: &str) -> String {
    told.chars()
        .filter(|told| !told.is_control())
        .take(TOLD_CHARS_MAX)
        .collect()
}

/// The address that the provider sends a browser back to.
fn come_back(access: &Access, oidc: &Oidc, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = oidc.redirect_url() {
        return Some(url.to_string());
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let scheme = if access.cookies.is_https(headers) {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{host}/auth/callback"))
}

/// The path if it leads to this page, else its root: nobody is to be sent elsewhere from here.
fn inside(to: &str) -> &str {
    let is_inside = to.starts_with('/')
        && !to.starts_with("//")
        && to.len() <= TO_CHARS_MAX
        && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && to.split('#').next().is_some_and(|path| path.parse::<Uri>().is_ok());
    if is_inside { to } else { "/" }
}

fn refused(error: &OidcError) -> Response {
    SignInRefused { error }.emit();
    let status = match error {
        OidcError::Provider { .. } => StatusCode::BAD_GATEWAY,
        OidcError::NotBegun | OidcError::Redirect(_) => StatusCode::BAD_REQUEST,
        OidcError::NoToken(_) | OidcError::BadToken(_) => StatusCode::UNAUTHORIZED,
        OidcError::NoRole(_) => StatusCode::FORBIDDEN,
    };
    page::plain(status, "Not signed in", &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_cut() {
        assert_eq!(in_short("a\u{1b}[31m\nb"), "a[31mb");
        assert_eq!(in_short(&"é".repeat(300)).chars().count(), TOLD_CHARS_MAX);
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for own in ["/", "/#/latency?range=1h&route=a", "/?x=1"] {
            assert_eq!(inside(own), own);
        }
        let long = format!("/{}", "x".repeat(TO_CHARS_MAX));
        for other in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nb",
            "/é",
            &long,
        ] {
            assert_eq!(inside(other), "/", "{other}");
        }
    }
}
