//! Names to addresses, without ever making a request wait for a name that was known before.
//!
//! The first lookup is waited for; after [`FRESH_FOR`] the next request starts a new one in the background and goes on with the
//! old address, which also stays in use while lookups fail. A connection that failed turns to the name's next address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::telemetry::events::LookupFailed;

/// How long an address is used before the name is looked up again. Azure's front doors move slowly; 30 s is the usual TTL.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// Longest time a first lookup may take.
const LOOKUP_MAX: Duration = Duration::from_secs(5);

/// One host name with what is known of its addresses.
#[derive(Debug)]
pub struct HostAddress {
    host: String,
    port: u16,
    known: ArcSwapOption<Known>,
    is_refreshing: AtomicBool,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl HostAddress {
    /// A name that has not been looked up.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            known: ArcSwapOption::empty(),
            is_refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }
    }

    /// An address to connect to, if the name has been looked up before. Where that was long ago, a new lookup is begun.
    pub fn known(self: &Arc<Self>, now: Instant) -> Option<SocketAddr> {
        let known = self.known.load();
        let known = known.as_ref()?;
        if now.duration_since(known.at) > FRESH_FOR && !self.is_refreshing.swap(true, Ordering::AcqRel) {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = this.look_up(now).await {
                    let (host, error) = (this.host.as_str(), &error);
                    LookupFailed { host, error }.emit();
                }
                this.is_refreshing.store(false, Ordering::Release);
            });
        }
        Some(self.pick(&known.addresses))
    }

    /// An address to connect to.
    ///
    /// # Errors
    /// When the name has never been resolved and cannot be now.
    pub async fn get(self: &Arc<Self>, now: Instant) -> std::io::Result<SocketAddr> {
        if let Some(address) = self.known(now) {
            return Ok(address);
        }
        let known = self.look_up(now).await?;
        Ok(self.pick(&known.addresses))
    }

    /// Notes that a connection failed, so that the next one goes to another address of the name.
    pub fn failed(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    fn pick(&self, addresses: &[SocketAddr]) -> SocketAddr {
        addresses[self.turn.load(Ordering::Relaxed) % addresses.len()]
    }

    async fn look_up(&self, now: Instant) -> std::io::Result<Arc<Known>> {
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let addresses: Vec<SocketAddr> = tokio::time::timeout(LOOKUP_MAX, lookup).await??.collect();
        if addresses.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        let known = Arc::new(Known { addresses, at: now });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn literals_resolve_to_themselves() {
        for (host, expect) in [("127.0.0.1", "127.0.0.1:80"), ("[::1]", "[::1]:80")] {
            let address = Arc::new(HostAddress::new(host, 80))
                .get(Instant::now())
                .await
                .expect("literal");
            assert_eq!(address.to_string(), expect);
        }
    }

    #[tokio::test]
    async fn a_known_address_outlives_its_freshness() {
        let host = Arc::new(HostAddress::new("name.invalid", 1));
        let start = Instant::now();
        assert!(host.get(start).await.is_err(), "reserved names never resolve");
        let addresses = vec![
            "10.0.0.1:1".parse().expect("address"),
            "10.0.0.2:1".parse().expect("address"),
        ];
        host.known.store(Some(Arc::new(Known { addresses, at: start })));
        let much_later = start + FRESH_FOR * 100;
        assert_eq!(host.get(much_later).await.expect("stale").to_string(), "10.0.0.1:1");
        host.failed();
        assert_eq!(host.get(much_later).await.expect("stale").to_string(), "10.0.0.2:1");
    }
}
