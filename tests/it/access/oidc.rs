//! Signing in by OpenID Connect, and sending the provider's tokens, against a stand-in.

use http::StatusCode;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use super::provider::{CLIENT_ID, Provider};
use crate::harness::{Answer, Setup, World, client, eventually, read};

/// A gateway whose operators are at this provider.
async fn world(provider: &Provider) -> World {
    let admin = format!(
        "oidc: {{ issuer: '{}', client_id: {CLIENT_ID}, client_secret: '${{env:CLIENT_SECRET}}', \
         roles: {{ viewer: [Emberway.Look], operator: [Emberway.Operate], admin: [Emberway.All] }} }}",
        provider.url
    );
    World::start(Setup {
        admin: admin.leak(),
        ..Setup::default()
    })
    .await
}

/// A browser: it keeps cookies and goes where it is told only when asked to.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(world: &World) -> Self {
        Self {
            http: client(|builder| builder.redirect(Policy::none())),
            base: format!("http://{}", world.gateway.admin_address()),
            cookies: Vec::new(),
        }
    }

    async fn get(&mut self, url: &str) -> Answer {
        let url = if url.starts_with('/') {
            format!("{}{url}", self.base)
        } else {
            url.to_owned()
        };
        let mut request = self.http.get(&url);
        if url.starts_with(&self.base) && !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let answer = read(request.send().await.expect("an answer")).await;
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().expect("text");
            assert!(set.contains("HttpOnly"), "{set}");
            let (name, value) = set
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// To the provider and back, up to the address that the provider sends it to.
    async fn sent_to_provider(&mut self, path: &str) -> String {
        let begun = self.get(path).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{begun:?}");
        let there = self.get(begun.header("location")).await;
        assert_eq!(there.status, StatusCode::SEE_OTHER, "{there:?}");
        there.header("location").to_owned()
    }

    async fn session(&mut self) -> Value {
        self.get("/api/v1/session").await.json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_at_the_provider() {
    let provider = Provider::start().await;
    let world = world(&provider).await;
    let mut browser = Browser::new(&world);
    let stranger = json!({ "signed_in": false, "offers": ["oidc"], "version": env!("CARGO_PKG_VERSION") });
    assert_eq!(browser.session().await, stranger);
    let back = browser.sent_to_provider("/auth/login?return=/%23/fleet").await;
    let done = browser.get(&back).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/#/fleet"),
        "{done:?}"
    );
    let told = browser.session().await;
    assert_eq!(
        (&told["name"], &told["role"], &told["auth"]),
        (&json!("ada@contoso.example"), &json!("operator"), &json!("oidc"))
    );
    assert_eq!(browser.get("/api/v1/status").await.status, 200);
    let strict = done.headers.get_all("set-cookie").iter().any(|set| {
        let set = set.to_str().expect("text");
        set.starts_with("emberway_session_") && set.contains("SameSite=Strict")
    });
    assert!(strict, "{done:?}");
    // A code is spent, and so is what this side knew of it.
    assert_eq!(browser.get(&back).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_may_not_say_lets_nobody_in() {
    let provider = Provider::start().await;
    let world = world(&provider).await;
    for (claims, status) in [
        (json!({ "nonce": "another" }), StatusCode::UNAUTHORIZED),
        (json!({ "aud": "another-app" }), StatusCode::UNAUTHORIZED),
        (json!({ "iss": "https://login.example" }), StatusCode::UNAUTHORIZED),
        (json!({ "exp": 1_000_000_000 }), StatusCode::UNAUTHORIZED),
        (json!({ "roles": ["Other"] }), StatusCode::FORBIDDEN),
        (json!({ "roles": [] }), StatusCode::FORBIDDEN),
    ] {
        provider.desk.lock().claims = claims.clone();
        let mut browser = Browser::new(&world);
        let back = browser.sent_to_provider("/auth/login").await;
        let refused = browser.get(&back).await;
        assert_eq!(refused.status, status, "{claims}: {}", refused.text());
        assert_eq!(browser.session().await["signed_in"], false, "{claims}");
    }
    provider.desk.lock().claims = json!({});
    // Another browser cannot end a sign-in that this one began, nor can this one after that.
    let mut browser = Browser::new(&world);
    let back = browser.sent_to_provider("/auth/login").await;
    let mut other = Browser::new(&world);
    other.sent_to_provider("/auth/login").await;
    for browser in [&mut other, &mut browser] {
        assert_eq!(browser.get(&back).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(browser.session().await["signed_in"], false);
    }
    let sent_back = "/auth/callback?error=access_denied&error_description=%3Cb%3Eno";
    let anybody = browser.get(sent_back).await;
    assert!(
        anybody.status == 400 && !anybody.text().contains("&lt;b&gt;no"),
        "{anybody:?}"
    );
    let back = browser.sent_to_provider("/auth/login").await;
    let state = back
        .split(['?', '&'])
        .find(|part| part.starts_with("state="))
        .expect("a state");
    let told = browser.get(&format!("{sent_back}&{state}")).await;
    assert!(told.status == 401 && told.text().contains("&lt;b&gt;no"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_send_the_providers_tokens() {
    let provider = Provider::start().await;
    let world = world(&provider).await;
    let url = format!("http://{}/api/v1/status", world.gateway.admin_address());
    let with = async |token: String| {
        let asked = world.client.get(&url).bearer_auth(token);
        let answer = read(asked.send().await.expect("an answer")).await;
        (
            answer.status.as_u16(),
            if answer.status == 200 {
                String::new()
            } else {
                answer.code()
            },
        )
    };
    let let_in = (200, String::new());
    assert_eq!(with(provider.sign(&json!({}))).await, let_in);
    assert_eq!(
        with(provider.sign(&json!({ "aud": format!("api://{CLIENT_ID}") }))).await,
        let_in
    );
    let nobody = (401, "invalid_admin_token".to_owned());
    for wrong in [
        json!({ "aud": "another-app" }),
        json!({ "aud": null }),
        json!({ "iss": "https://login.example" }),
        json!({ "exp": 1_000_000_000 }),
        json!({ "exp": null }),
        json!({ "nbf": 4_000_000_000_u64 }),
    ] {
        assert_eq!(with(provider.sign(&wrong)).await, nobody, "{wrong}");
    }
    assert_eq!(with(provider.forge()).await, nobody);
    let mut changed = provider.sign(&json!({}));
    changed.replace_range(changed.len() - 8.., "AAAAAAAA");
    assert_eq!(with(changed).await, nobody);
    let no_role = provider.sign(&json!({ "roles": ["Other"] }));
    assert_eq!(with(no_role).await, (403, "no_role".to_owned()));
    // Its keys were read once for all that.
    assert_eq!(provider.desk.lock().keys_read, 1);
    provider.desk.lock().key = 1;
    eventually("the new key", || async {
        (with(provider.sign(&json!({}))).await == let_in).then_some(())
    })
    .await;
    assert_eq!(provider.desk.lock().keys_read, 2);
}
