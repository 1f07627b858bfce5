//! WHAT would Azure OpenAI do? A stand-in for fleets of accounts, close enough that a gateway cannot tell.
//!
//! [`start`] plays a [`scenario::Scenario`]: each account listens on its own address and answers like the service,
//! in its shapes, speeds, limits and failures. `emberway simulate` runs it alone; tests and the demo call `start`. It
//! shares no code with the gateway on purpose: a mistake made in both would hide itself.
//!
//! | question | file |
//! | --- | --- |
//! | what is played | `scenario`, `settings` |
//! | is this request let in, and when does each token come (no sockets, no clock) | `engine`, `limits`, `prompt_cache`, `admission` |
//! | what does the request ask | `route`, `request`, `known_fields`, `filters`, `tokens` |
//! | what is the answer | `answer`, `stream`, `embedding`, `document`, `models`, `head`, `failure` |
//! | what goes wrong on purpose | `faults`, `presets`, `body` |
//! | how it runs | `listener`, `data_plane`, `operation`, `flight`, `world`, `clock`, `record`, `chance` |
//! | how it is controlled | `control`, `control_http` |
//! | which deployments are there, who may ask, what does it cost | [`arm`], `meter`, `fine_tuning` |
//!
//! Not simulated: files, and the running of fine-tuning jobs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::simulator::arm::listener::{ArmListener, Secured};
use crate::simulator::arm::settings::ArmTls;
use crate::simulator::arm::tls::CertificateError;
use crate::simulator::control::{Control, ControlError};
use crate::simulator::listener::Listener;
use crate::simulator::scenario::{Scenario, ScenarioError, TlsSpec};
use crate::simulator::world::World;

pub mod admission;
pub mod answer;
pub mod arm;
pub mod body;
pub mod chance;
pub mod clock;
pub mod control;
pub mod control_http;
pub mod data_plane;
pub mod document;
pub mod embedding;
pub mod engine;
pub mod failure;
pub mod faults;
pub mod filters;
pub mod fine_tuning;
pub mod flight;
pub mod head;
pub mod known_fields;
pub mod limits;
pub mod listener;
pub mod meter;
pub mod models;
pub mod operation;
pub mod presets;
pub mod prompt_cache;
pub mod record;
pub mod request;
pub mod responses;
pub mod route;
pub mod scenario;
pub mod settings;
pub mod stream;
pub mod tokens;
pub mod world;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario breaks a rule.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A fault of the scenario names what is not there.
    #[error("a fault of the scenario is wrong")]
    Fault(#[source] ControlError),
    /// An address cannot be bound.
    #[error("cannot listen on `{address}` for `{what}`; is it in use?")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The account, `control` or `arm`.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The control plane's certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A certificate or key cannot be used.
    #[error("cannot use the TLS files of `{account}`: {problem}")]
    Tls {
        /// The account, or `arm`.
        account: String,
        /// What is wrong.
        problem: String,
    },
}

/// A running simulator. Dropping it ends it; [`Simulator::shutdown`] also waits for the end.
pub struct Simulator {
    control: Control,
    control_address: SocketAddr,
    control_task: JoinHandle<()>,
}

/// One simulated account, as its callers need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningAccount {
    /// Name.
    pub name: String,
    /// Region.
    pub region: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The same as a URL without a path, such as `http://127.0.0.1:9101`.
    pub url: String,
}

