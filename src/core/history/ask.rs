//! What may be asked of the history: which time, which requests, by what.

use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// Most points of a series.
pub const POINTS_MAX: usize = 600;

/// A time, and which requests of it: those that agree in all that is named. A name that nobody has finds nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its beginning, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// Its end, which is not part of it.
    pub to_ms: i64,
    /// Which requests.
    pub filter: Filter,
}

/// Which requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those for this route.
    pub route: Option<String>,
    /// Those that this deployment answered, or was tried for last.
    pub deployment: Option<String>,
    /// The same by its region.
    pub region: Option<String>,
    /// Those of this client.
    pub client: Option<String>,
}

/// What series and totals are by.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum By {
    /// All together.
    #[default]
    None,
    /// Each route.
    Route,
    /// Each deployment.
    Deployment,
    /// Each region.
    Region,
    /// Each client.
    Client,
}

/// Which time of a request.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Latency {
    /// To the first token of a stream.
    Ttft,
    /// To the end.
    #[default]
    Total,
    /// In the gateway itself.
    Overhead,
}
