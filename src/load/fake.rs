//! A fake endpoint for the driver's own tests: it misbehaves by the name of the model that is asked for.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the fake has been sent.
#[derive(Default)]
pub(super) struct Seen {
    pub bodies: Mutex<Vec<Value>>,
    pub keys: Mutex<HashSet<String>>,
}

/// Serves until the test's runtime ends.
pub(super) async fn serve() -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let app = axum::Router::new().fallback(answer).with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, seen)
}

/// How long the model `slow` takes.
pub(super) const SLOW: Duration = Duration::from_millis(100);
const USAGE: &str = r#"{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":60}}"#;

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = body["model"].as_str().unwrap().to_owned();
    let streamed = body["stream"] == true;
    seen.bodies.lock().push(body);
    if let Some(key) = headers.get("api-key") {
        seen.keys.lock().insert(key.to_str().unwrap().to_owned());
    }
    let role = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
    let token = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
    let mut response = match (model.as_str(), streamed) {
        ("throttled", _) => (
            StatusCode::TOO_MANY_REQUESTS,
            Json(json!({"error": {"code": "429", "message": "…"}})),
        )
            .into_response(),
        ("html", _) => "<html>".into_response(),
        ("slow", false) => {
            tokio::time::sleep(SLOW).await;
            completion()
        }
        ("hang", false) => std::future::pending().await,
        ("hang", true) => events(&[token]).chain(stream::pending()).into(),
        ("cut", false) => broken(&["{\"choices\""]),
        ("cut", true) => broken(&["data: {\"choices\":[]}\n\n"]),
        ("silent", true) => events(&[role, token]).into(),
        ("error-event", true) => events(&[token, r#"{"error":{"code":"upstream_cut"}}"#]).into(),
        (_, true) => events(&[role, token, &format!(r#"{{"choices":[],"usage":{USAGE}}}"#), "[DONE]"]).into(),
        (_, false) => completion(),
    };
    let headers = response.headers_mut();
    if streamed && model != "html" && model != "throttled" {
        headers.insert("content-type", "text/event-stream; charset=utf-8".parse().unwrap());
    }
    headers.insert("x-request-id", "request-1".parse().unwrap());
    headers.insert("x-emberway-deployment", "east/ft".parse().unwrap());
    headers.insert("x-emberway-attempts", "1".parse().unwrap());
    headers.insert("server-timing", "gw;dur=0.5".parse().unwrap());
    response
}

fn completion() -> Response {
    let body = format!(r#"{{"choices":[{{"message":{{"content":"Hi"}}}}],"usage":{USAGE}}}"#);
    ([("content-type", "application/json")], body).into_response()
}

struct Events(stream::BoxStream<'static, Result<String, Infallible>>);

fn events(data: &[&str]) -> Events {
    let chunks: Vec<_> = data.iter().map(|data| Ok(format!("data: {data}\n\n"))).collect();
    Events(stream::iter(chunks).boxed())
}

impl Events {
    fn chain(self, rest: stream::Pending<Result<String, Infallible>>) -> Self {
        Self(self.0.chain(rest).boxed())
    }
}

impl From<Events> for Response {
    fn from(events: Events) -> Self {
        Body::from_stream(events.0).into_response()
    }
}

/// A body whose connection breaks after `chunks`.
fn broken(chunks: &[&'static str]) -> Response {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(*chunk)).collect();
    let end = stream::once(async {
        // hyper writes out what it holds only when the body has nothing ready; an error at once would take the head along.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("broken on purpose"))
    });
    Body::from_stream(stream::iter(chunks).chain(end)).into_response()
}
