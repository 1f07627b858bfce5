//! What to send, where, how fast and how long: a value that is checked once, by [`Plan::check`], and then only read.
//!
//! Every number has a ceiling, so that a slip of a digit is an error message and not a machine out of memory.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::Url;

/// Most requests in flight: each holds a task and a connection, and a process has that many file descriptors at best.
pub const MAX_CONCURRENCY: u32 = 20_000;
/// Highest open-loop rate, in requests a second; a single driver does not reach it.
pub const MAX_RATE: f64 = 200_000.0;
/// Most turns of one conversation; Azure takes 2,048 messages a request.
pub const MAX_TURNS: u32 = 1_000;
/// Longest head or tail, in tokens: the largest context window on offer.
pub const MAX_TOKENS: u32 = 1_048_576;
/// Most prompt heads, in number.
pub const MAX_HEADS: u32 = 100_000;
/// Most text held for all heads together, in bytes; they are made once and kept.
pub const MAX_HEAD_BYTES: u64 = 256 * 1024 * 1024;
/// Longest wait for one answer.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(1);
/// The API version of the classic style unless another is given; the newest generally available dated one.
pub const DEFAULT_API_VERSION: &str = "2024-10-21";

/// What one run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to send to.
    pub target: Target,
    /// What the prompts look like.
    pub prompts: PromptShape,
    /// Requests in flight at most, 1 to [`MAX_CONCURRENCY`]. In a closed loop also at least.
    pub concurrency: NonZeroU32,
    /// Open loop: requests a second, whatever the endpoint does. None: closed loop, each worker sends its next request
    /// when its last one has ended.
    pub rate: Option<f64>,
    /// When to stop by itself.
    pub extent: Extent,
    /// Share of the requests that ask for a stream, 0 to 1.
    pub stream_share: f64,
    /// Longest wait for one answer, to its last byte.
    pub timeout: Duration,
    /// Stop at the first failed request.
    pub fail_fast: bool,
    /// Where to write one JSON line per finished request; the file is replaced.
    pub record: Option<PathBuf>,
}

/// Where to send to, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The endpoint without its path, such as `http://127.0.0.1:8080`; with the v1 style a URL ending in `/v1` is taken
    /// as the whole prefix.
    pub base: Url,
    /// Shape of the URL and of a few fields.
    pub style: Style,
    /// `api-version` of the query; none with the classic style means [`DEFAULT_API_VERSION`].
    pub api_version: Option<String>,
    /// The model, or with the classic style the deployment in the path.
    pub model: String,
    /// The header that says who asks; see [`Auth::header`].
    pub credential: Option<(HeaderName, HeaderValue)>,
}

/// The two URL families of Azure OpenAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// `/openai/v1/chat/completions`, model in the body.
    V1,
    /// `/openai/deployments/{model}/chat/completions?api-version=…`.
    Classic,
}

/// How the key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Auth {
    /// `api-key: KEY`, as Azure's SDKs do.
    ApiKey,
    /// `Authorization: Bearer KEY`, as the plain OpenAI client does.
    Bearer,
}

/// The prompts of a run.
#[derive(Debug, Clone)]
pub struct PromptShape {
    /// Number of distinct heads; each conversation takes one at random.
    pub heads: NonZeroU32,
    /// Length of a head, in tokens of about four characters.
    pub head_tokens: u32,
    /// Length of each user message, in tokens; no two of a run are the same.
    pub tail_tokens: u32,
    /// Requests of one conversation; each sends all before it again, answers included.
    pub turns: NonZeroU32,
    /// Limit on the answer that is asked for, in tokens.
    pub max_tokens: u32,
    /// After how many tokens of each head the time of sending stands, to the second, if it does: what follows can hardly be cached.
    pub stamp_after: Option<u32>,
    /// Same seed, same prompts.
    pub seed: u64,
    /// Number of the first conversation. Runs of one seed that count from different numbers share their heads and nothing else.
    pub first_conversation: u64,
}

/// When a run ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// After this many requests.
    Requests(u64),
    /// Nothing is begun after this long; what was begun is finished.
    Duration(Duration),
    /// Never: somebody calls [`super::Run::stop`].
    UntilStopped,
}

