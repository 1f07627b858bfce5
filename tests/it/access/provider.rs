//! A stand-in for a provider of OpenID Connect, with keys that exist for these tests only: discovery, authorization, tokens, keys.
//!
//! It checks what a provider checks (client, secret, redirect, PKCE) and says what a test has it say.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

/// The application that the gateway is.
pub(super) const CLIENT_ID: &str = "emberway-app";

/// Its secret, as `harness::variables` has it.
const SECRET: &str = "sim-client-secret";

/// Signing keys: name, private key, modulus.
const KEYS: [(&str, &str, &str); 2] = [
    ("first", include_str!("first.pem"), include_str!("first.modulus")),
    ("second", include_str!("second.pem"), include_str!("second.modulus")),
];

/// A running provider.
#[derive(Clone)]
pub(super) struct Provider {
    /// Its URL, which is its issuer.
    pub(super) url: String,
    /// What it does.
    pub(super) desk: Arc<Mutex<Desk>>,
}

/// What a test decides.
pub(super) struct Desk {
    /// The key that signs and is told.
    pub(super) key: usize,
    /// Claims of the next tokens that differ from the right ones.
    pub(super) claims: Value,
    /// Codes that were given, with the query that asked for each.
    codes: HashMap<String, HashMap<String, String>>,
    /// How often the keys were read.
    pub(super) keys_read: u32,
}

impl Provider {
    /// Starts one on a port of its own.
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let provider = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            desk: Arc::new(Mutex::new(Desk {
                key: 0,
                claims: json!({}),
                codes: HashMap::new(),
                keys_read: 0,
            })),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/keys", get(keys))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// A token with the right claims but for these.
    pub(super) fn sign(&self, different: &Value) -> String {
        let desk = self.desk.lock();
        let (name, pem, _) = KEYS[desk.key];
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(name.to_owned());
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key");
        encode(&header, &self.claims(different), &key).expect("signed")
    }

    /// A token that anybody can make: signed by what everybody can read.
    pub(super) fn forge(&self) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(KEYS[0].0.to_owned());
        let key = EncodingKey::from_secret(KEYS[0].2.as_bytes());
        encode(&header, &self.claims(&json!({})), &key).expect("signed")
    }

    fn claims(&self, different: &Value) -> Value {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({
            "iss": self.url, "aud": CLIENT_ID, "sub": "1", "iat": now, "nbf": now, "exp": now + 600,
            "preferred_username": "ada@contoso.example", "roles": ["Emberway.Operate"],
        });
        let members = claims.as_object_mut().expect("an object");
        for (name, value) in different.as_object().expect("an object") {
            members.insert(name.clone(), value.clone());
        }
        claims
    }
}

async fn description(State(provider): State<Provider>) -> Json<Value> {
    let url = &provider.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let mut desk = provider.desk.lock();
    desk.keys_read += 1;
    let (name, _, modulus) = KEYS[desk.key];
    Json(json!({ "keys": [
        // Entra does not say which algorithm a key is for.
        { "kty": "RSA", "use": "sig", "kid": name, "n": modulus, "e": "AQAB" },
    ] }))
}

/// Somebody who signs in at once.
async fn authorize(State(provider): State<Provider>, Query(query): Query<HashMap<String, String>>) -> Response {
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let is_whole = asked("client_id") == CLIENT_ID
        && asked("response_type") == "code"
        && asked("code_challenge_method") == "S256"
        && asked("scope").split(' ').any(|scope| scope == "openid")
        && !asked("nonce").is_empty();
    if !is_whole {
        return (StatusCode::BAD_REQUEST, format!("{query:?}")).into_response();
    }
    let code = format!("code-{}", provider.desk.lock().codes.len());
    let mut back: Url = asked("redirect_uri").parse().expect("a URL");
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", asked("state"));
    provider.desk.lock().codes.insert(code, query);
    Redirect::to(back.as_str()).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT_ID}:{SECRET}")));
    let sent = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let Some(asked) = provider.desk.lock().codes.remove(sent("code")) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(sent("code_verifier")));
    let is_right = headers.get("authorization").is_some_and(|sent| sent == &basic)
        && asked["code_challenge"] == challenge
        && asked["redirect_uri"] == sent("redirect_uri");
    if !is_right {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    let mut different = provider.desk.lock().claims.clone();
    let members = different.as_object_mut().expect("an object");
    members.entry("nonce").or_insert(json!(asked["nonce"]));
    let id_token = provider.sign(&different);
    Json(json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 600, "id_token": id_token }))
        .into_response()
}
