//! Who is let in by what is configured and sent.

use axum::http::HeaderMap;
use jsonwebtoken::{EncodingKey, Header, encode};

use super::*;
use crate::admin::testing;
use crate::config::checked::admin::{AdminToken, OidcSettings};
use crate::config::secrets::Secret;
use crate::telemetry::view::FleetView;

fn access() -> Access {
    let token = |name: &str, role| AdminToken {
        name: name.to_owned(),
        token: Secret::new(format!("the-token-of-{name}")),
        role,
    };
    let admin = AdminListener {
        token: Some(Secret::new("the-first".to_owned())),
        tokens: vec![token("ada", Role::Viewer), token("bob", Role::Operator)],
        ..testing::nobody_asked()
    };
    testing::access(&admin)
}

/// How often a credential was refused for this reason.
fn refused(access: &Access, reason: &str) -> u64 {
    let series = format!("emberway_admin_auth_failures_total{{reason=\"{reason}\"}} ");
    let text = access.metrics.render(0, &FleetView::default()).expect("rendered");
    let value = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
    value.map_or(0, |value| value.parse().expect("a number"))
}

async fn called(access: &Access, name: &'static str, value: &str) -> Option<(String, Role, Carried)> {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().expect("a value"));
    let caller = access.caller(&headers).await.ok()?;
    Some((caller.name.to_string(), caller.role, caller.carried))
}

#[tokio::test]
async fn tokens_tell_who_asks_and_with_which_role() {
    let access = access();
    let with = async |token: &str| called(&access, "authorization", &format!("Bearer {token}")).await;
    let known = |name: &str, role| Some((name.to_owned(), role, Carried::Header));
    assert_eq!(with("the-first").await, known("admin", Role::Admin));
    assert_eq!(with("the-token-of-ada").await, known("ada", Role::Viewer));
    assert_eq!(with("the-token-of-bob").await, known("bob", Role::Operator));
    for unknown in ["", "the", "the-firs", "the-token-of-bo", "a.b.c"] {
        assert_eq!(with(unknown).await, None, "{unknown}");
    }
    assert_eq!(called(&access, "authorization", "Basic the-first").await, None);
    assert_eq!(access.offers(), ["token"]);
}

#[tokio::test]
async fn a_session_is_its_holders_until_it_is_ended() {
    let access = access();
    let peer = Peer([127, 0, 0, 1].into());
    let (caller, id) = access.sign_in("the-token-of-bob", peer).expect("signed in");
    assert_eq!((&*caller.name, caller.role), ("bob", Role::Operator));
    let cookie = format!("other=1; emberway_session_9090={id}");
    let with_cookie = async || called(&access, "cookie", &cookie).await;
    let expected = ("bob".to_owned(), Role::Operator, Carried::Cookie);
    assert_eq!(with_cookie().await, Some(expected));
    assert_eq!(called(&access, "cookie", "emberway_session_9090=wrong").await, None);
    let mut headers = HeaderMap::new();
    headers.insert("cookie", cookie.parse().expect("a value"));
    access.sign_out(&headers);
    assert_eq!(with_cookie().await, None);
}

#[test]
fn wrong_tokens_are_counted_and_the_right_one_always_passes() {
    let access = access();
    let (peer, other) = (Peer([10, 0, 0, 1].into()), Peer([10, 0, 0, 2].into()));
    for _ in 0..WRONG_TOKENS_MAX {
        assert_eq!(
            access.sign_in("wrong", peer).map_err(|refusal| refusal.code),
            Err("invalid_admin_token")
        );
    }
    let refused = access.sign_in("wrong", peer).expect_err("too often");
    assert_eq!((refused.status.as_u16(), refused.code), (429, "too_many_attempts"));
    assert!(
        refused.retry_after_s.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "{refused:?}"
    );
    assert!(access.sign_in("the-first", peer).is_ok());
    assert_eq!(
        access.sign_in("wrong", other).map_err(|refusal| refusal.code),
        Err("invalid_admin_token")
    );
}

