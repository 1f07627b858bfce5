//! `router_settings`, `litellm_settings` and `general_settings`: what holds for all models.
//!
//! What `router_settings` says counts before what `litellm_settings` says of the same, as in LiteLLM. Aliases and fallbacks are only
//! collected here; what becomes of them depends on the models, so `pools` tells.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::import::advice;
use crate::config::import::models::{NO_TIME, seconds};
use crate::config::import::report::{Grade, Report};
use crate::config::import::secrets::{self, Secrets};
use crate::config::import::source::Node;
use crate::config::raw::rules::RawTimeouts;
use crate::config::raw::{RawConfig, RawLogFormat, RawPolicy};
use crate::config::scalars::{DurationText, SecretText, SizeText};

/// Most attempts that a route may have.
pub(super) const ATTEMPTS_MAX: u32 = 16;

/// What a policy for retries may count, and whether it is tried again here at all.
const RETRIED: &[(&str, bool)] = &[
    ("TimeoutErrorRetries", true),
    ("RateLimitErrorRetries", true),
    ("InternalServerErrorRetries", true),
    ("ServiceUnavailableErrorRetries", true),
    ("DefaultRetries", true),
    ("AuthenticationErrorRetries", true),
    ("NotFoundErrorRetries", true),
    ("BadRequestErrorRetries", false),
    ("ContentPolicyViolationErrorRetries", false),
];

/// Groups to fall back to, in order, for one group.
pub(super) struct Fallbacks<'a> {
    pub(super) group: &'a str,
    pub(super) node: Node<'a>,
}

/// What they say of all models.
#[derive(Default)]
pub(super) struct Settings<'a> {
    pub(super) policy: Option<RawPolicy>,
    pub(super) retries: Option<u32>,
    pub(super) policy_retries: Option<u32>,
    pub(super) group_retries: Vec<(&'a str, u32)>,
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    backoff: Option<Duration>,
    allowed_fails: Option<u32>,
    cooldown: Option<Duration>,
    has_no_cooldowns: bool,
    is_verbose: bool,
    is_json: bool,
    keep_days: Option<u32>,
    body_mib: Option<u64>,
    running: Option<usize>,
    pub(super) master_key: Option<SecretText>,
    pub(super) aliases: Vec<(&'a str, Node<'a>)>,
    pub(super) fallbacks: Vec<Fallbacks<'a>>,
    pub(super) default_fallbacks: Option<Node<'a>>,
    seen: BTreeSet<&'a str>,
}

impl<'a> Settings<'a> {
    /// Reads a section; `router_settings` first.
    pub(super) fn read(&mut self, section: &str, node: &Node<'a>, report: &mut Report, secrets: &mut Secrets) {
        for (name, node) in node.fields() {
            let is_known = match section {
                "general_settings" => self.general(name, &node, report, secrets),
                _ => self.routing(name, &node, report) || self.library(name, &node, report),
            };
            if !is_known {
                advice::tell(report, section, name, &node);
            }
        }
    }

    /// Fields of `router_settings`, most of which `litellm_settings` may have too.
    fn routing(&mut self, name: &'a str, node: &Node<'a>, report: &mut Report) -> bool {
        let known = [
            "routing_strategy",
            "num_retries",
            "timeout",
            "stream_timeout",
            "retry_after",
            "allowed_fails",
            "cooldown_time",
            "disable_cooldowns",
            "retry_policy",
            "model_group_retry_policy",
            "model_group_alias",
            "fallbacks",
            "default_fallbacks",
        ];
        let key = if name == "request_timeout" { "timeout" } else { name };
        if !known.contains(&key) {
            return false;
        }
        if !self.seen.insert(key) {
            let remark = "not used: said before, by `router_settings` or under another name, and that counts";
            report.tell(node, Grade::Exact, remark);
            return true;
        }
        match key {
            "routing_strategy" => self.strategy(node, report),
            "num_retries" => self.retries = count(node, report, ATTEMPTS_NOTE),
            "timeout" => self.timeout = time(node, report, TIMEOUT_NOTE),
            "stream_timeout" => {
                self.stream_timeout = time(node, report, "`defaults.timeouts.first_byte`: to a stream's beginning");
            }
            "retry_after" => {
                let remark = "`defaults.failover.backoff`: the first bound of a random wait before the same deployment is asked again";
                self.backoff = time(node, report, remark);
            }
            "allowed_fails" => {
                let remark = "`health.consecutive_failures`, one more: failures in a row, not in a minute";
                self.allowed_fails = count(node, report, remark);
            }
            "cooldown_time" => {
                let remark = "`health.open_for`, after failures; after a 429 a deployment rests as long as Azure says";
                self.cooldown = time(node, report, remark);
            }
            "disable_cooldowns" => self.cooldowns(node, report),
            "retry_policy" => self.policy_retries = retry_policy(node, report),
            "model_group_retry_policy" => {
                let groups = node.fields().into_iter();
                let retries = groups.filter_map(|(group, node)| Some((group, retry_policy(&node, report)?)));
                self.group_retries = retries.collect();
            }
            "model_group_alias" => self.aliases = node.fields(),
            "fallbacks" => self.collect_fallbacks(node, report),
            _ => self.default_fallbacks = Some(node.clone()),
        }
        true
    }

