//! From answers and prompts to rows of the store.

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::config::load;
use crate::core::ledger::drift::sample::Segment;
use crate::core::placement::chain::Chain;
use crate::core::placement::plan::{Candidate, Plan};
use crate::core::placement::policy::Policy;
use crate::core::placement::view::Ask;
use crate::proxy::prompt::Prompt;
use crate::storage::StoreError;
use crate::storage::misses::{DriftFound, MissStore, MissSum};
use crate::telemetry::metrics::Metrics;

const CONFIG: &str = "\
listeners: [{address: 127.0.0.1:0}]
clients: [{name: acme, keys: ['${env:KEY}']}]
resources:
  - name: contoso
    region: r
    endpoint: https://contoso.example
    credential: {api_key: '${env:KEY}'}
    deployments:
      - {name: priced, sku: Standard, price: {input: 0.4, cached_input: 0.1}}
      - {name: plain, sku: Standard}
pools: [{name: support, tiers: [[contoso/priced, contoso/plain]]}]
routes: [{name: support, pool: support}]
";

/// What was written, and whether the next writes fail.
#[derive(Default)]
struct Written {
    sums: Mutex<Vec<MissSum>>,
    found: Mutex<Vec<DriftFound>>,
    ended: Mutex<Vec<RouteId>>,
    failing: AtomicU32,
}

impl Written {
    fn fail(&self) -> Result<(), StoreError> {
        let left = self.failing.load(Ordering::Relaxed);
        self.failing.store(left.saturating_sub(1), Ordering::Relaxed);
        if left > 0 { Err(StoreError::Older) } else { Ok(()) }
    }
}

#[async_trait]
impl MissStore for Written {
    async fn add_misses(&self, sums: &[MissSum]) -> Result<(), StoreError> {
        self.fail()?;
        self.sums.lock().extend_from_slice(sums);
        Ok(())
    }

    async fn put_drifts(&self, found: &[DriftFound], ended: &[RouteId]) -> Result<(), StoreError> {
        self.found.lock().extend_from_slice(found);
        self.ended.lock().extend_from_slice(ended);
        Ok(())
    }
}

struct World {
    live: Live,
    ledger: MissLedger,
    store: Arc<Written>,
}

fn world(known: &[DeploymentTotals]) -> World {
    let key = |_: &str| Some("a-key-that-is-long-enough".to_owned());
    let checked = load::compile_text(CONFIG, std::path::Path::new("test.yaml"), &key).expect("compiles");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    World {
        live: Live::build(Arc::new(checked), &metrics, None).expect("a picture"),
        ledger: MissLedger::new(known, Instant::now()),
        store: Arc::default(),
    }
}

/// Tokens that were sent before: to the deployment that answers lately, to any lately, to any at all.
type Sent = (u32, u32, u32);

fn placed(deployment: usize, (here, lately, ever): Sent) -> Placed {
    let candidate = Candidate {
        cost: 0.0,
        deployment: DeploymentIx(deployment),
        reason: Reason::Home,
        room: 0.0,
        expected_tokens: here,
        sent_tokens: here,
        newer_tokens: 0,
        idle: Duration::ZERO,
    };
    let plan = Plan {
        candidates: [candidate].into_iter().collect(),
        warm_tokens: lately,
        sent_tokens: ever,
        ..Plan::default()
    };
    let ask = Ask {
        prompt_tokens: 4_000,
        total_tokens: 4_000,
        is_first_turn: true,
        is_cacheable: true,
        session: None,
        draw: 0,
    };
    Placed::of(
        &plan,
        Policy::Nested,
        Prompt {
            chain: Chain::default(),
            opener: None,
            ask,
        },
        Duration::ZERO,
    )
}

impl World {
    fn note(&self, deployment: usize, cached: u64, sent: Sent) {
        self.note_placed(deployment, cached, &placed(deployment, sent));
    }

    fn note_placed(&self, deployment: usize, cached: u64, placed: &Placed) {
        let answer = CachedAnswer {
            at_ms: 3_600_000 + 17,
            client: ClientIx(0),
            route: RouteIx(0),
            deployment: DeploymentIx(deployment),
            reason: Reason::SpillNoRoom,
            before: None,
            placed,
            usage: Usage {
                prompt: 4_000,
                cached,
                completion: 1,
            },
        };
        self.ledger.note(&self.live, &answer);
    }

