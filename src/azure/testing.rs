//! A server for tests that gives prepared answers in turn and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

/// A prepared answer.
pub(super) struct Prepared {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// The server.
#[derive(Clone)]
pub(super) struct Server {
    /// Its base URL.
    pub(super) url: Url,
    answers: Arc<Mutex<VecDeque<Prepared>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = Url::parse(&format!("http://{}/", listener.local_addr().expect("an address"))).expect("a URL");
        let server = Self {
            url,
            answers: Arc::default(),
            seen: Arc::default(),
        };
        let app = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    /// Prepares the next answer; in header values `{url}` stands for the server's own URL.
    pub(super) fn then(&self, status: u16, headers: &[(&'static str, &str)], body: impl Into<Value>) -> &Self {
        let body: Value = body.into();
        let own = self.url.as_str().trim_end_matches('/');
        let fill = |text: &str| text.replace("{url}", own);
        let body = if body.is_null() {
            String::new()
        } else {
            fill(&body.to_string())
        };
        let headers = headers.iter().map(|(name, value)| (*name, fill(value))).collect();
        self.answers.lock().push_back(Prepared { status, headers, body });
        self
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Method, path and query of what came.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response<axum::body::Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1024 * 1024).await.expect("a body");
    server.seen.lock().push(Seen {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let prepared = server.answers.lock().pop_front();
    let Prepared { status, headers, body } = prepared.unwrap_or(Prepared {
        status: 418,
        headers: Vec::new(),
        body: "nothing prepared".to_owned(),
    });
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).expect("an answer")
}