/// Binds every listener of the scenario and starts playing it on the current tokio runtime.
///
/// # Errors
/// When the scenario is wrong or an address or TLS file cannot be used. Nothing keeps running then.
pub async fn start(scenario: Scenario) -> Result<Simulator, StartError> {
    scenario.check()?;
    let control_address = scenario.control_address;
    let world = Arc::new(World::new(scenario)?);
    let mut listeners = Vec::with_capacity(world.accounts.len());
    for account in &world.accounts {
        let tls = account
            .spec
            .tls
            .as_ref()
            .map(|files| tls_acceptor(&account.spec.name, files))
            .transpose()?;
        let opened = Listener::open(Arc::clone(&world), Arc::clone(account), tls).await;
        let (address, what) = (account.spec.address, account.spec.name.clone());
        let opened = opened.map_err(|source| StartError::Bind { address, what, source })?;
        account.listens_at(opened.url());
        listeners.push(opened);
    }
    let arm = open_arm(&world).await?;
    let control = Control::new(Arc::clone(&world), listeners.into(), arm);
    for fault in &world.scenario.faults {
        control.add_fault(fault.clone()).map_err(StartError::Fault)?;
    }
    let what = || "control".to_owned();
    let bound = TcpListener::bind(control_address).await;
    let socket = bound.map_err(|source| StartError::Bind {
        address: control_address,
        what: what(),
        source,
    })?;
    let address = socket.local_addr();
    let address = address.map_err(|source| StartError::Bind {
        address: control_address,
        what: what(),
        source,
    })?;
    let routes = control_http::router(control.clone());
    let control_task = tokio::spawn(async move {
        if let Err(error) = axum::serve(socket, routes).await {
            tracing::error!(%error, "the simulator's control listener ended");
        }
    });
    Ok(Simulator {
        control,
        control_address: address,
        control_task,
    })
}

impl Simulator {
    /// The accounts in the scenario's order.
    pub fn accounts(&self) -> Vec<RunningAccount> {
        let account = |listener: &Listener| {
            let spec = &listener.account().spec;
            RunningAccount {
                name: spec.name.clone(),
                region: spec.region.clone(),
                address: listener.address(),
                url: listener.url(),
            }
        };
        self.control.listeners().iter().map(account).collect()
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<RunningAccount> {
        self.accounts().into_iter().find(|account| account.name == name)
    }

    /// URL of the control listener, without a path.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The control plane, where the scenario has one.
    pub fn arm(&self) -> Option<&ArmListener> {
        self.control.arm().map(AsRef::as_ref)
    }

    /// The handle for faults, outages and looking.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Ends every listener and connection.
    pub async fn shutdown(self) {
        for listener in self.control.listeners() {
            listener.stop().await;
        }
        if let Some(arm) = self.control.arm() {
            arm.stop().await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Handles held elsewhere must not keep the accounts alive.
        for listener in self.control.listeners() {
            listener.let_go();
        }
        if let Some(arm) = self.control.arm() {
            arm.let_go();
        }
        self.control_task.abort();
    }
}

/// Binds the control plane's listener, if the scenario has one.
async fn open_arm(world: &Arc<World>) -> Result<Option<Arc<ArmListener>>, StartError> {
    let Some(plane) = &world.arm else { return Ok(None) };
    let settings = &plane.settings;
    let failed = |source| StartError::Bind {
        address: settings.address,
        what: "arm".to_owned(),
        source,
    };
    let socket = TcpListener::bind(settings.address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let secured = match &settings.tls {
        None => Secured::default(),
        Some(ArmTls::Files(files)) => Secured {
            acceptor: Some(tls_acceptor("arm", files)?),
            certificate: None,
        },
        Some(ArmTls::Generated) => {
            let usual = || std::env::temp_dir().join(format!("emberway-simulator-{}.pem", address.port()));
            let to = settings.certificate_to.clone().unwrap_or_else(usual);
            let generated = arm::tls::generate(address.ip(), &to)?;
            Secured {
                acceptor: Some(generated.acceptor),
                certificate: Some(generated.certificate),
            }
        }
    };
    let opened = ArmListener::open(Arc::clone(world), Arc::clone(plane), socket, secured).await;
    Ok(Some(Arc::new(opened.map_err(failed)?)))
}

fn tls_acceptor(account: &str, files: &TlsSpec) -> Result<TlsAcceptor, StartError> {
    let wrong = |problem: String| StartError::Tls {
        account: account.to_owned(),
        problem,
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificate_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(format!("`{}`: {error}", files.certificate_file.display())))?;
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|error| wrong(format!("`{}`: {error}", files.key_file.display())))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| wrong(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
