//! Asks a running gateway's admin listener, for the commands that do.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};

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
        let answer = request.send().await.map_err(|error| self.unanswered(&error))?;
        let (status, mut url) = (answer.status(), answer.url().clone());
        // What was asked about is known to who asked.
        url.set_query(None);
        let text = answer.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        let message = error::read(text.as_bytes()).message.unwrap_or(text);
        let hint = match status {
            StatusCode::UNAUTHORIZED => "; here by `--token` or `EMBERWAY_ADMIN_TOKEN`",
            _ => "",
        };
        anyhow::bail!("`{url}` answered {status}: {message}{hint}")
    }

    /// Why nobody answered: who was asked, what happened, and how to ask another.
    fn unanswered(&self, error: &reqwest::Error) -> anyhow::Error {
        let why = Unanswered::of(error);
        let (url, why, mend) = (self.url(), why.what(), why.mend());
        anyhow::anyhow!(
            "no answer from the gateway's admin listener at `{url}`: {why}; {mend}, or name another by `--url` or `EMBERWAY_ADMIN_URL`"
        )
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

/// How a listener gave no answer.
#[derive(Debug, PartialEq, Eq)]
enum Unanswered {
    /// Nobody listens there.
    Refused,
    /// Nothing came back for too long.
    TimedOut,
    /// Its name has no address, TLS failed, the connection broke: in the words of who noticed.
    Other(String),
}

impl Unanswered {
    fn of(error: &reqwest::Error) -> Self {
        let first: &dyn std::error::Error = error;
        let causes = || std::iter::successors(Some(first), |cause| cause.source());
        let mut kinds = causes().filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
        if kinds.any(|kind| kind == io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        if error.is_timeout() {
            return Self::TimedOut;
        }
        Self::Other(causes().last().map_or_else(String::new, ToString::to_string))
    }

    fn what(&self) -> String {
        match self {
            Self::Refused => "the connection was refused".to_owned(),
            Self::TimedOut => format!("it timed out after {} s", PATIENCE.as_secs()),
            Self::Other(why) => why.clone(),
        }
    }

    fn mend(&self) -> &'static str {
        match self {
            Self::Refused => "no gateway listens there: start one",
            Self::TimedOut => "look what swallows packets on the way there",
            Self::Other(_) => "look at the address",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(url: &str, patience: Duration) -> String {
        let args = OperatorArgs::new(url.parse().expect("a URL"), None);
        let mut operator = Operator::new(&args).expect("a client");
        operator.client = reqwest::Client::builder()
            .timeout(patience)
            .no_proxy()
            .build()
            .expect("a client");
        let asked = operator.ask(Method::GET, "status", &[], Vec::new()).await;
        asked.expect_err("nobody answers").to_string()
    }

    #[tokio::test]
    async fn who_gives_no_answer_is_named_with_why_and_what_to_do() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = held.local_addr().expect("its address");
        // It takes the connection and says nothing.
        let silent = said(&format!("http://operator:word@{address}"), Duration::from_millis(50)).await;
        let named = format!("no answer from the gateway's admin listener at `http://operator@{address}/`: ");
        assert!(silent.starts_with(&named), "{silent}");
        assert!(
            silent.contains("it timed out after 10 s; look what swallows"),
            "{silent}"
        );
        drop(held);
        let refused = said(&format!("http://{address}"), PATIENCE).await;
        assert!(
            refused.ends_with(
                "the connection was refused; no gateway listens there: start one, or name another by `--url` or `EMBERWAY_ADMIN_URL`"
            ),
            "{refused}"
        );
        let nobody = said("http://nobody.invalid", PATIENCE).await;
        assert!(
            nobody.contains("at `http://nobody.invalid/`: ") && !nobody.contains("refused"),
            "{nobody}"
        );
    }
}
