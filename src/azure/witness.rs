//! Whoever hears of every write to ARM: before it is sent, when it has an answer, and when its operation has ended, where that is followed.
//!
//! What cannot be written down before is not sent. So a write of which only the beginning is known was cut off, and may have been done.

use std::error::Error;

use async_trait::async_trait;

use crate::azure::address::ArmRequest;
use crate::azure::error::AzureError;

/// Told of every write, each try of it by itself.
#[async_trait]
pub trait Witness: Send + Sync {
    /// A write is about to be sent.
    ///
    /// # Errors
    /// When it cannot be written down. It is not sent then.
    async fn sending(&self, write: Write<'_>) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// The write has an answer, or none will come.
    async fn ended(&self, write: Write<'_>, ended: Ended<'_>);

    /// The operation that the write began was followed to its end.
    async fn followed(&self, write: Write<'_>, outcome: Result<(), &AzureError>);
}

/// A write.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// What is asked: method, path and query.
    pub request: &'a ArmRequest,
    /// The id that is sent along.
    pub client_request_id: &'a str,
}

/// What came of a write.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// ARM's id of it, if it answered.
    pub request_id: Option<&'a str>,
    /// The answer's status, or why there is none.
    pub outcome: Result<u16, &'a AzureError>,
}
