//! Routes: public model names, the pools behind them, and the rules for using them.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::compile::context::Context;
use crate::config::compile::names::Names;
use crate::config::compile::use_limits;
use crate::config::errors::Pointer;
use crate::config::raw::fleet::RawRoute;
use crate::config::raw::rules::{RawFailover, RawFirstToken, RawTimeouts, RawWaiting};
use crate::config::raw::{RawDefaults, RawPolicy};
use crate::config::scalars::DurationText;
use crate::core::ids::RouteId;
use crate::core::placement::policy::Policy;
use crate::core::recovery::budget::BudgetRule;
use crate::core::recovery::hedge::HedgeRule;
use crate::core::recovery::patience::FirstTokenRule;
use crate::core::topology::{Failover, PoolIx, Route, RouteIx, Timeouts, Waiting};

/// What holds where neither the route nor `defaults` says anything; the schema states the same values.
const BUILT_IN_FAILOVER: Failover = Failover {
    max_attempts: 3,
    deadline: Duration::from_mins(5),
    retry_budget: BudgetRule {
        ratio: 0.5,
        min_per_second: 10,
    },
    backoff: Duration::from_millis(100),
    first_token: FirstTokenRule {
        base: Duration::from_secs(15),
        per_1k_tokens: Duration::from_millis(500),
        least: Duration::from_secs(5),
    },
    hedging: HedgeRule { max_share: 0.0 },
};

/// Below this a deadline is probably a mistake in its unit: models hardly begin to answer sooner.
const DEADLINE_LEAST: Duration = Duration::from_secs(1);

/// The same for timeouts.
const BUILT_IN_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    first_byte: Duration::from_secs(30),
    whole_answer: Duration::from_mins(5),
    idle: Duration::from_mins(1),
    total: Duration::from_mins(10),
};

/// The same for waiting.
const BUILT_IN_WAITING: Waiting = Waiting {
    max_wait: Duration::from_secs(5),
    queue: 1_000,
};

/// Compiles routes and the table from model names, aliases included, to them.
pub(super) fn compile(
    context: &mut Context<'_>,
    raw: &[RawRoute],
    defaults: &RawDefaults,
    pools: &Names,
) -> (Vec<Route>, HashMap<Box<str>, RouteIx>) {
    let at = Pointer::root().key("defaults");
    let failover = compile_failover(context, &at.key("failover"), &defaults.failover, &BUILT_IN_FAILOVER);
    let timeouts = compile_timeouts(context, &at.key("timeouts"), &defaults.timeouts, &BUILT_IN_TIMEOUTS);
    let waiting = compile_waiting(context, &at.key("waiting"), &defaults.waiting, &BUILT_IN_WAITING);
    warn_of_long_wait(context, &at, &defaults.waiting, &waiting, &failover);
    let mut models = Names::new("model name");
    let mut by_model = HashMap::new();
    let mut routes = Vec::with_capacity(raw.len());
    for (position, raw) in raw.iter().enumerate() {
        let at = Pointer::root().key("routes").index(position);
        models.add(context, &at.key("name"), &raw.name.0, position);
        by_model.insert(raw.name.0.as_str().into(), RouteIx(position));
        for (index, alias) in raw.aliases.iter().enumerate() {
            models.add(context, &at.key("aliases").index(index), &alias.0, position);
            by_model.insert(alias.0.as_str().into(), RouteIx(position));
        }
        use_limits::warn_of_loose(context, &at, &raw.limits, &raw.client_limits);
        let pool = pools.find(context, &at.key("pool"), &raw.pool.0, &[&["pools", "*", "name"]]);
        let failover = compile_failover(context, &at.key("failover"), &raw.failover, &failover);
        let waiting = compile_waiting(context, &at.key("waiting"), &raw.waiting, &waiting);
        warn_of_long_wait(context, &at, &raw.waiting, &waiting, &failover);
        routes.push(Route {
            id: RouteId::from(raw.name.0.as_str()),
            aliases: raw.aliases.iter().map(|alias| alias.0.clone()).collect(),
            pool: PoolIx(pool.unwrap_or(0)),
            residency: None,
            policy: policy_of(raw.policy.unwrap_or(defaults.policy)),
            failover,
            timeouts: compile_timeouts(context, &at.key("timeouts"), &raw.timeouts, &timeouts),
            waiting,
            limits: use_limits::compile(&raw.limits),
            client_limits: use_limits::compile(&raw.client_limits),
        });
    }
    (routes, by_model)
}

