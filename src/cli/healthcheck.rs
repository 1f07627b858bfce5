//! `emberway healthcheck`: asks a running gateway's admin listener, for container and exec probes where no curl is at hand.
//!
//! The answer is the exit code. A gateway that cannot be reached, is too slow or answers with an error is not healthy; why is
//! said on stderr, which container engines keep.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::output;

/// Flags of `emberway healthcheck`.
#[derive(Debug, clap::Args)]
pub struct HealthcheckArgs {
    /// What to ask: `/livez` says whether the process runs, `/readyz` whether it takes new requests.
    #[arg(
        long,
        env = "EMBERWAY_HEALTHCHECK_URL",
        default_value = "http://127.0.0.1:9090/livez"
    )]
    url: reqwest::Url,
    /// Longest wait for the answer.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "3s")]
    timeout: Duration,
}

/// Exit code 0 if the endpoint answers with a 2xx status in time.
///
/// # Errors
/// When it does not.
pub fn run(args: HealthcheckArgs) -> anyhow::Result<ExitCode> {
    output::runtime()?.block_on(ask(args.url, args.timeout))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks a health endpoint once.
///
/// # Errors
/// When it does not answer with a 2xx status in time.
pub async fn ask(url: reqwest::Url, timeout: Duration) -> anyhow::Result<()> {
    // Whoever came first decides the process's provider; the build has only this one.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("cannot set up the HTTP client")?;
    let status = client.get(url.clone()).send().await?.status();
    anyhow::ensure!(status.is_success(), "`{url}` answered {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    async fn ask_at(base: &str, path: &str) -> Result<(), String> {
        let url = format!("{base}{path}").parse().expect("URL");
        let asked = ask(url, Duration::from_millis(300)).await;
        asked.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn only_a_2xx_in_time_is_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let app = axum::Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .route("/slow", get(std::future::pending::<&str>));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        assert_eq!(ask_at(&base, "/livez").await, Ok(()));
        let refused = ask_at(&base, "/readyz").await.expect_err("503");
        assert_eq!(refused, format!("`{base}/readyz` answered 503 Service Unavailable"));
        ask_at(&base, "/slow").await.expect_err("too slow");
        server.abort();
        let _ = server.await;
        ask_at(&base, "/livez").await.expect_err("nobody listens");
    }
}
