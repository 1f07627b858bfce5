//! What a scenario is, as data drawn from a seed: fleet, faults over time, operations, and what clients do.

use std::time::Duration;

use emberway::simulator::faults::{Action, AppliesTo, Canned};
use emberway::simulator::presets::Preset;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use strum::VariantArray as _;

use crate::proxy::Mood;

/// When the last fault ends, in milliseconds after the beginning.
pub(crate) const WEATHER_MS: u64 = 900;

/// One scenario.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Where it came from.
    pub(crate) seed: u64,
    /// The fleet.
    pub(crate) accounts: Vec<Account>,
    /// The account that has no faults at all, if there is one.
    pub(crate) rock: Option<usize>,
    /// `failover.max_attempts`.
    pub(crate) max_attempts: u32,
    /// `failover.retry_budget`: share and least a second.
    pub(crate) budget: (f64, u32),
    /// `waiting.max_wait`, in milliseconds.
    pub(crate) max_wait_ms: u64,
    /// `policy`.
    pub(crate) policy: &'static str,
    /// What happens, and when, in milliseconds after the beginning.
    pub(crate) events: Vec<Event>,
    /// Who asks.
    pub(crate) clients: Vec<Client>,
}

/// An account with its one deployment.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Its tier, 0 first.
    pub(crate) tier: usize,
    /// Whether it is provisioned.
    pub(crate) provisioned: bool,
    /// Whether it is called in the v1 family.
    pub(crate) v1: bool,
    /// Whether its name resolves.
    pub(crate) resolves: bool,
}

/// Something that happens to an account, or to the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When it begins.
    pub(crate) at: Duration,
    /// When it ends.
    pub(crate) until: Duration,
    /// What.
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The simulator misbehaves.
    Fault {
        account: usize,
        applies_to: AppliesTo,
        probability: Option<f64>,
        action: Action,
    },
    /// The network before an account does.
    Mood { account: usize, mood: Mood },
    /// The configuration is reloaded with other numbers, as by a change of the file or by SIGHUP.
    Reload { by_signal: bool },
    /// The configuration is reloaded without this account, and with it again.
    Remove { account: usize },
}

/// One client, whose requests follow one another.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Whether it speaks HTTP/2.
    pub(crate) http2: bool,
    /// Its requests, each after a pause.
    pub(crate) requests: Vec<(Duration, Ask)>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Its number in the scenario, which is part of its prompt.
    pub(crate) number: u32,
    /// How it is asked.
    pub(crate) kind: Kind,
    /// Which long beginning its prompt has, if any.
    pub(crate) head: Option<u32>,
}

/// How a request is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    Stream,
    StreamWithUsage,
    /// A stream that the client reads slowly.
    SlowReader,
    /// A stream that the client leaves when so many pieces have come.
    LeavesStream(u32),
    /// A request whose client leaves after so many milliseconds, whatever has come.
    LeavesAfter(u64),
    /// A request that must have its answer in so many milliseconds.
    Hurried(u64),
    /// A body that is no JSON.
    BadJson,
    /// A body that is no UTF-8.
    BadText,
    /// A model that does not exist.
    UnknownModel,
    /// A key that nobody has.
    WrongKey,
}

impl Shape {
    /// The scenario of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let accounts = accounts(&mut rng);
        let rock = rng.random_bool(0.6).then(|| rng.random_range(0..accounts.len()));
        let rock = rock.filter(|&rock| accounts[rock].resolves);
        let count = accounts.len() as u32;
        let is_tight = rng.random_bool(0.2);
        Self {
            seed,
            rock,
            max_attempts: if rng.random_bool(0.8) {
                count.max(3)
            } else {
                rng.random_range(1..=3)
            },
            budget: if is_tight {
                ([0.0, 0.1][rng.random_range(0..2)], 0)
            } else {
                (10.0, 100)
            },
            max_wait_ms: if rng.random_bool(0.4) { 1_000 } else { 0 },
            policy: ["nested", "round_robin", "least_busy", "head_hash", "latency"]
                .choose(&mut rng)
                .unwrap(),
            events: events(&mut rng, &accounts, rock),
            clients: clients(&mut rng),
            accounts,
        }
    }

    /// Whether no request may fail before its first byte: one account is good all the time, each is tried, and retries are paid for.
    pub(crate) fn is_sheltered(&self) -> bool {
        self.rock.is_some() && self.max_attempts as usize >= self.accounts.len() && self.budget.0 > 1.0
    }

    /// How many requests there are.
    pub(crate) fn requests(&self) -> usize {
        self.clients.iter().map(|client| client.requests.len()).sum()
    }
}

