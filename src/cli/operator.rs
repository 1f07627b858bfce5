//! Asks a running gateway's admin listener, for the commands that do.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;

use crate::openai::error;

/// Whom to ask, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct OperatorArgs {
    /// The gateway's admin listener.
    #[arg(long, env = "EMBERWAY_ADMIN_URL", default_value = "http://127.0.0.1:9090")]
    url: reqwest::Url,
    /// The admin token, if one is configured.
    #[arg(long, env = "EMBERWAY_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl OperatorArgs {
    /// As flags would say it.
    pub fn new(url: reqwest::Url, token: Option<String>) -> Self {
        Self { url, token }
    }
}

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client for the admin listener.
#[derive(Debug)]
pub struct Operator {
    client: reqwest::Client,
    args: OperatorArgs,
}

impl Operator {
    /// Ready to ask.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(args: &OperatorArgs) -> anyhow::Result<Self> {
        // Whoever came first decides the process's provider; the build has only this one.
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self {
            client,
            args: args.clone(),
        })
    }

    /// Whom it asks, without a password that the URL may hold.
    pub fn url(&self) -> String {
        let mut url = self.args.url.clone();
        // A URL that cannot have one has none.
        let _none_to_hide = url.set_password(None);
        url.into()
    }

    /// A request, with the token.
    ///
    /// # Errors
    /// When the listener's URL cannot have a path.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let mut url = self.args.url.join(path).context("`--url` has no host")?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        Ok(match &self.args.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// Sends a request, and returns the answer's text.
    ///
    /// # Errors
    /// When there is no answer, or it is a refusal; then with the refusal's message.
    pub async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        let answer = request
            .send()
            .await
            .context("no answer from the gateway's admin listener")?;
        let (status, mut url) = (answer.status(), answer.url().clone());
        // What was asked about is known to who asked.
        url.set_query(None);
        let text = answer.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        let message = error::read(text.as_bytes()).message.unwrap_or(text);
        anyhow::bail!("`{url}` answered {status}: {message}")
    }

    /// Both at once.
    ///
    /// # Errors
    /// As for each.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<String> {
        self.answer(self.request(method, path, query)?.body(body)).await
    }
}