fn policy_of(raw: RawPolicy) -> Policy {
    match raw {
        RawPolicy::Nested => Policy::Nested,
        RawPolicy::RoundRobin => Policy::RoundRobin,
        RawPolicy::LeastBusy => Policy::LeastBusy,
        RawPolicy::HeadHash => Policy::HeadHash,
        RawPolicy::Latency => Policy::Latency,
    }
}

/// What is written, over what holds otherwise.
fn compile_failover(context: &mut Context<'_>, at: &Pointer, raw: &RawFailover, base: &Failover) -> Failover {
    let deadline = or_base(context, &at.key("deadline"), raw.deadline.as_ref(), base.deadline);
    if let Some(written) = raw.deadline.as_ref().filter(|_| deadline < DEADLINE_LEAST) {
        context.warn(
            &at.key("deadline"),
            format!(
                "`{}` is over before most answers begin, so requests would fail",
                written.text()
            ),
            "the time that a client waits for an answer's beginning, such as `30s`; `5m` is the default".to_owned(),
        );
    }
    Failover {
        max_attempts: raw.max_attempts.unwrap_or(base.max_attempts),
        deadline,
        retry_budget: BudgetRule {
            ratio: raw.retry_budget.ratio.unwrap_or(base.retry_budget.ratio),
            min_per_second: raw
                .retry_budget
                .min_per_second
                .unwrap_or(base.retry_budget.min_per_second),
        },
        backoff: or_base(context, &at.key("backoff"), raw.backoff.as_ref(), base.backoff),
        first_token: compile_first_token(context, &at.key("first_token"), &raw.first_token, &base.first_token),
        hedging: HedgeRule {
            max_share: raw.hedging.max_share.unwrap_or(base.hedging.max_share),
        },
    }
}

/// What is written, over what holds otherwise.
fn compile_first_token(
    context: &mut Context<'_>,
    at: &Pointer,
    raw: &RawFirstToken,
    base: &FirstTokenRule,
) -> FirstTokenRule {
    let per_1k_tokens = raw.per_1k_tokens.as_ref();
    FirstTokenRule {
        base: or_base(context, &at.key("base"), raw.base.as_ref(), base.base),
        per_1k_tokens: per_1k_tokens.map_or(base.per_1k_tokens, |text| {
            context.duration(&at.key("per_1k_tokens"), text)
        }),
        least: or_base(context, &at.key("least"), raw.least.as_ref(), base.least),
    }
}

/// What is written, over what holds otherwise.
fn compile_timeouts(context: &mut Context<'_>, at: &Pointer, raw: &RawTimeouts, base: &Timeouts) -> Timeouts {
    let timeouts = Timeouts {
        connect: or_base(context, &at.key("connect"), raw.connect.as_ref(), base.connect),
        first_byte: or_base(context, &at.key("first_byte"), raw.first_byte.as_ref(), base.first_byte),
        whole_answer: or_base(
            context,
            &at.key("whole_answer"),
            raw.whole_answer.as_ref(),
            base.whole_answer,
        ),
        idle: or_base(context, &at.key("idle"), raw.idle.as_ref(), base.idle),
        total: or_base(context, &at.key("total"), raw.total.as_ref(), base.total),
    };
    let written = [
        ("connect", raw.connect.as_ref(), timeouts.connect),
        ("first_byte", raw.first_byte.as_ref(), timeouts.first_byte),
        ("whole_answer", raw.whole_answer.as_ref(), timeouts.whole_answer),
        ("idle", raw.idle.as_ref(), timeouts.idle),
    ];
    for (name, text, limit) in written {
        if let Some(text) = text.filter(|_| limit > timeouts.total) {
            context.warn(
                &at.key(name),
                format!("`{}` never takes effect, since `total` is shorter", text.text()),
                None,
            );
        }
    }
    timeouts
}

