//! The upstream of `benches/proxy/run.py`: answers every chat completion with the same 400 bytes, after it has read the
//! whole body.
//!
//! That is why it is not an nginx with `return 200`: such an nginx answers before it has read the body, so that a proxy
//! may stop sending it, and every proxy looks better than it is. A body with `"stream":true` is answered with an event
//! at once and one a second until the caller leaves. `GET /count` says how many completions were asked for, which shows
//! that no proxy answered by itself. Prints its address as its only line of output.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use futures_util::stream;
use tokio::net::TcpListener;

const COMPLETION: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1730000000,"model":"gpt-4.1-mini-2025-04-14","choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","content":"All is well with your order.","refusal":null}}],"usage":{"prompt_tokens":1566,"completion_tokens":12,"total_tokens":1578,"prompt_tokens_details":{"cached_tokens":1408,"audio_tokens":0}}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1730000000,\"model\":\"gpt-4.1-mini-2025-04-14\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" more\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// Above any body that is benched.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|connection| {
        // A connection that is already gone fails by itself.
        let _gone = connection.set_nodelay(true);
    });
    let app = Router::new()
        .route("/count", get(count))
        .fallback(complete)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(AtomicU64::new(0)));
    axum::serve(listener, app).await
}

async fn count(State(seen): State<Arc<AtomicU64>>) -> String {
    seen.load(Ordering::Relaxed).to_string()
}

async fn complete(State(seen): State<Arc<AtomicU64>>, body: Bytes) -> Response {
    seen.fetch_add(1, Ordering::Relaxed);
    if memchr::memmem::find(&body, b"\"stream\":true").is_none() {
        return ([(CONTENT_TYPE, "application/json")], COMPLETION).into_response();
    }
    let events = stream::unfold(tokio::time::interval(EVENT_EVERY), async |mut ticks| {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(EVENT), ticks))
    });
    (
        [(CONTENT_TYPE, "text/event-stream; charset=utf-8")],
        Body::from_stream(events),
    )
        .into_response()
}
