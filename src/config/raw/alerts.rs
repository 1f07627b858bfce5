//! The part of the file about telling people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalars::SecretText;

/// Who is told what people should look at.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Alerts")]
pub(in crate::config) struct RawAlerts {
    /// A URL that takes JSON by `POST`.
    pub(in crate::config) webhook: RawWebhook,
}

/// A URL that alerts are sent to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Webhook")]
pub(in crate::config) struct RawWebhook {
    /// The URL, by reference: whoever knows a chat service's can write there.
    pub(in crate::config) url: SecretText,
    /// Value of the header `Authorization`, such as `Bearer ${env:ALERT_TOKEN}`.
    pub(in crate::config) authorization: Option<SecretText>,
    /// Allows an `http://` URL to another machine.
    #[serde(default)]
    pub(in crate::config) allow_plaintext: bool,
}