/// Why a plan cannot be carried out.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// A number outside its bounds.
    #[error("{name} is `{value}`; it must be {bounds}")]
    OutOfBounds {
        /// The setting, as its flag is called.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        bounds: String,
    },
    /// All heads together are too long.
    #[error(
        "{heads} heads of {head_tokens} tokens are `{bytes}` bytes of text; use fewer or shorter ones, {MAX_HEAD_BYTES} at most"
    )]
    HeadsTooLong {
        /// Number of heads.
        heads: u32,
        /// Tokens of each.
        head_tokens: u32,
        /// Bytes of all.
        bytes: u64,
    },
    /// Not a URL that can be sent to.
    #[error("url `{0}` cannot be sent to; write http:// or https:// and the host, such as http://127.0.0.1:8080")]
    Url(String),
    /// No model.
    #[error("model is empty; give the name a client would ask for")]
    NoModel,
    /// A key that cannot be a header.
    #[error("the key holds characters that a header cannot carry; check it for line breaks and spaces")]
    Key,
}

impl Auth {
    /// The header that carries `key`; it is marked sensitive, so that printing a plan does not print it.
    ///
    /// # Errors
    /// [`PlanError::Key`] when the key holds what a header cannot carry.
    pub fn header(self, key: &str) -> Result<(HeaderName, HeaderValue), PlanError> {
        let (name, text) = match self {
            Auth::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
            Auth::Bearer => (http::header::AUTHORIZATION, format!("Bearer {key}")),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_invalid| PlanError::Key)?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

impl Target {
    /// Reads a base URL.
    ///
    /// # Errors
    /// [`PlanError::Url`] when it is no URL; `127.0.0.1:8080` is none, and `localhost:8080` one that [`Self::chat_url`] refuses.
    pub fn base(text: &str) -> Result<Url, PlanError> {
        text.parse().map_err(|_not_a_url| PlanError::Url(text.to_owned()))
    }

    /// The URL of chat completions.
    ///
    /// # Errors
    /// [`PlanError::Url`] when the base is not http(s) with a host.
    pub fn chat_url(&self) -> Result<Url, PlanError> {
        let refuse = || PlanError::Url(self.base.to_string());
        if !matches!(self.base.scheme(), "http" | "https") || !self.base.has_host() {
            return Err(refuse());
        }
        let mut url = self.base.clone();
        url.set_query(None);
        {
            let mut path = url.path_segments_mut().map_err(|()| refuse())?;
            path.pop_if_empty();
            match self.style {
                Style::V1 if self.base.path().trim_end_matches('/').ends_with("/v1") => {}
                Style::V1 => {
                    path.extend(["openai", "v1"]);
                }
                Style::Classic => {
                    path.extend(["openai", "deployments", self.model.as_str()]);
                }
            }
            path.extend(["chat", "completions"]);
        }
        let version = match self.style {
            Style::V1 => self.api_version.as_deref(),
            Style::Classic => Some(self.api_version.as_deref().unwrap_or(DEFAULT_API_VERSION)),
        };
        if let Some(version) = version {
            url.query_pairs_mut().append_pair("api-version", version);
        }
        Ok(url)
    }
}

impl Plan {
    /// Whether every number is within its bounds and the target can be sent to.
    ///
    /// # Errors
    /// The first thing wrong, named as its flag is.
    pub fn check(&self) -> Result<(), PlanError> {
        let shape = &self.prompts;
        self.target.chat_url()?;
        if self.target.model.is_empty() {
            return Err(PlanError::NoModel);
        }
        within("concurrency", self.concurrency.get(), 1, MAX_CONCURRENCY)?;
        within("heads", shape.heads.get(), 1, MAX_HEADS)?;
        within("head-tokens", shape.head_tokens, 0, MAX_TOKENS)?;
        within("tail-tokens", shape.tail_tokens, 0, MAX_TOKENS)?;
        within("turns", shape.turns.get(), 1, MAX_TURNS)?;
        within("max-tokens", shape.max_tokens, 1, MAX_TOKENS)?;
        within("stream-share", self.stream_share, 0.0, 1.0)?;
        if let Some(rate) = self.rate {
            within("rate", rate, 0.001, MAX_RATE)?;
        }
        within("timeout", self.timeout.as_secs_f64(), 0.001, MAX_TIMEOUT.as_secs_f64())?;
        match self.extent {
            Extent::Requests(number) => at_least("requests", number, 1)?,
            Extent::Duration(length) => at_least("duration", length.as_secs_f64(), 0.001)?,
            Extent::UntilStopped => {}
        }
        let bytes = u64::from(shape.heads.get()) * u64::from(shape.head_tokens) * super::prompt::CHARS_PER_TOKEN as u64;
        if bytes > MAX_HEAD_BYTES {
            return Err(PlanError::HeadsTooLong {
                heads: shape.heads.get(),
                head_tokens: shape.head_tokens,
                bytes,
            });
        }
        Ok(())
    }
}

/// Refuses a number outside `low..=high`, and what is no number.
fn within<N: PartialOrd + Copy + std::fmt::Display>(
    name: &'static str,
    value: N,
    low: N,
    high: N,
) -> Result<(), PlanError> {
    bounded(value >= low && value <= high, name, value, || {
        format!("{low} to {high}")
    })
}

/// Refuses a number below `low`, and what is no number.
fn at_least<N: PartialOrd + Copy + std::fmt::Display>(name: &'static str, value: N, low: N) -> Result<(), PlanError> {
    bounded(value >= low, name, value, || format!("at least {low}"))
}

fn bounded(
    is_within: bool,
    name: &'static str,
    value: impl std::fmt::Display,
    bounds: impl FnOnce() -> String,
) -> Result<(), PlanError> {
    if is_within {
        return Ok(());
    }
    Err(PlanError::OutOfBounds {
        name,
        value: value.to_string(),
        bounds: bounds(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, style: Style, api_version: Option<&str>) -> String {
        let target = Target {
            base: base.parse().unwrap(),
            style,
            api_version: api_version.map(str::to_owned),
            model: "sup/port".to_owned(),
            credential: None,
        };
        target.chat_url().unwrap().to_string()
    }

    #[test]
    fn urls_of_both_styles() {
        let v1 = "http://h:1/openai/v1/chat/completions";
        assert_eq!(url("http://h:1", Style::V1, None), v1);
        assert_eq!(url("http://h:1/", Style::V1, None), v1);
        assert_eq!(url("http://h:1/openai/v1/", Style::V1, None), v1);
        assert_eq!(
            url("http://h:1", Style::V1, Some("preview")),
            format!("{v1}?api-version=preview")
        );
        let classic = "http://h:1/openai/deployments/sup%2Fport/chat/completions?api-version=";
        assert_eq!(url("http://h:1", Style::Classic, None), format!("{classic}2024-10-21"));
        assert_eq!(
            url("http://h:1", Style::Classic, Some("2024-06-01")),
            format!("{classic}2024-06-01")
        );
    }

    #[test]
    fn a_plan_does_not_print_its_key() {
        let header = Auth::Bearer.header("s3cret").unwrap();
        assert_eq!(header.1, "Bearer s3cret");
        assert!(!format!("{header:?}").contains("s3cret"));
        assert_eq!(Auth::ApiKey.header("a\nb"), Err(PlanError::Key));
    }

    #[test]
    fn numbers_have_bounds_and_names() {
        let check = |change: fn(&mut Plan)| {
            let mut plan = super::super::tests::plan("http://h:1");
            change(&mut plan);
            plan.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_plan| {}), Ok(()));
        for (change, expected) in [
            (
                (|plan| plan.stream_share = 1.5) as fn(&mut Plan),
                "stream-share is `1.5`",
            ),
            (|plan| plan.stream_share = f64::NAN, "stream-share is `NaN`"),
            (|plan| plan.rate = Some(0.0), "rate is `0`"),
            (|plan| plan.timeout = Duration::ZERO, "timeout is `0`"),
            (
                |plan| plan.extent = Extent::Requests(0),
                "requests is `0`; it must be at least 1",
            ),
            (
                |plan| plan.extent = Extent::Duration(Duration::ZERO),
                "duration is `0`; it must be at least 0.001",
            ),
            (|plan| plan.target.model.clear(), "model is empty"),
            (|plan| plan.prompts.head_tokens = u32::MAX, "head-tokens is"),
            (
                |plan| (plan.prompts.heads, plan.prompts.head_tokens) = (NonZeroU32::new(1000).unwrap(), 1_000_000),
                "1000 heads of",
            ),
        ] {
            let message = check(change).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
