//! What runs: the simulator with its built-in scenario, and the gateway with the shipped demo configuration, on chosen ports.
//!
//! The configuration is that of the repository, except for what belongs to this one run: addresses, keys, and a usage store that begins
//! empty. It is written to a file of its own, so that it can be changed while the demo stays up, on the page or by hand.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::{self, Running, Source};
use crate::config::load;
use crate::config::secrets::Variables;
use crate::core::topology::{Pool, Snapshot};
use crate::demo::ports::{self, Port};
use crate::demo::{DemoError, Options};
use crate::simulator::arm::listener::ArmListener;
use crate::simulator::scenario::{AccountSpec, Scenario};
use crate::simulator::{self, Simulator};

/// The shipped configuration.
const CONFIG: &str = include_str!("../../config/demo.yaml");
/// How it is named in errors.
const CONFIG_NAME: &str = "config/demo.yaml";
/// Size of the trace that a demo may write: many times what it does.
const TRACE_SIZE: &str = "64MiB";
/// Where `config/demo.yaml` puts the gateway and its admin listener.
const GATEWAY_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9090;

/// A running demo world. Dropping it ends it at once.
pub struct World {
    simulator: Simulator,
    gateway: Running,
    /// Where everything is.
    pub places: Places,
}

/// Where everything is, as people and programs need it.
#[derive(Debug, Clone)]
pub struct Places {
    /// Base URL of the gateway, without a path.
    pub gateway: String,
    /// Base URL of the admin listener.
    pub admin: String,
    /// Base URL of the simulator's control listener.
    pub control: String,
    /// The key that the gateway takes: made for this run.
    pub key: String,
    /// The gateway's configuration.
    pub config: PathBuf,
    /// The variables that it names: this run's keys, by this process alone.
    pub secrets: Vec<(String, String)>,
    /// The gateway's usage store.
    pub usage: PathBuf,
    /// Its trace.
    pub trace: PathBuf,
    /// A body such as the load sends, once it is written.
    pub prompt: PathBuf,
    /// Ports that were taken, and what is used instead.
    pub moved: Vec<Port>,
    /// The simulated accounts.
    pub accounts: Vec<Account>,
    /// The gateway's routes, in words.
    pub routes: Vec<Route>,
    /// The simulated control plane, as variables for scripts.
    pub control_plane: Vec<(&'static str, String)>,
    /// The certificate to trust for TLS to it.
    pub certificate: Option<PathBuf>,
}

/// A simulated account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Its deployments, in words.
    pub deployments: String,
}

/// A route of the gateway.
#[derive(Debug, Clone)]
pub struct Route {
    /// The model that applications ask for.
    pub name: String,
    /// The pool's tiers, best first, each with its deployments.
    pub tiers: Vec<Vec<String>>,
}

impl World {
    /// Starts everything. Every address answers when this returns.
    ///
    /// # Errors
    /// When a port cannot be bound, or the usage store's directory cannot be written.
    pub async fn start(options: &Options) -> Result<Self, DemoError> {
        let mut scenario = Scenario::demo()?;
        let chosen = choose_ports(&scenario, options.free_ports)?;
        let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let [usage, trace, prompt, config_file] = fresh_files(&options.env_file, chosen[0].got)?;
        let key = format!("demo-{:032x}", rand::random::<u128>());

        let mut config = CONFIG.to_owned();
        scenario.control_address = loopback(chosen[2].got);
        if let (Some(arm), Some(port)) = (&mut scenario.arm, chosen.last()) {
            arm.address = loopback(port.got);
            arm.certificate_to = Some(options.env_file.with_file_name(format!("demo-arm-{}.pem", port.got)));
        }
        for (account, port) in scenario.accounts.iter_mut().zip(&chosen[3..]) {
            let shipped = format!("endpoint: http://{}\n", account.address);
            account.address = loopback(port.got);
            config = config.replace(&shipped, &format!("endpoint: http://{}\n", account.address));
        }
        let config = own_config(&config, [chosen[0].got, chosen[1].got], &usage, &trace);
        std::fs::write(&config_file, &config).map_err(|source| DemoError::File {
            path: config_file.clone(),
            source,
        })?;
        let secrets = secrets(&scenario.accounts, &key);
        let source = Source {
            variables: variables(secrets.clone()),
            path: config_file.clone(),
        };
        let mut checked = load::compile_text(&config, &source.path, &*source.variables)?;
        checked.install.admin.is_demo = true;
        let routes = routes(&checked.runtime.snapshot);
        let specs = scenario.accounts.clone();
        let simulator = simulator::start(scenario).await?;
        let gateway = app::start(Arc::new(checked), Some(source), None).await?;
        let places = Places {
            gateway: format!("http://{}", gateway.addresses()[0]),
            admin: format!("http://{}", gateway.admin_address()),
            control: simulator.control_url(),
            key,
            config: config_file,
            secrets,
            usage,
            trace,
            prompt,
            moved: chosen
                .into_iter()
                .filter(|port| !options.free_ports && port.got != port.wanted)
                .collect(),
            accounts: specs
                .iter()
                .filter(|spec| !spec.deployments.is_empty())
                .map(account)
                .collect(),
            routes,
            control_plane: simulator.arm().map(control_plane).unwrap_or_default(),
            certificate: simulator
                .arm()
                .and_then(ArmListener::certificate)
                .and_then(|path| std::path::absolute(path).ok()),
        };
        Ok(Self {
            simulator,
            gateway,
            places,
        })
    }