    /// Runs the writer for so long, then stops it.
    async fn write_for(&self, time: Duration) {
        let store = Arc::clone(&self.store) as Arc<dyn MissStore>;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(MissWriter::new(&self.ledger, store, || 5).run(stopped));
        tokio::time::sleep(time).await;
        stop.send_replace(true);
        task.await.expect("ends");
    }

    fn causes(&self) -> Vec<(&'static str, u64, u64, Option<u64>)> {
        let sums = self.store.sums.lock();
        let mut rows: Vec<_> = sums
            .iter()
            .map(|sum| (sum.cause.into(), sum.requests, sum.tokens, sum.micro_usd))
            .collect();
        rows.sort_unstable();
        rows
    }
}

const SENT_HERE: Sent = (4_000, 4_000, 4_000);
const SENT_ELSEWHERE: Sent = (0, 4_000, 4_000);
const NOT_SENT: Sent = (0, 0, 0);

#[tokio::test(start_paused = true)]
async fn misses_are_added_up_with_their_price() {
    let world = world(&[]);
    world.note(0, 3_968, SENT_HERE);
    world.note(0, 0, SENT_HERE);
    world.note(0, 1_968, SENT_HERE);
    world.note(1, 3_968, SENT_HERE);
    world.note(1, 0, SENT_ELSEWHERE);
    world.note(1, 0, NOT_SENT);
    world.write_for(Duration::ZERO).await;
    assert_eq!(
        world.causes(),
        [
            ("cold", 1, 0, None),
            ("moved_by_spill", 1, 3_968, None),
            ("overflow", 2, 3_968 + 2_000, Some(1_190 + 600)),
        ]
    );
    let sums = world.store.sums.lock();
    assert!(
        sums.iter()
            .all(|sum| sum.hour_ms == 3_600_000 && &**sum.client == "acme")
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_gets_the_sums_later() {
    let world = world(&[]);
    world.store.failing.store(2, Ordering::Relaxed);
    world.note(0, 128, SENT_HERE);
    world.note(0, 128, SENT_HERE);
    world.write_for(Duration::from_secs(45)).await;
    assert_eq!(world.causes(), [("overflow", 2, 7_680, Some(2_304))]);
    assert_eq!(world.ledger.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_counted() {
    let world = world(&[]);
    for _ in 0..RECORDS_MAX + 3 {
        world.note(0, 128, SENT_HERE);
    }
    assert_eq!(world.ledger.dropped(), 3);
    for _ in 0..SAMPLES_MAX + 2 {
        let snapshot = &world.live.config.runtime.snapshot;
        let sampler = Sampler::new(&world.ledger.shared.key);
        world.ledger.sample(snapshot, &snapshot.routes[0], sampler);
    }
    assert_eq!(world.ledger.dropped(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_reports_nothing_is_told_from_one_that_has_reported() {
    let totals = |cached_tokens| DeploymentTotals {
        deployment: "contoso/priced".into(),
        first_seen_ms: 0,
        created_at_ms: None,
        last_success_at_ms: None,
        requests: 1,
        successes: 1,
        prompt_tokens: 10_000,
        cached_tokens,
        completion_tokens: 1,
    };
    for (known, expected) in [
        (totals(1), vec![("overflow", 10, 39_680, Some(11_900))]),
        (
            totals(0),
            vec![
                ("not_cacheable", 2, 7_936, Some(2_380)),
                ("overflow", 8, 31_744, Some(9_520)),
            ],
        ),
    ] {
        let world = world(&[known]);
        (0..10).for_each(|_| world.note(0, 0, SENT_HERE));
        world.write_for(Duration::ZERO).await;
        assert_eq!(world.causes(), expected);
    }
}

impl World {
    /// Leaves a prompt of the route as a request would.
    fn ask(&self, now: Instant, system: &str) {
        let snapshot = &self.live.config.runtime.snapshot;
        let route = &snapshot.routes[0];
        if let Some(mut sampler) = self.ledger.sampler(&route.id, now) {
            sampler.segment(Segment::System);
            sampler.push(system.as_bytes());
            self.ledger.sample(snapshot, route, sampler);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn drift_is_found_priced_written_told_to_requests_and_ends() {
    let world = world(&[]);
    let began = Instant::now();
    let number = |at: u32| (at * 7_919).to_string() + " ";
    let text: String = (0..3_000).map(number).collect();
    let store = Arc::clone(&world.store) as Arc<dyn MissStore>;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(MissWriter::new(&world.ledger, store, || 5).run(stopped));
    for second in 0..40 {
        world.ask(began + Duration::from_secs(second), &format!("Now: {second}\n{text}"));
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    let finding = world.ledger.findings()[&RouteId::from("support")];
    assert_eq!((finding.position_bytes, finding.segment), (0, Segment::System));
    {
        // No answer was judged so far: the price is the configured one.
        let found = world.store.found.lock();
        let found = found.last().expect("written");
        assert_eq!((found.seen_at_ms, &**found.route), (5, "support"));
        // 40 requests in what counts as a minute at least.
        let requests_a_day = found.tokens_a_day / u64::from(finding.lost_tokens_per_request);
        assert!((55_000..57_600).contains(&requests_a_day), "{found:?}");
        let usd = found.micro_usd_a_day.expect("priced");
        assert!(usd.abs_diff(found.tokens_a_day * 3 / 10) <= 1, "{found:?}");
    }
    world.note(0, 0, NOT_SENT);
    for second in 40..100 {
        world.ask(began + Duration::from_secs(second), &text);
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(world.ledger.findings().is_empty());
    assert_eq!(*world.store.ended.lock(), [RouteId::from("support")]);
    stop.send_replace(true);
    task.await.expect("ends");
    assert!(
        world.causes().iter().any(|(cause, ..)| *cause == "drift"),
        "{:?}",
        world.causes()
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_want_no_cache_are_not_judged() {
    let world = world(&[]);
    let mut unwilling = placed(0, SENT_HERE);
    unwilling.prompt.ask.is_cacheable = false;
    world.note_placed(0, 0, &unwilling);
    world.write_for(Duration::ZERO).await;
    assert_eq!(world.causes(), []);
}

#[test]
fn a_429_of_another_is_no_failure_of_it() {
    use AttemptOutcome::{Failed, Throttled, Timeout};
    let check = |outcomes: &[AttemptOutcome], moved: Moved| {
        let before = Before::of(outcomes.iter().copied());
        assert_eq!(moved_by(Reason::Failover, before), moved, "{outcomes:?}");
    };
    check(&[Throttled], Moved::BySpill);
    check(&[Throttled, Throttled], Moved::BySpill);
    check(&[Failed], Moved::ByFailover);
    check(&[Throttled, Timeout], Moved::ByFailover);
    check(&[Timeout, Throttled], Moved::ByFailover);
    check(&[], Moved::ByFailover);
    // Why it was asked at all goes before.
    assert_eq!(moved_by(Reason::Hedge, Some(Before::Throttled)), Moved::ByFailover);
    assert_eq!(moved_by(Reason::Warm, None), Moved::ByHomes);
}

#[test]
fn what_is_paid_by_the_hour_is_not_the_price_of_a_miss() {
    let check = |tiers: &str, expected: Option<f64>| {
        let hourly = "      - {name: hourly, sku: ProvisionedManaged, price: {input: 0, cached_input: 0, hour: 90}}\n";
        let config = CONFIG.replace("      - {name: priced", &format!("{hourly}      - {{name: priced"));
        let config = config.replace("[[contoso/priced, contoso/plain]]", tiers);
        let key = |_: &str| Some("a-key-that-is-long-enough".to_owned());
        let checked = load::compile_text(&config, std::path::Path::new("test.yaml"), &key).expect("compiles");
        let snapshot = &checked.runtime.snapshot;
        let cost = usual_cost(snapshot, &snapshot.routes[0]).map(|each| (each * 1e6).round() / 1e6);
        assert_eq!(cost, expected, "{tiers}");
    };
    check("[[contoso/hourly], [contoso/priced]]", Some(0.3));
    check("[[contoso/hourly, contoso/plain]]", None);
}
