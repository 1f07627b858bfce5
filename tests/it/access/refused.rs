//! What whoever asks wrongly is told: with a wrong token, at a path that is none, by a parameter that is not there.

use http::Method;

use super::{ask, world};
use crate::harness::ADMIN_TOKEN;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_counted_wherever_they_are_read() {
    let world = world().await;
    let wrong = [("authorization", "Bearer a-wrong-token")];
    for (path, status) in [
        ("/api/v1/session", 200),
        ("/readyz", 200),
        ("/metrics", 401),
        ("/api/v1/status", 401),
    ] {
        assert_eq!(ask(&world, &Method::GET, path, &wrong).await.status, status, "{path}");
    }
    for path in ["/api/v1/session", "/readyz", "/livez"] {
        assert_eq!(ask(&world, &Method::GET, path, &[]).await.status, 200, "{path}");
    }
    let none = ask(&world, &Method::GET, "/api/v1/status", &[]).await;
    assert_eq!(
        (none.status.as_u16(), none.code().as_str()),
        (401, "invalid_admin_token")
    );
    let counted = async |reason: &str| {
        let series = format!("emberway_admin_auth_failures_total{{reason=\"{reason}\"}}");
        world.metric(&series).await
    };
    assert_eq!(counted("unknown").await, Some(4.0));
    assert_eq!(
        counted("missing").await,
        Some(1.0),
        "to ask who is signed in is no failure"
    );
    for _ in 4..200 {
        ask(&world, &Method::GET, "/readyz", &wrong).await;
    }
    let refused = ask(&world, &Method::GET, "/api/v1/session", &wrong).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (429, "too_many_attempts")
    );
    assert_eq!(
        ask(&world, &Method::GET, "/readyz", &wrong).await.status,
        200,
        "a probe is answered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not_is_refused_with_what_there_is() {
    let world = world().await;
    for path in ["/api/v1/nothing", "/api/v1/fleet/nothing?x=1", "/api/v1/", "/api/v1"] {
        let nothing = ask(&world, &Method::GET, path, &[]).await;
        let told = nothing.json()["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let path = path.split('?').next().unwrap_or_default();
        assert!(
            told.contains(&format!("`{path}`")) && told.contains("`/api/v1/openapi.json`"),
            "{path}: {told}"
        );
        assert_eq!(
            (nothing.status.as_u16(), nothing.code().as_str()),
            (404, "unknown_path")
        );
    }
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let admin = [("authorization", authorization.as_str())];
    for (path, known) in [
        ("/api/v1/series?route=a&since=1h", "it has `by`, `client`, "),
        ("/api/v1/status?since=1h", "nor any other"),
        ("/api/v1/config/versions/1?since=1h", "nor any other"),
        ("/api/v1/session?since=1h", "nor any other"),
    ] {
        let refused = ask(&world, &Method::GET, path, &admin).await;
        let error = &refused.json()["error"];
        assert_eq!(
            (refused.status.as_u16(), error["code"].as_str(), error["param"].as_str()),
            (400, Some("unknown_parameter"), Some("since")),
            "{path}"
        );
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("`since`") && message.contains(known), "{message}");
    }
    // Whoever may not ask is not told what could be asked.
    assert_eq!(
        ask(&world, &Method::GET, "/api/v1/series?since=1h", &[]).await.status,
        401
    );
}