    fn strategy(&mut self, node: &Node<'a>, report: &mut Report) {
        let (policy, grade, remark) = match node.text() {
            Some("least-busy") => (
                Some(RawPolicy::LeastBusy),
                Grade::Approximate,
                "`defaults.policy: least_busy`; without it, prompts that begin alike would stay together (docs/placement.md)",
            ),
            Some("latency-based-routing") => (
                Some(RawPolicy::Latency),
                Grade::Approximate,
                "`defaults.policy: latency`; without it, prompts that begin alike would stay together (docs/placement.md)",
            ),
            Some("simple-shuffle" | "usage-based-routing" | "usage-based-routing-v2" | "cost-based-routing") => (
                None,
                Grade::Approximate,
                "`policy: nested`, the default: prompts that begin alike stay together, the others are shared by weight and room; \
                 `round_robin` takes turns",
            ),
            _ => (
                None,
                Grade::Unsupported,
                "no strategy that is known here: the default, `policy: nested`, is used; others are in docs/config.md",
            ),
        };
        self.policy = policy;
        report.tell(node, grade, remark);
    }

    fn cooldowns(&mut self, node: &Node<'a>, report: &mut Report) {
        if node.truth() == Some(true) {
            self.has_no_cooldowns = true;
            let remark = "`health` asks for so many failures that breakers hardly open; rests after a 429 remain, as Azure asks for them";
            report.tell(node, Grade::Approximate, remark);
        } else {
            report.tell(node, Grade::Exact, "breakers are on, as always");
        }
    }

    fn collect_fallbacks(&mut self, node: &Node<'a>, report: &mut Report) {
        let sets = if node.is_list() {
            node.items()
        } else {
            vec![node.clone()]
        };
        for set in sets {
            if !set.is_object() {
                report.tell(
                    &set,
                    Grade::Unsupported,
                    "not understood: a fallback is `MODEL: [OTHER, …]`",
                );
            }
            for (group, node) in set.fields() {
                if group == "*" {
                    self.default_fallbacks = Some(node);
                } else {
                    self.fallbacks.push(Fallbacks { group, node });
                }
            }
        }
    }

    /// Fields of `litellm_settings` alone.
    fn library(&mut self, name: &str, node: &Node<'a>, report: &mut Report) -> bool {
        match name {
            "set_verbose" => {
                self.is_verbose = node.truth() == Some(true);
                report.tell(
                    node,
                    Grade::Approximate,
                    "`log.filter`; prompts are in no log at any level",
                );
            }
            "json_logs" => {
                self.is_json = node.truth() == Some(true);
                report.tell(node, Grade::Exact, "`log.format`");
            }
            _ => return false,
        }
        true
    }

    fn general(&mut self, name: &str, node: &Node<'a>, report: &mut Report, secrets: &mut Secrets) -> bool {
        match name {
            "master_key" => {
                let target = ("LITELLM_MASTER_KEY", "clients[0].keys[0]", secrets::CLIENT_KEY);
                self.master_key = Some(secrets.secret(report, node, target));
                let remark = "it opens all routes as before, but administers nothing (`admin.token` does), and makes no virtual keys: \
                            give each that calls a client of its own";
                report.tell(node, Grade::Approximate, remark);
            }
            "global_max_parallel_requests" => {
                let most = count(node, report, "`limits.running_requests`; one more is refused with 503")
                    .filter(|most| *most > 0);
                self.running = most.map(|most| most.min(1_048_576) as usize);
            }
            "max_request_size_mb" => {
                let most = count(node, report, "`limits.body_size`, in MiB; 1024 at most").filter(|most| *most > 0);
                self.body_mib = most.map(|most| u64::from(most.min(1_024)));
            }
            "maximum_spend_logs_retention_period" => {
                let days = node.text().and_then(|text| humantime::parse_duration(text).ok());
                self.keep_days = days.map(|time| time.as_secs().div_ceil(86_400).clamp(1, 36_500) as u32);
                match self.keep_days {
                    Some(_) => report.tell(node, Grade::Exact, "`usage.keep_days`, in whole days"),
                    None => report.tell(
                        node,
                        Grade::Unsupported,
                        "no length of time such as `30d`; write `usage.keep_days`",
                    ),
                }
            }
            _ => return false,
        }
        true
    }

