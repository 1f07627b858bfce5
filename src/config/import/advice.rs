//! What is said of fields that become nothing here: why, and what to do instead.
//!
//! The table knows LiteLLM's documented fields by name, wherever they stand. A field that is not in it is told too.

use crate::config::import::report::{Grade, Report};
use crate::config::import::source::Node;

use Grade::{Approximate, Exact, Manual, Unsupported};

/// Field, or its beginning before `*`; grade; what is said. The first that fits counts.
const TABLE: &[(&str, Grade, &str)] = &[
    // Sections.
    (
        "guardrails",
        Unsupported,
        "prompts and answers pass as they are; Azure's own content filters go with the deployment",
    ),
    (
        "mcp_*",
        Unsupported,
        "tools are the clients' business; run LiteLLM beside for it",
    ),
    (
        "callback_settings",
        Unsupported,
        "there are no callbacks; metrics are at `/metrics`, records by `emberway usage`, traces by `telemetry.otlp`",
    ),
    ("vector_store_*", Unsupported, "vector stores are asked at Azure itself"),
    (
        "files_settings",
        Unsupported,
        "files and batches are asked at Azure itself",
    ),
    (
        "finetune_settings",
        Unsupported,
        "fine-tuning is asked at Azure itself; `emberway finetune` finds what came of it",
    ),
    ("prompts", Unsupported, "prompts are the clients' business"),
    ("search_tools", Unsupported, "tools are the clients' business"),
    // How requests are changed on their way.
    (
        "drop_params",
        Unsupported,
        "requests pass unchanged: Azure refuses what a deployment does not know, so clients leave it out",
    ),
    (
        "additional_drop_params",
        Unsupported,
        "requests pass unchanged: clients leave it out",
    ),
    ("modify_params", Unsupported, "requests pass unchanged"),
    ("temperature", Unsupported, DEFAULT),
    ("top_p", Unsupported, DEFAULT),
    ("max_tokens", Unsupported, DEFAULT),
    ("max_completion_tokens", Unsupported, DEFAULT),
    ("seed", Unsupported, DEFAULT),
    ("stop", Unsupported, DEFAULT),
    ("presence_penalty", Unsupported, DEFAULT),
    ("frequency_penalty", Unsupported, DEFAULT),
    ("reasoning_effort", Unsupported, DEFAULT),
    ("user", Unsupported, DEFAULT),
    ("extra_body", Unsupported, DEFAULT),
    ("default_litellm_params", Unsupported, DEFAULT),
    (
        "extra_headers",
        Unsupported,
        "headers pass by a list of known ones; nothing is added",
    ),
    (
        "headers",
        Unsupported,
        "headers pass by a list of known ones; nothing is added",
    ),
    (
        "forward_*",
        Unsupported,
        "headers pass by a list of known ones (docs/clients.md)",
    ),
    ("mock_*", Unsupported, "`emberway simulate` stands in for Azure"),
    // Choice and failure.
    (
        "context_window_fallbacks",
        Unsupported,
        "Azure's refusal of a prompt that is too long reaches the client, which can ask another route",
    ),
    (
        "content_policy_fallbacks",
        Unsupported,
        "Azure's refusal by its content filter reaches the client, which can ask another route",
    ),
    (
        "enable_pre_call_checks",
        Unsupported,
        "prompts are not measured against a model's context before the call; Azure refuses those that are too long",
    ),
    (
        "optional_pre_call_checks",
        Approximate,
        "prompts that begin alike stay together by themselves, sessions by `x-session-id` (docs/placement.md)",
    ),
    (
        "deployment_affinity_*",
        Approximate,
        "prompts that begin alike stay together as long as Azure's cache is believed to hold them",
    ),
    (
        "allowed_fails_policy",
        Unsupported,
        "one rule for all kinds of failures: `health`; what each means is in docs/outcomes.md",
    ),
    (
        "max_fallbacks",
        Unsupported,
        "attempts are bounded by `failover.max_attempts`, whatever they are for",
    ),
    ("routing_strategy_args", Unsupported, "policies have no parameters"),
    (
        "routing_groups",
        Unsupported,
        "write `policy` on the routes, and tiers in their pools",
    ),
    ("enable_tag_filtering", Unsupported, NO_TAGS),
    ("tag_*", Unsupported, NO_TAGS),
    ("tags", Unsupported, NO_TAGS),
    ("provider_budget_config", Unsupported, NO_BUDGETS),
    (
        "default_max_parallel_requests",
        Unsupported,
        "write `limits.concurrency` on the routes",
    ),
    (
        "default_priority",
        Unsupported,
        "write `priority` on clients: `interactive` or `batch`",
    ),
    (
        "polling_interval",
        Unsupported,
        "waiting requests are woken when a deployment has room (`waiting`)",
    ),
    (
        "scheduler_*",
        Unsupported,
        "write `priority` on clients, and `waiting` on routes",
    ),
    ("caching_groups", Unsupported, NO_CACHE),
    ("cache_*", Unsupported, NO_CACHE),
    ("cache", Unsupported, NO_CACHE),
    (
        "redis_*",
        Unsupported,
        "replicas share no state and need no Redis: write how many there are into `replicas`",
    ),
    (
        "client_ttl",
        Unsupported,
        "connections are kept as long as they are used",
    ),
    (
        "ignore_invalid_deployments",
        Unsupported,
        "a configuration is used whole or not at all; `emberway check` tells every mistake",
    ),
    ("debug_level", Unsupported, "write `log.filter`"),
    ("router_general_settings", Unsupported, "for LiteLLM's library only"),
    ("alerting_config", Unsupported, ALERTS),
    ("force_ipv4", Unsupported, "the system's name resolution decides"),
    ("ssl_verify", Unsupported, "Azure's certificates are always verified"),
    // What is observed.
    ("success_callback", Unsupported, CALLBACKS),
    ("failure_callback", Unsupported, CALLBACKS),
    ("service_callbacks", Unsupported, CALLBACKS),
    ("callbacks", Unsupported, CALLBACKS),
    (
        "turn_off_message_logging",
        Exact,
        "prompts and answers are never logged",
    ),
    (
        "store_prompts_in_spend_logs",
        Unsupported,
        "prompts and answers are never kept",
    ),
    (
        "redact_user_api_key_info",
        Exact,
        "keys are in no log; clients appear by their names",
    ),
    ("telemetry", Exact, "nothing is sent to anybody"),
    ("langfuse_*", Unsupported, CALLBACKS),
    (
        "prometheus_*",
        Unsupported,
        "what is measured is fixed (docs/metrics.md)",
    ),
    // Keys, people, money.
    (
        "database_url",
        Unsupported,
        "usage goes into the SQLite file `usage.path`; virtual keys, teams and budgets of the database do not come along: write those who call into `clients`",
    ),
    (
        "database_*",
        Unsupported,
        "there is no database but the SQLite file `usage.path`",
    ),
    (
        "store_model_in_db",
        Unsupported,
        "models that were added in LiteLLM's interface are in its database, not in this file: add them by hand",
    ),
    ("supported_db_objects", Unsupported, "there is no database of models"),
    (
        "disable_spend_*",
        Unsupported,
        "a record is kept for each request; `usage.keep_days` bounds how long",
    ),
    (
        "maximum_spend_logs_retention_interval",
        Unsupported,
        "old records are removed by themselves",
    ),
    ("proxy_batch_write_at", Unsupported, "records are written as they come"),
    ("max_budget", Unsupported, NO_BUDGETS),
    ("budget_duration", Unsupported, NO_BUDGETS),
    ("*_budget", Unsupported, NO_BUDGETS),
    ("proxy_budget_*", Unsupported, NO_BUDGETS),
    ("default_team_*", Unsupported, NO_TEAMS),
    ("default_internal_user_params", Unsupported, NO_TEAMS),
    ("team_*", Unsupported, NO_TEAMS),
    (
        "access_groups",
        Unsupported,
        "write `routes` on the clients that may not use all",
    ),
    (
        "key_*",
        Unsupported,
        "keys are written into `clients`, by reference or as a digest",
    ),
    ("custom_auth", Unsupported, "clients are known by their keys"),
    ("custom_*", Unsupported, "no code of others runs in the gateway"),
    ("enable_jwt_auth", Unsupported, "clients are known by their keys"),
    ("litellm_jwtauth", Unsupported, "clients are known by their keys"),
    ("enable_oauth2_*", Unsupported, "clients are known by their keys"),
    ("oauth2_*", Unsupported, "clients are known by their keys"),
    (
        "allowed_routes",
        Unsupported,
        "served are chats, completions, embeddings, Responses and models (docs/clients.md); write `routes` on clients",
    ),
    (
        "admin_only_routes",
        Unsupported,
        "operators have a listener of their own, `admin`",
    ),
    (
        "public_routes",
        Unsupported,
        "only health endpoints of `admin` need no key",
    ),
    ("allowed_ips", Unsupported, "leave that to the network"),
    (
        "use_x_forwarded_for",
        Unsupported,
        "clients are known by their keys, not by addresses",
    ),
    (
        "ui_*",
        Unsupported,
        "there is no such interface; `admin` shows the state",
    ),
    ("litellm_license", Unsupported, "none is needed"),
    (
        "use_azure_key_vault",
        Unsupported,
        "let what starts the gateway put secrets into the environment or into files, for `${file:…}`",
    ),
    (
        "use_google_kms",
        Unsupported,
        "let what starts the gateway put secrets into the environment or into files, for `${file:…}`",
    ),
    ("alert*", Unsupported, ALERTS),
    (
        "spend_report_frequency",
        Unsupported,
        "`emberway usage` and `emberway cost` print reports",
    ),
    ("background_health_checks", Unsupported, NO_PROBES),
    ("health_check_*", Unsupported, NO_PROBES),
    (
        "pass_through_endpoints",
        Unsupported,
        "only Azure OpenAI's inference is served",
    ),
    (
        "use_in_pass_through",
        Unsupported,
        "only Azure OpenAI's inference is served",
    ),
    (
        "max_parallel_requests",
        Unsupported,
        "write `limits.concurrency` on the routes",
    ),
    ("max_response_size_mb", Unsupported, "answers have no bound but time"),
    ("completion_model", Unsupported, "a request names its model"),
    ("embedding_model", Unsupported, "a request names its model"),
    ("image_generation_model", Unsupported, "images are not served"),
    ("moderation_model", Unsupported, "moderations are not served"),
    ("infer_model_from_keys", Unsupported, "models are those of this file"),
    // Of an entry.
    (
        "cooldown_time",
        Unsupported,
        "one time for all deployments: `health.open_for`",
    ),
    (
        "azure_username",
        Unsupported,
        "logging in by password is not offered; see `azure.credential`",
    ),
    (
        "azure_password",
        Unsupported,
        "logging in by password is not offered; see `azure.credential`",
    ),
    (
        "enable_azure_ad_token_refresh",
        Manual,
        "write `azure: { credential: { managed_identity: {} } }` and `credential: { entra: {} }` on the resources, in place of the key that stands in",
    ),
    ("organization", Unsupported, "Azure OpenAI has none"),
    (
        "itpm",
        Unsupported,
        "a deployment's limit is `capacity`; Azure's answers tell how much of it is left",
    ),
    (
        "otpm",
        Unsupported,
        "a deployment's limit is `capacity`; Azure's answers tell how much of it is left",
    ),
    (
        "configurable_clientside_auth_params",
        Unsupported,
        "clients cannot bring credentials of upstreams",
    ),
    (
        "mode",
        Approximate,
        "what a deployment is for follows from the path that clients ask",
    ),
    (
        "supported_environments",
        Unsupported,
        "write a configuration for each environment",
    ),
    ("supports_*", Approximate, "nothing is chosen by it"),
    (
        "max_input_tokens",
        Approximate,
        "nothing is chosen by it: Azure refuses prompts that are too long",
    ),
    ("max_output_tokens", Approximate, "nothing is chosen by it"),
    (
        "litellm_provider",
        Approximate,
        "all deployments here are Azure OpenAI's",
    ),
    (
        "ptu_effective_*",
        Unsupported,
        "`emberway cost` counts PTUs from when a deployment was first seen",
    ),
    (
        "*_cost_per_*",
        Unsupported,
        "prices are for prompt tokens, cached ones and completion tokens, and for an hour",
    ),
];

