//! One run: a trace through replicas to deployments, request by request, in the trace's own time.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::knowledge::{Knowledge, OUTAGE_REST};
use super::money::Tokens;
use super::policy::{Asked, Policy, PolicyName, Source};
pub use super::provider::Provider;
use super::provider::{Deployment, MINUTE};
use super::published::published;
use super::shipped::shipped;
use super::trace::{Request, Trace};
use crate::core::placement::rendezvous;
use crate::core::placement::rule::Rule;

/// Whether `prompt_cache_key` is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum CacheKeys {
    /// Never.
    Off,
    /// Where reported cached tokens say that it pays.
    Auto,
    /// Wherever a head is hot enough to need it.
    Always,
}

/// A region without its deployments for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// Which region, from 0.
    pub region: usize,
    /// From when, in seconds of the trace.
    pub from: f64,
    /// Until when.
    pub until: f64,
}

/// Everything that a run depends on but trace and policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Deployments, all alike.
    pub deployments: usize,
    /// Gateways that share nothing; a request comes to any of them.
    pub replicas: usize,
    /// Each deployment's tokens a minute, as a multiple of its fair share of the trace's; none for no limit.
    pub limit_factor: Option<f64>,
    /// Each deployment's tokens a minute; counts in place of `limit_factor`.
    pub tokens_per_minute: Option<f64>,
    /// What a deployment is.
    pub provider: Provider,
    /// How long a cache keeps what nobody asks for, in seconds.
    pub idle_seconds: f64,
    /// Whether `prompt_cache_key` is sent; by the shipped policy only.
    pub cache_keys: CacheKeys,
    /// Regions that the deployments are spread over, in turn.
    pub regions: usize,
    /// Whether placement knows the regions, so that a head's homes span them.
    pub spans_regions: bool,
    /// A region that fails.
    pub outage: Option<Outage>,
    /// Chance.
    pub seed: u64,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            deployments: 8,
            replicas: 1,
            limit_factor: Some(2.0),
            tokens_per_minute: None,
            provider: Provider::Engine,
            idle_seconds: 600.0,
            cache_keys: CacheKeys::Off,
            regions: 1,
            spans_regions: true,
            outage: None,
            seed: 1,
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Cached ÷ prompt tokens.
    pub hit: f64,
    /// Busiest deployment over mean, whole trace.
    pub imbalance: f64,
    /// The same of each minute: the median.
    pub w50: f64,
    /// The same: the 95th percentile.
    pub w95: f64,
    /// Refused attempts per request.
    pub refused: f64,
    /// Requests that nobody took, per request.
    pub failed: f64,
    /// Prompt tokens of each deployment over the trace's time.
    pub load: Load,
    /// Tokens of the requests that were let in.
    pub taken: Tokens,
    /// Where each request went; none where nobody took it.
    pub placed: Vec<Option<u8>>,
    /// Cached tokens beyond what was really cached, over the requests that were let in and tell it; none where none does.
    pub saved: Option<i64>,
}

impl Outcome {
    /// Requests that nobody took.
    pub fn failed_requests(&self) -> usize {
        self.placed.iter().filter(|placed| placed.is_none()).count()
    }
}

/// Prompt tokens of each deployment, step by step of the trace's time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// Seconds of a step: a minute, or the part of one that a short trace needs to have several.
    pub step_seconds: u64,
    /// By number of the step; those in which nothing came are not there.
    pub steps: BTreeMap<u64, Vec<u64>>,
}

/// Lengths of a step, in seconds: all are whole parts of a minute.
const STEPS: [u64; 7] = [60, 30, 20, 10, 5, 2, 1];
/// Steps that a trace should have.
const STEPS_MIN: f64 = 12.0;

impl Load {
    /// None yet, of a trace of so many seconds.
    fn of(seconds: f64) -> Self {
        let fits = |step: &u64| seconds / *step as f64 >= STEPS_MIN;
        Self {
            step_seconds: STEPS.into_iter().find(fits).unwrap_or(1),
            steps: BTreeMap::new(),
        }
    }