    /// Attempts of a request, as far as they say.
    pub(super) fn attempts(&self) -> Option<u32> {
        let retries = self.retries.or(self.policy_retries)?;
        Some(retries.saturating_add(1).min(ATTEMPTS_MAX))
    }

    /// Writes what holds for all into our configuration.
    pub(super) fn apply(&self, raw: &mut RawConfig) {
        raw.defaults.policy = self.policy.unwrap_or_default();
        raw.defaults.failover.max_attempts = self.attempts();
        raw.defaults.failover.backoff = self.backoff.map(text);
        raw.defaults.failover.deadline = deadline(self.timeout).map(text);
        raw.defaults.timeouts = timeouts(self.timeout, self.stream_timeout);
        if self.has_no_cooldowns {
            raw.health.consecutive_failures = 1_000;
            raw.health.failure_ratio = 1.0;
        } else if let Some(fails) = self.allowed_fails {
            raw.health.consecutive_failures = fails.saturating_add(1).min(1_000);
        }
        if let Some(cooldown) = self.cooldown {
            raw.health.open_for = text(cooldown);
        }
        if self.is_verbose {
            "info,emberway=debug".clone_into(&mut raw.log.filter);
        }
        if self.is_json {
            raw.log.format = RawLogFormat::Json;
        }
        raw.usage.keep_days = self.keep_days;
        if let Some(mib) = self.body_mib {
            raw.limits.body_size = SizeText::mib(mib);
        }
        if let Some(running) = self.running {
            raw.limits.running_requests = running;
        }
    }
}

const ATTEMPTS_NOTE: &str = "`defaults.failover.max_attempts`, one more and 16 at most: attempts go to other deployments first, and a budget bounds them in an outage";
const TIMEOUT_NOTE: &str = "`defaults.timeouts.whole_answer`, of one attempt; also `first_byte` where it is under 30 s, `failover.deadline` over 5 min, `total` over 10 min";

/// The most retries of a policy's kinds that are tried again here.
fn retry_policy(node: &Node<'_>, report: &mut Report) -> Option<u32> {
    let mut most = None;
    for (name, node) in node.fields() {
        let is_retried = RETRIED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, retried)| *retried);
        match is_retried {
            Some(true) => {
                let remark = "`failover.max_attempts` is the most of all kinds, and one more; which kinds are tried elsewhere is in docs/outcomes.md";
                most = most.max(count(&node, report, remark));
            }
            Some(false) => {
                let remark = "never tried again: another deployment would refuse it too";
                report.tell(&node, Grade::Unsupported, remark);
            }
            None => advice::tell(report, "retry_policy", name, &node),
        }
    }
    most
}

/// A whole number; what is none is told.
fn count(node: &Node<'_>, report: &mut Report, remark: &str) -> Option<u32> {
    let number = node.whole().and_then(|number| u32::try_from(number).ok());
    match number {
        Some(_) => report.tell(node, Grade::Approximate, remark),
        None => report.tell(node, Grade::Unsupported, "no whole number; write one, not a reference"),
    }
    number
}

/// Seconds; what is none is told.
fn time(node: &Node<'_>, report: &mut Report, remark: &str) -> Option<Duration> {
    let time = node.number().and_then(seconds);
    match time {
        Some(_) => report.tell(node, Grade::Approximate, remark),
        None => report.tell(node, Grade::Unsupported, NO_TIME),
    }
    time
}

/// A time as text, in seconds where it is whole.
pub(super) fn text(time: Duration) -> DurationText {
    if time.subsec_millis() == 0 {
        DurationText::secs(time.as_secs())
    } else {
        DurationText::millis(time.as_millis() as u64)
    }
}

/// The deadline that leaves an attempt the time it may take; none where the built-in one does.
pub(super) fn deadline(timeout: Option<Duration>) -> Option<Duration> {
    timeout.filter(|timeout| *timeout > Duration::from_mins(5))
}

/// Their one time as ours: for the whole answer, and for a stream's beginning where it is short.
pub(super) fn timeouts(whole: Option<Duration>, stream: Option<Duration>) -> RawTimeouts {
    let longest = whole.max(stream);
    RawTimeouts {
        connect: None,
        first_byte: stream
            .or(whole.filter(|whole| *whole < Duration::from_secs(30)))
            .map(text),
        whole_answer: whole.map(text),
        idle: None,
        total: longest.filter(|longest| *longest > Duration::from_mins(10)).map(text),
    }
}