    /// The simulator.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Drains the gateway, then ends the simulator.
    ///
    /// # Errors
    /// When usage records could not be written.
    pub async fn end(self) -> Result<(), DemoError> {
        let drained = self.gateway.drain().await;
        self.simulator.shutdown().await;
        Ok(drained?)
    }
}

/// Ports for the gateway, its admin listener, the simulator's control listener, each account, and the control plane.
fn choose_ports(scenario: &Scenario, free: bool) -> Result<Vec<Port>, DemoError> {
    let usual = [GATEWAY_PORT, ADMIN_PORT, scenario.control_address.port()];
    let accounts = scenario.accounts.iter().map(|account| account.address.port());
    let arm = scenario.arm.iter().map(|arm| arm.address.port());
    let mut wanted: Vec<u16> = usual.into_iter().chain(accounts).chain(arm).collect();
    if free {
        wanted = ports::at_random(wanted.len() as u16, &mut rand::rng());
    }
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    Ok(ports::choose(&wanted, is_free)?)
}

/// The shipped configuration with this run's addresses and files.
fn own_config(shipped: &str, [gateway, admin]: [u16; 2], usage: &Path, trace: &Path) -> String {
    let body = shipped.find("listeners:").map_or(shipped, |at| &shipped[at..]);
    let body = body.replace(
        &format!("address: 127.0.0.1:{GATEWAY_PORT}\n"),
        &format!("address: 127.0.0.1:{gateway}\n"),
    );
    // This file is nobody else's, wherever the folder is.
    let body = body.replace(
        &format!("address: 127.0.0.1:{ADMIN_PORT}\n"),
        &format!("address: 127.0.0.1:{admin}\n  configure: always\n"),
    );
    // A quoted YAML text is written like JSON's.
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    format!(
        "# The configuration of a running demo, made from {CONFIG_NAME}. Change it here or on the page: it is put to use at once, and is gone with\n\
         # the next demo.\n\n{body}\nusage: {{ path: {} }}\n\ntrace: {{ path: {}, share: 1, rotate: {TRACE_SIZE}, keep: 0 }}\n\n\
         # Nobody balances load in front of it.\nshutdown: {{ delay: 0s }}\n",
        quoted(usage),
        quoted(trace)
    )
}

/// This run's keys, as variables.
fn secrets(accounts: &[AccountSpec], key: &str) -> Vec<(String, String)> {
    let mut known = vec![("DEMO_KEY".to_owned(), key.to_owned())];
    for account in accounts {
        let variable = format!("SIM_KEY_{}", account.region.to_uppercase());
        // A region has one variable: of its first account, which is the gateway's.
        if known.iter().all(|(name, _)| *name != variable) {
            known.extend(account.api_keys.first().map(|key| (variable, key.clone())));
        }
    }
    known
}

fn variables(known: Vec<(String, String)>) -> Arc<Variables> {
    Arc::new(move |name: &str| {
        let found = known.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    })
}