/// What is written, over what holds otherwise.
fn compile_waiting(context: &mut Context<'_>, at: &Pointer, raw: &RawWaiting, base: &Waiting) -> Waiting {
    let max_wait = raw.max_wait.as_ref();
    Waiting {
        max_wait: max_wait.map_or(base.max_wait, |text| context.duration(&at.key("max_wait"), text)),
        queue: raw.queue.map_or(base.queue, |queue| queue as usize),
    }
}

/// A wait that is written and that the request's deadline would end first.
fn warn_of_long_wait(
    context: &mut Context<'_>,
    at: &Pointer,
    raw: &RawWaiting,
    waiting: &Waiting,
    failover: &Failover,
) {
    if let Some(written) = raw.max_wait.as_ref().filter(|_| waiting.max_wait >= failover.deadline) {
        let deadline = humantime::format_duration(failover.deadline);
        context.warn(
            &at.key("waiting").key("max_wait"),
            format!(
                "`{}` never takes effect, since `failover.deadline` ({deadline}) ends the request first",
                written.text()
            ),
            "a wait shorter than the deadline, with time left for an attempt".to_owned(),
        );
    }
}

fn or_base(context: &mut Context<'_>, at: &Pointer, written: Option<&DurationText>, base: Duration) -> Duration {
    written.map_or(base, |written| context.positive(at, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn the_schema_states_the_built_in_values() {
        let schema = schema::inlined();
        let defaults = &schema["properties"]["defaults"]["properties"];
        let stated = |group: &str, name: &str| {
            let text = defaults[group]["properties"][name]["default"]
                .as_str()
                .expect(name)
                .to_owned();
            DurationText::try_from(text).expect(name).value()
        };
        let failover = &defaults["failover"]["properties"];
        assert_eq!(failover["max_attempts"]["default"], BUILT_IN_FAILOVER.max_attempts);
        assert_eq!(stated("failover", "deadline"), BUILT_IN_FAILOVER.deadline);
        assert_eq!(stated("failover", "backoff"), BUILT_IN_FAILOVER.backoff);
        let failover = &schema["properties"]["defaults"]["properties"]["failover"]["properties"];
        let budget = &failover["retry_budget"]["properties"];
        assert_eq!(budget["ratio"]["default"], BUILT_IN_FAILOVER.retry_budget.ratio);
        assert_eq!(
            budget["min_per_second"]["default"],
            BUILT_IN_FAILOVER.retry_budget.min_per_second
        );
        assert_eq!(stated("waiting", "max_wait"), BUILT_IN_WAITING.max_wait);
        assert_eq!(
            defaults["waiting"]["properties"]["queue"]["default"],
            BUILT_IN_WAITING.queue
        );
        let first_token = |name: &str| {
            let text = failover["first_token"]["properties"][name]["default"]
                .as_str()
                .expect(name);
            DurationText::try_from(text.to_owned()).expect(name).value()
        };
        assert_eq!(first_token("base"), BUILT_IN_FAILOVER.first_token.base);
        assert_eq!(
            first_token("per_1k_tokens"),
            BUILT_IN_FAILOVER.first_token.per_1k_tokens
        );
        assert_eq!(first_token("least"), BUILT_IN_FAILOVER.first_token.least);
        let hedging = &failover["hedging"]["properties"];
        assert_eq!(hedging["max_share"]["default"], BUILT_IN_FAILOVER.hedging.max_share);
        assert_eq!(stated("timeouts", "connect"), BUILT_IN_TIMEOUTS.connect);
        assert_eq!(stated("timeouts", "first_byte"), BUILT_IN_TIMEOUTS.first_byte);
        assert_eq!(stated("timeouts", "whole_answer"), BUILT_IN_TIMEOUTS.whole_answer);
        assert_eq!(stated("timeouts", "idle"), BUILT_IN_TIMEOUTS.idle);
        assert_eq!(stated("timeouts", "total"), BUILT_IN_TIMEOUTS.total);
    }
}
