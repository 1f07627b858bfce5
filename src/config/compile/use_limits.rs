//! Limits of clients and routes.

use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::rules::RawUseLimits;
use crate::core::admission::limit::LimitRule;

/// Compiles one set of limits.
pub(super) fn compile(raw: &RawUseLimits) -> LimitRule {
    LimitRule {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        concurrency: raw.concurrency,
    }
}

/// Remarks on limits of each client of a route that all clients together reach first.
pub(super) fn warn_of_loose(context: &mut Context<'_>, route: &Pointer, all: &RawUseLimits, each: &RawUseLimits) {
    let pairs = [
        ("requests_per_minute", all.requests_per_minute, each.requests_per_minute),
        ("tokens_per_minute", all.tokens_per_minute, each.tokens_per_minute),
        ("concurrency", all.concurrency, each.concurrency),
    ];
    for (name, all, each) in pairs {
        if let (Some(all), Some(each)) = (all, each)
            && each >= all
        {
            context.warn(
                &route.key("client_limits").key(name),
                format!("`{each}` for each client never takes effect, since `limits.{name}` lets all clients together have {all}"),
                None,
            );
        }
    }
}