const DEFAULT: &str = "requests pass unchanged: clients send it themselves";
const NO_TAGS: &str = "nothing is chosen by tags: give each kind of request a route, and clients their `routes`";
const NO_BUDGETS: &str =
    "there are no budgets of money: `limits` bound tokens and requests, `emberway cost` tells what was spent";
const NO_TEAMS: &str = "there are no teams: each that calls is one of `clients`, with its own `routes` and `limits`";
const NO_CACHE: &str = "answers are not kept: Azure's prompt cache is used better instead (docs/placement.md)";
const NO_PROBES: &str =
    "no model is called to see whether it works: requests tell, and breakers are probed by real ones";
const CALLBACKS: &str = "there are no callbacks: metrics are at `/metrics` of `admin`, records by `emberway usage`, traces by `telemetry.otlp`";
const ALERTS: &str = "`alerts.webhook` with `url: ${env:SLACK_WEBHOOK_URL}` tells Slack what people should look at, where `azure` is configured; for the rest there are Prometheus rules in dashboards/";

/// Fields whose `false` asks for something.
const OFF_MATTERS: &[&str] = &["ssl_verify", "ignore_invalid_deployments"];

/// Tells of a field that becomes nothing.
pub(super) fn tell(report: &mut Report, section: &str, name: &str, node: &Node<'_>) {
    // `max_tokens` of a model is what it can do, of a request what it may.
    if section == "model_info" && name == "max_tokens" {
        report.tell(node, Approximate, "nothing is chosen by it");
        return;
    }
    if name.ends_with("callback") || name.ends_with("callbacks") {
        tell_callbacks(report, node);
        return;
    }
    let row = TABLE.iter().find(|(pattern, ..)| fits(pattern, name));
    match row {
        Some((_, Unsupported, _)) if node.truth() == Some(false) && !OFF_MATTERS.contains(&name) => {
            report.tell(node, Exact, "off there, and not to be had here");
        }
        Some((_, grade, remark)) => report.tell(node, *grade, *remark),
        None => report.tell(
            node,
            Unsupported,
            "not known here: look what it does in LiteLLM, and whether you need it",
        ),
    }
}