/// The paths of a usage store, a trace, a prompt and a configuration that do not exist yet, in the directory of the environment file. They
/// carry the gateway's port so that two demos beside each other do not share them.
fn fresh_files(env_file: &Path, port: u16) -> Result<[PathBuf; 4], DemoError> {
    let directory = env_file.parent().unwrap_or(Path::new(""));
    if directory != Path::new("") {
        std::fs::create_dir_all(directory).map_err(|source| DemoError::File {
            path: directory.to_owned(),
            source,
        })?;
    }
    let name = |what: &str| directory.join(format!("demo-{what}"));
    let [store, wal, shm] = ["", "-wal", "-shm"].map(|suffix| name(&format!("usage-{port}.db{suffix}")));
    let trace = name(&format!("trace-{port}.jsonl"));
    let prompt = name(&format!("prompt-{port}.json"));
    let config = name(&format!("config-{port}.yaml"));
    for path in [&store, &wal, &shm, &trace, &prompt, &config] {
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let path = path.clone();
                return Err(DemoError::File { path, source });
            }
            _ => {}
        }
    }
    Ok([store, trace, prompt, config])
}

/// What a script needs for the control plane. Accounts are those of the usual subscription that trained a model: one that serves,
/// and one that is a source only.
fn control_plane(arm: &ArmListener) -> Vec<(&'static str, String)> {
    let plane = arm.plane();
    let settings = &plane.settings;
    let mut variables = vec![
        ("SIM_ARM_URL", arm.url()),
        (
            "SIM_TOKEN_URL",
            format!("{}/{}/oauth2/v2.0/token", arm.url(), settings.tenant),
        ),
        ("SIM_TENANT", settings.tenant.clone()),
        ("SIM_SUBSCRIPTION", settings.subscription.clone()),
        ("SIM_RESOURCE_GROUP", settings.resource_group.clone()),
        ("SIM_IDENTITY_ENDPOINT", format!("{}/msi/token", arm.url())),
        ("SIM_IDENTITY_HEADER", settings.identity_header.clone()),
    ];
    let usual = || {
        let all = plane
            .accounts
            .iter()
            .filter(|managed| managed.subscription == settings.subscription);
        all.filter(|managed| !managed.account.spec.fine_tuned_models.is_empty())
    };
    let serving = usual().find(|managed| !managed.account.spec.deployments.is_empty());
    let source = usual().find(|managed| managed.account.spec.deployments.is_empty());
    for (account, model, found) in [
        ("SIM_ACCOUNT", "SIM_MODEL", serving),
        ("SIM_SOURCE_ACCOUNT", "SIM_SOURCE_MODEL", source),
    ] {
        if let Some(spec) = found.map(|managed| &managed.account.spec) {
            variables.push((account, spec.name.clone()));
            variables.extend(
                spec.fine_tuned_models
                    .first()
                    .map(|trained| (model, trained.model.clone())),
            );
        }
    }
    if let Some(partner) = plane.accounts.iter().find(|managed| managed.tenant != settings.tenant) {
        variables.push(("SIM_PARTNER_ACCOUNT_ID", partner.id()));
        variables.push(("SIM_PARTNER_TENANT", partner.tenant.clone()));
        let trained = partner.account.spec.fine_tuned_models.first();
        variables.extend(trained.map(|trained| ("SIM_PARTNER_MODEL", trained.model.clone())));
    }
    variables.extend(settings.tokens.first().map(|own| ("SIM_TOKEN", own.token.clone())));
    if let Some(principal) = settings.principals.first() {
        variables.push(("SIM_CLIENT_ID", principal.client_id.clone()));
        variables.extend(
            principal
                .client_secret
                .clone()
                .map(|secret| ("SIM_CLIENT_SECRET", secret)),
        );
    }
    variables.extend(arm.tls_url().map(|url| ("SIM_ARM_TLS_URL", url)));
    variables
}

fn account(spec: &AccountSpec) -> Account {
    let deployments = spec.deployments.iter();
    let deployments: Vec<_> = deployments
        .map(|deployment| format!("{} ({} {})", deployment.name, deployment.sku, deployment.capacity))
        .collect();
    Account {
        name: spec.name.clone(),
        url: format!("http://{}", spec.address),
        deployments: deployments.join(", "),
    }
}

