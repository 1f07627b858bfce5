//! Which top-level request fields, and which API versions, do dated endpoints know? Data only.
//!
//! Dated versions refuse fields they do not know; the undated `/openai/v1` ignores them here. The lists are those
//! of the newest dated version; what older versions lacked is not modelled, except `stream_options`, which a
//! deployment can be told to refuse.

use crate::simulator::request::Operation;

/// Fields of an operation.
pub fn known_fields(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Chat => CHAT,
        Operation::Completions => COMPLETIONS,
        Operation::Embeddings => EMBEDDINGS,
        Operation::Responses => RESPONSES,
    }
}

/// Whether a dated data-plane version exists.
pub fn is_known_version(version: &str) -> bool {
    VERSIONS.contains(&version)
}

const VERSIONS: &[&str] = &[
    "2022-12-01",
    "2023-05-15",
    "2024-02-01",
    "2024-02-15-preview",
    "2024-03-01-preview",
    "2024-04-01-preview",
    "2024-05-01-preview",
    "2024-06-01",
    "2024-07-01-preview",
    "2024-08-01-preview",
    "2024-09-01-preview",
    "2024-10-01-preview",
    "2024-10-21",
    "2024-12-01-preview",
    "2025-01-01-preview",
    "2025-02-01-preview",
    "2025-03-01-preview",
    "2025-04-01-preview",
];

/// Whether a dated version has Responses.
pub fn has_responses(version: &str) -> bool {
    matches!(version, "2025-03-01-preview" | "2025-04-01-preview")
}

const CHAT: &[&str] = &[
    "messages",
    "model",
    "audio",
    "data_sources",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "user_security_context",
    "verbosity",
];

const COMPLETIONS: &[&str] = &[
    "prompt",
    "model",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
];

const EMBEDDINGS: &[&str] = &["input", "model", "dimensions", "encoding_format", "input_type", "user"];

const RESPONSES: &[&str] = &[
    "input",
    "model",
    "background",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
