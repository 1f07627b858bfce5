//! What differs from the usual world, and the two configuration files that come of it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use emberway::simulator::scenario::Scenario;

/// What differs from the usual world. Texts are the inside of a YAML flow mapping, such as `first_byte: 1s, idle: 2s`.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Accounts of the simulator, in order of preference.
    pub(crate) accounts: &'static [&'static str],
    /// Whether all share one tier.
    pub(crate) one_tier: bool,
    /// Upstreams that are not of the simulator, by resource: they come instead of it.
    pub(crate) scripted: Vec<(&'static str, SocketAddr)>,
    /// The simulator's other settings, a line each.
    pub(crate) settings: &'static str,
    /// The simulator's `engine`.
    pub(crate) engine: &'static str,
    /// More of every simulated account.
    pub(crate) account: String,
    /// More of every simulated deployment.
    pub(crate) simulated: &'static str,
    /// More of every resource.
    pub(crate) resource: &'static str,
    /// Kind and capacity of every deployment `ft`, as the gateway is told.
    pub(crate) capacity: &'static str,
    /// More of every deployment.
    pub(crate) deployment: &'static str,
    /// The listener, its address apart.
    pub(crate) listener: String,
    /// `admin`, its address apart.
    pub(crate) admin: &'static str,
    /// `limits`.
    pub(crate) limits: &'static str,
    /// How late tasks may run before requests are turned away. Never, unless told: on a busy machine tests do.
    pub(crate) max_delay: &'static str,
    /// `health`.
    pub(crate) health: &'static str,
    /// Most of a pool that may be set aside for failures.
    pub(crate) max_ejected: &'static str,
    /// How long a deployment gets less than its share after its breaker has closed.
    pub(crate) slow_start: &'static str,
    /// `shutdown`.
    pub(crate) shutdown: &'static str,
    /// The section `telemetry`, whole.
    pub(crate) telemetry: String,
    /// `policy` of the defaults.
    pub(crate) policy: &'static str,
    /// `failover` of the defaults.
    pub(crate) failover: &'static str,
    /// `waiting` of the defaults.
    pub(crate) waiting: &'static str,
    /// `timeouts` of the defaults.
    pub(crate) timeouts: &'static str,
    /// More members of the route `bot`.
    pub(crate) route: &'static str,
    /// More of the client `desk`.
    pub(crate) client: &'static str,
    /// More clients, each a list item.
    pub(crate) clients: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            accounts: &["a", "b"],
            one_tier: false,
            scripted: Vec::new(),
            settings: "limits: { enabled: false }",
            engine: "time_scale: 0",
            account: String::new(),
            simulated: "capacity: 1000",
            resource: "",
            capacity: "sku: Standard, capacity: 10000",
            deployment: "",
            listener: "h2c: true".to_owned(),
            admin: "",
            limits: "",
            max_delay: "0s",
            health: "",
            max_ejected: "1",
            slow_start: "0s",
            shutdown: "delay: 0s, drain: 10s",
            telemetry: String::new(),
            policy: "nested",
            failover: "",
            waiting: "max_wait: 0s",
            timeouts: "",
            route: "",
            client: "",
            clients: "",
        }
    }
}

impl Setup {
    /// What the simulator plays.
    pub(crate) fn scenario(&self) -> Scenario {
        let mut text = format!(
            "record_bodies: true\nengine: {{ {} }}\n{}\naccounts:\n",
            self.engine, self.settings
        );
        for name in self.accounts {
            let (account, more) = (inside(&self.account), self.simulated);
            write!(
                text,
                "  - {{ name: {name}, region: region-{name}, api_keys: [key-{name}],{account}\n      deployments: [\
                 {{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, {more} }}, \
                 {{ name: embed, model: text-embedding-3-small, {more} }}] }}\n"
            )
            .unwrap();
        }
        Scenario::parse(&text).expect("a scenario")
    }

    /// The gateway's configuration, in front of these upstreams.
    pub(crate) fn config(&self, upstreams: &[(String, String)], directory: &Path) -> String {
        let usage = directory.join("usage.db");
        let members = |deployment: &str| {
            let members: Vec<_> = upstreams
                .iter()
                .map(|(name, _)| format!("{name}/{deployment}"))
                .collect();
            let separator = if self.one_tier { ", " } else { "], [" };
            format!("[[{}]]", members.join(separator))
        };
        let mut text = format!(
            "listeners: [ {{ address: '127.0.0.1:0', {} }} ]\nadmin: {{ address: '127.0.0.1:0', {} }}\n\
             usage: {{ path: '{}' }}\nshutdown: {{ {} }}\nlimits: {{ max_delay: {}, {} }}\nhealth: {{ {} }}\n\
             defaults: {{ policy: {}, failover: {{ {} }}, waiting: {{ {} }}, timeouts: {{ {} }} }}\n\
             clients:\n  - {{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true, {} }}\n{}\nresources:\n",
            self.listener,
            self.admin,
            usage.display(),
            self.shutdown,
            self.max_delay,
            self.limits,
            format_args!(
                "max_ejected: {}, slow_start: {}{}{}",
                self.max_ejected,
                self.slow_start,
                if self.health.is_empty() { "" } else { ", " },
                self.health
            ),
            self.policy,
            self.failover,
            self.waiting,
            self.timeouts,
            self.client,
            self.clients
        );
        for (name, url) in upstreams {
            let (resource, capacity, more) = (inside(self.resource), self.capacity, self.deployment);
            write!(
                text,
                "  - {{ name: {name}, region: region-{name}, endpoint: '{url}', credential: {{ api_key: '${{env:KEY_{name}}}' }},\
                 {resource}\n      deployments: [{{ name: ft, {capacity}, {more} }}, \
                 {{ name: embed, sku: Standard, capacity: 10000 }}] }}\n"
            )
            .unwrap();
        }
        text + &format!(
            "{}\npools: [{{ name: ft, tiers: {} }}, {{ name: embed, tiers: {} }}]\n\
             routes: [{{ name: bot, pool: ft{} }}, {{ name: embed, pool: embed }}]\n",
            self.telemetry,
            members("ft"),
            members("embed"),
            if self.route.is_empty() {
                String::new()
            } else {
                format!(", {}", self.route)
            }
        )
    }
}

/// Members in the middle of a flow mapping.
fn inside(members: &str) -> String {
    if members.is_empty() {
        String::new()
    } else {
        format!(" {members},")
    }
}