/// `GET /session` and `/readyz` read credentials as well, and told the right one from wrong ones without counting.
#[tokio::test]
async fn wrong_bearers_are_counted_wherever_they_are_read() {
    let access = access();
    let peer = Some(Peer([10, 0, 0, 1].into()));
    let code = |refused: Result<Option<Caller>, Refusal>| refused.map_err(|refusal| refusal.code);
    let mut headers = HeaderMap::new();
    for _ in 0..2 * WRONG_BEARERS_MAX {
        let refusal = access.let_in(&headers, peer).await.expect_err("nothing was sent");
        assert_eq!(refusal.code, "invalid_admin_token");
        assert_eq!(code(access.recognise(&headers, peer).await), Ok(None));
    }
    assert_eq!(refused(&access, "missing"), u64::from(2 * WRONG_BEARERS_MAX));
    headers.insert("authorization", "Bearer wrong".parse().expect("a value"));
    for _ in 0..WRONG_BEARERS_MAX / 2 {
        assert_eq!(code(access.recognise(&headers, peer).await), Ok(None));
        let refusal = access.let_in(&headers, peer).await.expect_err("wrong");
        assert_eq!(refusal.code, "invalid_admin_token");
    }
    assert_eq!(code(access.recognise(&headers, peer).await), Err("too_many_attempts"));
    let refusal = access.let_in(&headers, peer).await.expect_err("too often");
    assert_eq!(refusal.code, "too_many_attempts");
    assert_eq!(refused(&access, "unknown"), u64::from(WRONG_BEARERS_MAX));
    assert_eq!(refused(&access, "too_many"), 2);
    access.sign_in("wrong", Peer([10, 0, 0, 2].into())).expect_err("wrong");
    assert_eq!(refused(&access, "unknown"), u64::from(WRONG_BEARERS_MAX) + 1);
    headers.insert("authorization", "Bearer the-first".parse().expect("a value"));
    assert!(
        access.let_in(&headers, peer).await.is_ok(),
        "the right one always passes"
    );
}

#[tokio::test]
async fn a_wrong_credential_is_told_apart_from_none() {
    let access = access();
    let told = async |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a value"));
        let refusal = access.let_in(&headers, None).await.expect_err("refused");
        assert_eq!((refusal.status.as_u16(), refusal.code), (401, "invalid_admin_token"));
        assert!(
            refusal.message.contains("`admin.token`"),
            "how to mend it: {}",
            refusal.message
        );
        refusal.message
    };
    for (name, value, expected) in [
        ("x-nothing", "", "no token was sent: "),
        (
            "authorization",
            "Bearer wrong",
            "the token is not one of this gateway's: ",
        ),
        (
            "authorization",
            "Basic the-first",
            "`Authorization` must be `Bearer TOKEN`; ",
        ),
        ("cookie", "emberway_session_9090=0", "the session has ended: "),
    ] {
        let message = told(name, value).await;
        assert!(message.starts_with(expected), "{name} {value}: {message}");
    }
    for reason in ["missing", "unknown", "scheme", "session"] {
        assert_eq!(refused(&access, reason), 1, "{reason}");
    }
}

/// Whoever holds a sound token is not told that it is wrong, nor kept out for asking again.
#[tokio::test]
async fn a_provider_that_cannot_be_asked_is_no_wrong_token() {
    // An error means that another test has set it.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let nobody = "http://127.0.0.1:1";
    let access = testing::access(&AdminListener {
        oidc: Some(OidcSettings {
            issuer: nobody.parse().expect("a URL"),
            issuer_text: nobody.to_owned(),
            client_id: "app".to_owned(),
            client_secret: Secret::new("the-secret".to_owned()),
            roles: vec![("Look".to_owned(), Role::Viewer)],
            redirect_url: None,
        }),
        ..testing::nobody_asked()
    });
    let peer = Some(Peer([10, 0, 0, 1].into()));
    let mut headers = HeaderMap::new();
    let token = encode(&Header::default(), &(), &EncodingKey::from_secret(b"any")).expect("a token");
    headers.insert("authorization", format!("Bearer {token}").parse().expect("a value"));
    for _ in 0..WRONG_BEARERS_MAX {
        let refusal = access.let_in(&headers, peer).await.expect_err("nobody vouches for it");
        assert_eq!(
            (refusal.status.as_u16(), refusal.code, refusal.retry_after_s),
            (503, "provider_unreachable", Some(5)),
            "{}",
            refusal.message
        );
        let asked = access.recognise(&headers, peer).await.map_err(|refusal| refusal.code);
        assert_eq!(asked, Err("provider_unreachable"));
    }
    let all = u64::from(2 * WRONG_BEARERS_MAX);
    assert_eq!(
        ["provider_unreachable", "unknown", "too_many"].map(|reason| refused(&access, reason)),
        [all, 0, 0]
    );
}

#[tokio::test]
async fn without_a_credential_everybody_here_may() {
    let access = testing::access(&testing::nobody_asked());
    let caller = access.caller(&HeaderMap::new()).await.expect("let in");
    assert_eq!((caller.role, caller.carried), (Role::Admin, Carried::Not));
    assert!(access.offers().is_empty() && !access.asks());
}