fn routes(snapshot: &Snapshot) -> Vec<Route> {
    let names = |pool: &Pool| {
        let tiers = pool.tiers.iter().map(|tier| {
            let members = tier.iter();
            members
                .map(|member| snapshot.deployments[member.deployment.0].id.to_string())
                .collect()
        });
        tiers.collect()
    };
    let routes = snapshot.routes.iter();
    routes
        .map(|route| Route {
            name: route.id.to_string(),
            tiers: names(&snapshot.pools[route.pool.0]),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::admin::Configure;
    use crate::demo::handout;

    #[test]
    fn each_variable_is_named_once() {
        let scenario = Scenario::demo().expect("a scenario");
        let known = secrets(&scenario.accounts, "demo-00ff");
        let names: std::collections::BTreeSet<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names.len(),
            known.len(),
            "a shell takes the last of two, the gateway the first"
        );
    }

    #[test]
    fn the_shipped_configuration_and_scenario_fit_together() {
        let scenario = Scenario::demo().expect("parses");
        // Accounts that only trained models serve nothing.
        for account in scenario.accounts.iter().filter(|spec| !spec.deployments.is_empty()) {
            let endpoint = format!("endpoint: http://{}\n", account.address);
            assert_eq!(CONFIG.matches(&endpoint).count(), 1, "{endpoint}");
        }
        for (port, what) in [(GATEWAY_PORT, "gateway"), (ADMIN_PORT, "admin")] {
            assert_eq!(
                CONFIG.matches(&format!("address: 127.0.0.1:{port}\n")).count(),
                1,
                "{what}"
            );
        }
        let variables = variables(secrets(&scenario.accounts, "demo-0123456789abcdef0123456789abcdef"));
        let checked = load::compile_text(CONFIG, Path::new(CONFIG_NAME), &*variables).expect("compiles");
        assert_eq!(checked.warnings, []);
        let snapshot = &checked.runtime.snapshot;
        let route = snapshot
            .routes
            .iter()
            .find(|route| &**route.id == handout::REPLAYED_ROUTE);
        for member in snapshot.pools[route.expect("a route").pool.0].members() {
            let price = snapshot.deployments[member.deployment.0].price;
            assert_eq!(price, Some(handout::PRICE), "what the hand-out replays with");
        }
        for deployment in &checked.runtime.snapshot.deployments {
            let id = deployment.id.to_string();
            let (account, name) = id.split_once('/').expect("resource/name");
            let account = scenario
                .accounts
                .iter()
                .find(|spec| spec.name == account)
                .expect("account");
            let spec = account
                .deployments
                .iter()
                .find(|spec| spec.name == name)
                .expect("deployment");
            assert_eq!(
                deployment.capacity,
                Some(spec.capacity),
                "{id}: what `check` and the demo show"
            );
        }
    }

    #[test]
    fn a_run_has_a_configuration_of_its_own_that_says_all_of_it() {
        let scenario = Scenario::demo().expect("parses");
        let text = own_config(
            CONFIG,
            [8180, 9190],
            Path::new("target/it's \"one\".db"),
            Path::new("t.jsonl"),
        );
        let variables = variables(secrets(&scenario.accounts, "demo-0123456789abcdef0123456789abcdef"));
        let checked = load::compile_text(&text, Path::new("own.yaml"), &*variables).expect("compiles");
        let install = &checked.install;
        assert_eq!(install.listeners[0].address.port(), 8180);
        assert_eq!(install.admin.address.port(), 9190);
        assert_eq!(install.admin.configure, Configure::Always);
        assert_eq!(install.usage.path, Path::new("target/it's \"one\".db"));
        let trace = install.trace.as_ref().expect("a trace");
        assert_eq!(
            (trace.path.as_path(), trace.share, trace.keep),
            (Path::new("t.jsonl"), 1.0, 0)
        );
        assert!(install.shutdown.delay.is_zero());
    }

    #[test]
    fn old_files_are_removed_with_their_companions() {
        let directory = tempfile::tempdir().expect("directory");
        let env_file = directory.path().join("new").join("demo.env");
        let [store, trace, prompt, config] = fresh_files(&env_file, 8080).expect("makes the directory");
        for path in [&trace, &prompt, &config] {
            std::fs::write(path, "old").expect("writes");
        }
        for suffix in ["", "-wal", "-shm"] {
            std::fs::write(format!("{}{suffix}", store.display()), "old").expect("writes");
        }
        assert_eq!(
            fresh_files(&env_file, 8080).expect("removes"),
            [store, trace, prompt, config]
        );
        assert_eq!(
            std::fs::read_dir(directory.path().join("new")).expect("reads").count(),
            0
        );
    }
}