    /// The same by whole minutes.
    fn minutes(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut minutes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (step, tokens) in &self.steps {
            let minute = minutes.entry(step * self.step_seconds / MINUTE as u64);
            let sums = minute.or_insert_with(|| vec![0; tokens.len()]);
            for (sum, tokens) in sums.iter_mut().zip(tokens) {
                *sum += tokens;
            }
        }
        minutes
    }
}

/// A deployment's number in rendezvous hashing.
fn seed_of(deployment: usize) -> u64 {
    rendezvous::spread(0x00c0_ffee + 7_919 * deployment as u64)
}

/// Tokens a minute of each deployment, as the trace counts them: where it is a sample, that share of what the deployment takes.
pub fn limit_of(trace: &Trace, setting: &Setting) -> Option<f64> {
    if let Some(tokens) = setting.tokens_per_minute {
        return Some(tokens / trace.scale());
    }
    let per_minute = trace.tokens() as f64 / (trace.seconds() / MINUTE);
    setting
        .limit_factor
        .map(|factor| factor * per_minute / setting.deployments as f64)
}

/// Plays the trace.
pub fn run(trace: &Trace, policy: PolicyName, rule: &Rule, setting: &Setting) -> Outcome {
    World::new(trace, policy, rule, setting).play()
}

/// What one cache over all traffic finds, as a share of the prompt tokens: no policy can do better.
pub fn bound(trace: &Trace, setting: &Setting) -> f64 {
    let provider = match setting.provider {
        Provider::Engine => Provider::Engine,
        Provider::Hosted { .. } => Provider::Hosted {
            machines: 1,
            requests_per_minute: u32::MAX,
        },
    };
    let alone = Setting {
        deployments: 1,
        replicas: 1,
        limit_factor: None,
        tokens_per_minute: None,
        provider,
        outage: None,
        ..setting.clone()
    };
    run(trace, PolicyName::RoundRobin, &Rule::default(), &alone).hit
}

struct World<'a> {
    trace: &'a Trace,
    setting: &'a Setting,
    policy: Box<dyn Policy>,
    limit: Option<f64>,
    deployments: Vec<Deployment>,
    replicas: Vec<Knowledge>,
    chance: Chance,
    refused: u64,
    failed: u64,
    taken: Tokens,
    load: Load,
    placed: Vec<Option<u8>>,
    saved: Option<i64>,
}

impl<'a> World<'a> {
    fn new(trace: &'a Trace, policy: PolicyName, rule: &Rule, setting: &'a Setting) -> Self {
        let seeds: Vec<u64> = (0..setting.deployments).map(seed_of).collect();
        let limit = limit_of(trace, setting);
        let known_limit = limit.unwrap_or(f64::INFINITY);
        let policy = match policy.source() {
            Source::Shipped(policy) => shipped(policy, rule, setting, &seeds, known_limit),
            Source::Published(policy) => published(policy, &seeds, trace.block_tokens),
        };
        let blocks = if policy.remembers() { trace.distinct_blocks } else { 0 };
        Self {
            trace,
            setting,
            policy,
            limit,
            deployments: (0..setting.deployments)
                .map(|number| Deployment::new(setting.provider, number, trace.scale()))
                .collect(),
            replicas: (0..setting.replicas)
                .map(|_| Knowledge::new(setting.deployments, blocks, known_limit))
                .collect(),
            chance: Chance::new(setting.seed),
            refused: 0,
            failed: 0,
            taken: Tokens::default(),
            load: Load::of(trace.seconds()),
            placed: Vec::with_capacity(trace.requests.len()),
            saved: None,
        }
    }

    fn play(mut self) -> Outcome {
        let trace = self.trace;
        for request in &trace.requests {
            let replica = self.chance.below(self.setting.replicas);
            self.replicas[replica].tick(request.at, self.policy.mean_life());
            let placed = self.place(request, replica);
            match placed {
                Some(deployment) => self.serve(request, replica, deployment),
                None => self.failed += 1,
            }
            self.placed.push(placed.map(|deployment| deployment as u8));
        }
        self.outcome()
    }