impl Kind {
    /// Whether the gateway refuses it before it has a route, with this status.
    pub(crate) fn refused_as(self) -> Option<u16> {
        match self {
            Self::BadJson | Self::BadText => Some(400),
            Self::UnknownModel => Some(404),
            Self::WrongKey => Some(401),
            _ => None,
        }
    }

    /// Whether the client means to leave before the end.
    pub(crate) fn leaves(self) -> bool {
        matches!(self, Self::LeavesStream(_) | Self::LeavesAfter(_))
    }

    /// Whether a stream is asked for.
    pub(crate) fn streams(self) -> bool {
        matches!(
            self,
            Self::Stream | Self::StreamWithUsage | Self::SlowReader | Self::LeavesStream(_)
        )
    }
}

impl What {
    /// Its name in the table.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Fault { action, .. } => match action {
                Action::Preset(preset) => word(preset),
                Action::Respond(_) => "rest asked for in ms".to_owned(),
                other => word(other),
            },
            Self::Mood { mood, .. } => format!("tcp {}", word_of(&format!("{mood:?}"))),
            Self::Reload { .. } => "reload".to_owned(),
            Self::Remove { .. } => "reload without the account".to_owned(),
        }
    }

    /// Whether it sets the account aside for longer than a scenario lasts.
    pub(crate) fn outlasts(&self) -> Option<usize> {
        use Preset as P;
        match self {
            Self::Fault {
                account,
                action:
                    Action::Preset(
                        P::WrongKey
                        | P::ExpiredCredential
                        | P::MissingRole
                        | P::NetworkDenied
                        | P::TemporarilyBlocked
                        | P::DeploymentNotFound
                        | P::ModelRetired
                        | P::Paused,
                    ),
                ..
            } => Some(*account),
            _ => None,
        }
    }
}

/// A value's name as YAML has it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => "?".to_owned(),
    }
}

fn word_of(debug: &str) -> String {
    debug.split('(').next().unwrap_or_default().to_ascii_lowercase()
}

fn accounts(rng: &mut StdRng) -> Vec<Account> {
    let count = rng.random_range(1..=4);
    let mut tier = 0;
    (0..count)
        .map(|index| {
            if index > 0 && rng.random_bool(0.3) {
                tier += 1;
            }
            Account {
                tier,
                provisioned: rng.random_bool(0.25),
                v1: rng.random_bool(0.3),
                resolves: count == 1 || rng.random_bool(0.95),
            }
        })
        .collect()
}

fn events(rng: &mut StdRng, accounts: &[Account], rock: Option<usize>) -> Vec<Event> {
    let stormy: Vec<usize> = (0..accounts.len()).filter(|&index| Some(index) != rock).collect();
    let mut events = Vec::new();
    for &account in &stormy {
        for _ in 0..rng.random_range(0..=3) {
            let what = if rng.random_bool(0.5) {
                fault(rng, account)
            } else {
                What::Mood {
                    account,
                    mood: mood(rng),
                }
            };
            events.push(during(rng, what));
        }
    }
    if rng.random_bool(0.25) {
        let by_signal = rng.random_bool(0.5);
        events.push(during(rng, What::Reload { by_signal }));
    } else if stormy.len() > 1 && rng.random_bool(0.2) {
        let account = stormy[rng.random_range(0..stormy.len())];
        events.push(during(rng, What::Remove { account }));
    }
    events
}

