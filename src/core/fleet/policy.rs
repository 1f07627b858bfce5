//! What becomes of a deployment that nobody calls: the operator's choice.
//!
//! Hosting is paid by the hour until a deployment is gone (Microsoft Learn, Deploy a fine-tuned model), so keeping is not always
//! right. Each choice is good for something: `keep` for what must answer at once, `recreate` for what may take minutes, `expire` for
//! what other members of its pool can replace, `delete_after` for what is used in bursts.

use strum::{AsRefStr, IntoStaticStr};

/// What becomes of a deployment that nobody calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Policy {
    /// It is called before Azure deletes it; and rebuilt if it is lost all the same.
    Keep,
    /// Azure deletes it, and it is rebuilt.
    Recreate {
        /// As soon as it is gone, which has one of the Developer tier rebuilt each day; else by the first request that needs it.
        at_once: bool,
    },
    /// Azure deletes it, and that was that. What the gateway does where nothing is configured: it warns and writes nothing.
    #[default]
    Expire,
    /// The gateway deletes it, to end the hourly fee.
    DeleteAfter {
        /// Days without a successful call; at least 1.
        days: u32,
    },
}

impl Policy {
    /// The word for log, table and configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the gateway may rebuild what was lost.
    pub fn rebuilds(self) -> bool {
        matches!(self, Self::Keep | Self::Recreate { .. })
    }
}
