//! One step of a plan: a write to Azure, or taking a deployment out of routing and putting it back.

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, IntoStaticStr};

use crate::core::fleet::actual::ActualDeployment;
use crate::core::fleet::declared::DeclaredDeployment;
use crate::core::fleet::finding::FindingKind;
use crate::core::fleet::key::DeploymentKey;

/// What is done, in the order in which it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsRefStr, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepKind {
    /// `PUT` of what is missing, or of what came to nothing.
    Create,
    /// `PATCH` of SKU or capacity that takes nothing away.
    Raise,
    /// Out of routing: no new requests. No write to Azure.
    Drain,
    /// `PUT` of another model under the same name.
    Replace,
    /// Back into routing. No write to Azure.
    Rejoin,
    /// `PATCH` of capacity that takes some away.
    Lower,
    /// `DELETE`.
    Delete,
}

impl StepKind {
    /// The word for table, log, journal and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether Azure is written to; of those an account takes one at a time.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Drain | Self::Rejoin)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// To which deployment.
    pub key: DeploymentKey,
    /// Its name for people: `resource/name` in the configuration, or `account/name`.
    pub of: String,
    /// When the deployment that is changed or deleted was created: one that was made since is another one.
    pub incarnation_ms: Option<i64>,
    /// What it is for.
    pub why: FindingKind,
    /// For people.
    pub text: String,
}

impl Step {
    /// Of a declared deployment.
    pub fn new(kind: StepKind, declared: &DeclaredDeployment, why: FindingKind, text: String) -> Self {
        Self {
            kind,
            key: declared.key.clone(),
            of: declared.id.to_string(),
            incarnation_ms: None,
            why,
            text,
        }
    }

    /// Of what nobody declares.
    pub fn deletion(key: &DeploymentKey, actual: &ActualDeployment, text: String) -> Self {
        Self {
            kind: StepKind::Delete,
            key: key.clone(),
            of: key.to_string(),
            incarnation_ms: actual.created_at_ms,
            why: FindingKind::Unknown,
            text,
        }
    }

    /// The same, of the deployment that is there now.
    pub fn of_incarnation(mut self, actual: &ActualDeployment) -> Self {
        self.incarnation_ms = actual.created_at_ms;
        self
    }

    /// What goes with this step, of the same deployment and for the same reason.
    pub fn beside(&self, kind: StepKind, text: &str) -> Self {
        Self {
            kind,
            text: text.to_owned(),
            ..self.clone()
        }
    }
}
