//! Bodies that arrive slowly: given up after a time, so that whoever reaches the port cannot hold connections by them.

use std::io;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

/// Longest time for a body of whoever is known; the others' are not read, that of signing in apart.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_mins(1);
/// The same for signing in, whose body is a token.
pub(super) const SIGN_IN_TIME_MAX: Duration = Duration::from_secs(10);

/// The middleware of what reads a body for so long at most.
pub(super) async fn bound(State(time_max): State<Duration>, request: Request, next: Next) -> Response {
    next.run(request.map(|body| bounded(body, time_max))).await
}

fn bounded(body: Body, time_max: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let until = Instant::now() + time_max;
    let parts = stream::unfold(body.into_data_stream(), move |mut body| async move {
        let part = match timeout_at(until, body.next()).await {
            Ok(part) => part?.map_err(BoxError::from),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the body took too long to arrive").into()),
        };
        Some((part, body))
    });
    Body::from_stream(parts)
}

#[cfg(test)]
mod tests {
    use axum::body::{Bytes, to_bytes};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_and_one_in_time_is_not() {
        let drip = |parts: usize| {
            let parts = stream::iter(0..parts).then(|_| async {
                // The clock is paused: a second of its time between two bytes.
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, io::Error>(Bytes::from_static(b"x"))
            });
            bounded(Body::from_stream(parts), Duration::from_secs(10))
        };
        assert_eq!(to_bytes(drip(9), 100).await.expect("in time").len(), 9);
        let error = to_bytes(drip(11), 100).await.expect_err("too slow");
        assert!(format!("{error:?}").contains("too long"), "{error:?}");
    }
}