fn during(rng: &mut StdRng, what: What) -> Event {
    let at = rng.random_range(0..WEATHER_MS - 200);
    let until = rng.random_range(at + 50..=WEATHER_MS);
    Event {
        at: Duration::from_millis(at),
        until: Duration::from_millis(until),
        what,
    }
}

fn fault(rng: &mut StdRng, account: usize) -> What {
    let action = match rng.random_range(0..12) {
        0..4 => Action::Preset(*Preset::VARIANTS.choose(rng).unwrap()),
        4 => Action::Respond(Canned {
            status: 429,
            body: Some(json!({"error": {"code": "429", "message": "Rate limit is exceeded."}})),
            headers: [("retry-after-ms".to_owned(), rng.random_range(20..400).to_string())].into(),
            delay_ms: 0,
            before_body: false,
        }),
        5 => Action::Delay {
            ms: rng.random_range(5..200),
        },
        6 => Action::Hang,
        7 => Action::Stall {
            after_chunks: rng.random_range(0..12),
        },
        8 => Action::Cut {
            after_chunks: rng.random_range(0..12),
        },
        9 => Action::Reset,
        10 => match rng.random_range(0..3) {
            0 => Action::OmitDone,
            1 => Action::ShortBody {
                missing_bytes: rng.random_range(1..2_000),
            },
            _ => Action::SlowDrip {
                ms: rng.random_range(1..20),
            },
        },
        _ => Action::StreamError {
            after_chunks: rng.random_range(0..8),
        },
    };
    let applies_to = match rng.random_range(0..6) {
        0 => AppliesTo::Streams,
        1 => AppliesTo::WholeAnswers,
        _ => AppliesTo::Any,
    };
    What::Fault {
        account,
        applies_to,
        probability: rng.random_bool(0.4).then(|| rng.random_range(0.1..0.9)),
        action,
    }
}

fn mood(rng: &mut StdRng) -> Mood {
    match rng.random_range(0..8) {
        0 => Mood::Late(rng.random_range(5..150)),
        1 => Mood::Narrow(rng.random_range(20_000..200_000)),
        2 => Mood::Reset,
        3 => Mood::HalfOpen,
        4 => Mood::Blackhole,
        5 => Mood::CutUp(rng.random_range(0..6_000)),
        6 => Mood::CutDown(rng.random_range(0..6_000)),
        _ => Mood::Refuse,
    }
}

fn clients(rng: &mut StdRng) -> Vec<Client> {
    let mut number = 0;
    let count = rng.random_range(3..=8);
    let total = rng.random_range(20..=60_u32);
    (0..count)
        .map(|_| {
            let requests = (0..total.div_ceil(count)).map(|_| {
                number += 1;
                let pause = Duration::from_millis(rng.random_range(0..120));
                let ask = Ask {
                    number,
                    kind: kind(rng),
                    head: rng.random_bool(0.4).then(|| rng.random_range(0..3)),
                };
                (pause, ask)
            });
            let requests = requests.collect();
            Client {
                http2: rng.random_bool(0.3),
                requests,
            }
        })
        .collect()
}

fn kind(rng: &mut StdRng) -> Kind {
    match rng.random_range(0..40) {
        0..14 => Kind::Whole,
        14..22 => Kind::Stream,
        22..28 => Kind::StreamWithUsage,
        28 | 29 => Kind::SlowReader,
        30 | 31 => Kind::LeavesStream(rng.random_range(1..6)),
        32 | 33 => Kind::LeavesAfter(rng.random_range(0..60)),
        34 | 35 => Kind::Hurried(rng.random_range(100..800)),
        36 => Kind::BadJson,
        37 => Kind::BadText,
        38 => Kind::UnknownModel,
        _ => Kind::WrongKey,
    }
}
