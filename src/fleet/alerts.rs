//! Telling people by a webhook what they should look at. Best effort, and never waited for: the log and the metrics have the same.
//!
//! A message is JSON with a member `text`, which chat services show as it is, and members for programs. Nothing of a prompt is in it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;

use crate::azure::transport::{Http, host_of};
use crate::config::checked::AlertSettings;
use crate::telemetry::clock;
use crate::telemetry::events::care::{AlertUnsent, Alerted};
use crate::telemetry::metrics::Metrics;

/// Alerts that wait to be sent. More at once are dropped, and counted.
const QUEUE: usize = 256;
/// Waits before an alert is tried again. A receiver that restarts is back within them.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_mins(1)];
/// Longest wait for the receiver's word.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at in working hours.
    Warning,
    /// To be looked at now.
    Critical,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Topic {
    /// Azure's deletion for inactivity comes near, or is no longer near.
    Inactivity,
    /// A model's retirement or a Developer tier's end comes near.
    End,
    /// A deployment gets no requests, or gets them again.
    Absence,
    /// A lost deployment is made again.
    Rebuilding,
    /// The gateway deletes a deployment, by its policy.
    Deletion,
    /// A call against inactivity failed.
    Keepalive,
    /// The usage store cannot be written.
    Store,
    /// Azure's control plane cannot be read.
    Azure,
}

/// Something to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub topic: Topic,
    /// Which deployment, if it is of one.
    pub deployment: Option<String>,
    /// In words.
    pub text: String,
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    source: &'static str,
    /// The gateway's name among its replicas.
    gateway: &'a str,
    /// RFC 3339.
    at: String,
    severity: Severity,
    topic: Topic,
    deployment: Option<&'a str>,
    text: String,
}

/// Where alerts are put.
#[derive(Debug, Clone)]
pub struct Alerts {
    /// With when each was put in, in milliseconds since the Unix epoch.
    queue: mpsc::Sender<(Alert, i64)>,
    metrics: Arc<Metrics>,
}

impl Alerts {
    /// Begins to send what is put in. The task ends with the last of these.
    pub fn start(
        settings: &AlertSettings,
        http: Http,
        gateway: String,
        metrics: Arc<Metrics>,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let sender = Sender {
            settings: settings.clone(),
            http,
            gateway,
            metrics: Arc::clone(&metrics),
        };
        (Self { queue, metrics }, tokio::spawn(sender.run(waiting)))
    }

    /// Has an alert sent. Never waits.
    pub fn send(&self, alert: Alert) {
        if self.queue.try_send((alert, clock::now_ms())).is_err() {
            Alerted { result: "dropped" }.emit(&self.metrics);
        }
    }
}

struct Sender {
    settings: AlertSettings,
    http: Http,
    gateway: String,
    metrics: Arc<Metrics>,
}

impl Sender {
    async fn run(self, mut waiting: mpsc::Receiver<(Alert, i64)>) {
        while let Some((alert, at_ms)) = waiting.recv().await {
            let result = match self.deliver(&alert, at_ms).await {
                Ok(()) => "sent",
                Err(cause) => {
                    let host = host_of(&self.settings.url);
                    AlertUnsent {
                        host: &host,
                        cause: &cause,
                    }
                    .emit();
                    "failed"
                }
            };
            Alerted { result }.emit(&self.metrics);
        }
    }

    async fn deliver(&self, alert: &Alert, at_ms: i64) -> Result<(), String> {
        let about = alert.deployment.as_deref().unwrap_or("the fleet");
        let message = Message {
            source: "emberway",
            gateway: &self.gateway,
            at: clock::rfc3339(at_ms),
            severity: alert.severity,
            topic: alert.topic,
            deployment: alert.deployment.as_deref(),
            text: format!("[{}] {about}: {}", alert.severity.as_ref(), alert.text),
        };
        let mut waits = WAITS.iter();
        loop {
            let Err((cause, may_pass)) = self.post(self.settings.url.clone(), &message).await else {
                return Ok(());
            };
            let Some(wait) = waits.next().filter(|_| may_pass) else {
                return Err(cause);
            };
            // The receiver's recovery is what is waited for, and nothing tells of it.
            tokio::time::sleep(*wait).await;
        }
    }

    /// Why it was not taken, and whether that may pass.
    async fn post(&self, url: Url, message: &Message<'_>) -> Result<(), (String, bool)> {
        let mut request = self
            .http
            .request(http::Method::POST, url)
            .timeout(PATIENCE)
            .json(message);
        if let Some(authorization) = &self.settings.authorization {
            request = request.header(http::header::AUTHORIZATION, authorization.expose());
        }
        match self.http.send(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => {
                let may_pass = matches!(answer.status, 408 | 429 | 500..);
                Err((format!("it answered {}", answer.status), may_pass))
            }
            Err(error) => Err((error.to_string(), true)),
        }
    }
}