/// Prometheus is what people mean most often, and it is there.
fn tell_callbacks(report: &mut Report, node: &Node<'_>) {
    let one = node.text().map(|text| (text, node.clone()));
    let several = node.items().into_iter().filter_map(|item| Some((item.text()?, item)));
    let mut told = false;
    for (name, item) in one.into_iter().chain(several) {
        told = true;
        if name == "prometheus" {
            let remark = "metrics are at `/metrics` of `admin`, under other names (docs/metrics.md)";
            report.tell(&item, Approximate, remark);
        } else {
            report.tell(&item, Unsupported, CALLBACKS);
        }
    }
    if !told {
        report.tell(node, Unsupported, CALLBACKS);
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => match after.split_once('*') {
            // `*_cost_per_*`: in the middle.
            Some((middle, _)) => before.is_empty() && name.contains(middle),
            None => name.starts_with(before) && name.ends_with(after),
        },
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_say() {
        let check =
            |pattern: &str, name: &str, expected: bool| assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        check("cache", "cache", true);
        check("cache", "cache_params", false);
        check("redis_*", "redis_password", true);
        check("*_budget", "max_internal_user_budget", true);
        check("*_cost_per_*", "output_cost_per_second", true);
        check("*_cost_per_*", "cost", false);
    }

    #[test]
    fn no_row_is_hidden_by_one_before_it() {
        for (index, (pattern, ..)) in TABLE.iter().enumerate() {
            let example = pattern.replace('*', "x");
            let first = TABLE.iter().position(|(pattern, ..)| fits(pattern, &example));
            assert_eq!(first, Some(index), "`{pattern}` is never reached");
        }
    }
}
