//! A server that answers everything alike, with what no service of Azure would say.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::response::IntoResponse as _;

/// What a proxy shows instead of what was asked for.
const PAGE: &str =
    "<html><head><title>Sign in to the network</title></head><body>Please accept the terms of use.</body></html>";

/// An answer.
#[derive(Clone)]
pub(super) struct Rubbish {
    status: u16,
    kind: &'static str,
    location: &'static str,
    body: &'static str,
}

impl Rubbish {
    /// A web page.
    pub(super) fn page(status: u16) -> Self {
        Self {
            status,
            kind: "text/html",
            location: "",
            body: PAGE,
        }
    }

    /// A redirection to a page for logging in.
    pub(super) fn redirect() -> Self {
        Self {
            location: "https://portal.example/login",
            ..Self::page(302)
        }
    }

    /// JSON.
    pub(super) fn json(body: &'static str) -> Self {
        Self {
            kind: "application/json",
            body,
            ..Self::page(200)
        }
    }

    /// Serves it for the rest of the test, and tells where.
    pub(super) async fn start(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = async move || {
            let status = StatusCode::from_u16(self.status).expect("a status");
            let headers = [(CONTENT_TYPE, self.kind), (LOCATION, self.location), (RETRY_AFTER, "0")];
            (status, headers, self.body).into_response()
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        url
    }
}