    /// The first deployment that takes the request, along the policy's choices.
    fn place(&mut self, request: &Request, replica: usize) -> Option<usize> {
        let mut tried = vec![false; self.deployments.len()];
        let mut choice = {
            let mut asked = Asked {
                request,
                replica,
                knowledge: &self.replicas[replica],
                chance: &mut self.chance,
            };
            self.policy.choose(&mut asked)
        };
        while let Some(deployment) = choice {
            if self.admits(request, replica, deployment) {
                return choice;
            }
            tried[deployment] = true;
            let mut asked = Asked {
                request,
                replica,
                knowledge: &self.replicas[replica],
                chance: &mut self.chance,
            };
            choice = self.policy.next(&mut asked, &tried);
        }
        None
    }

    /// Whether the deployment takes it. One that was told to rest is not asked; one that refuses is told to rest.
    fn admits(&mut self, request: &Request, replica: usize, deployment: usize) -> bool {
        let rests_until = &mut self.replicas[replica].rests_until[deployment];
        if *rests_until > request.at {
            return false;
        }
        let serving = &mut self.deployments[deployment];
        if let Some(outage) = self.setting.outage
            && deployment % self.setting.regions.max(1) == outage.region
            && (outage.from..outage.until).contains(&request.at)
        {
            self.refused += 1;
            *rests_until = request.at + OUTAGE_REST;
            serving.clear();
            return false;
        }
        let used = serving.used(request.at);
        match self.limit {
            Some(limit) if (used + request.limit_tokens) as f64 > limit => {
                self.refused += 1;
                *rests_until = serving.fits_at(request.limit_tokens, limit, request.at);
                false
            }
            _ => true,
        }
    }

    fn serve(&mut self, request: &Request, replica: usize, deployment: usize) {
        let serving = &mut self.deployments[deployment];
        let (block_tokens, idle) = (self.trace.block_tokens, self.setting.idle_seconds);
        let cached = serving.serve(request, block_tokens, idle, self.policy.cache_key());
        let used = serving.used(request.at);
        if let Some(limit) = self.limit {
            self.replicas[replica].reported(deployment, limit, used, request.at);
        }
        let mut asked = Asked {
            request,
            replica,
            knowledge: &self.replicas[replica],
            chance: &mut self.chance,
        };
        self.policy.admitted(&mut asked, deployment, cached);
        let known = &mut self.replicas[replica];
        if self.policy.remembers() {
            known.index.record(&request.blocks, deployment, request.at);
        }
        let first_token = 0.2 + 50e-6 * f64::from(request.prompt - cached);
        let end = request.at + first_token + 0.02 * f64::from(request.output);
        known.admitted(deployment, request.prompt, first_token, end, request.at);
        self.taken.prompt += u64::from(request.prompt);
        self.taken.cached += u64::from(cached);
        self.taken.output += u64::from(request.output);
        if let Some(really) = request.cached {
            *self.saved.get_or_insert(0) += i64::from(cached) - i64::from(really);
        }
        let step = (request.at / self.load.step_seconds as f64) as u64;
        let step = self.load.steps.entry(step);
        step.or_insert_with(|| vec![0; self.deployments.len()])[deployment] += u64::from(request.prompt);
    }

    fn outcome(self) -> Outcome {
        let requests = self.trace.requests.len().max(1) as f64;
        let mut sums = vec![0; self.deployments.len()];
        let minutes = self.load.minutes();
        for minute in minutes.values() {
            for (sum, tokens) in sums.iter_mut().zip(minute) {
                *sum += tokens;
            }
        }
        let mut peaks: Vec<f64> = minutes.values().map(|minute| over_mean(minute)).collect();
        peaks.sort_by(f64::total_cmp);
        let at = |part: f64| peaks.get((peaks.len() as f64 * part) as usize).copied().unwrap_or(1.0);
        Outcome {
            hit: self.taken.cached as f64 / self.taken.prompt.max(1) as f64,
            imbalance: over_mean(&sums),
            w50: at(0.5),
            w95: at(0.95),
            refused: self.refused as f64 / requests,
            failed: self.failed as f64 / requests,
            load: self.load,
            taken: self.taken,
            placed: self.placed,
            saved: self.saved,
        }
    }
}

/// The busiest over the mean.
fn over_mean(tokens: &[u64]) -> f64 {
    let sum: u64 = tokens.iter().sum();
    let most = tokens.iter().max().copied().unwrap_or(0);
    if sum == 0 {
        1.0
    } else {
        most as f64 * tokens.len() as f64 / sum as f64
    }
}
