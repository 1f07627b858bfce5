//! How often an address may try: a count for each in a window of a minute, bounded in memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The length of a window.
const WINDOW: Duration = Duration::from_mins(1);

/// Addresses that are counted apart; further ones share a count until others are old.
const ADDRESSES_MAX: usize = 4_096;

/// Counts attempts.
pub(super) struct Attempts {
    most: u32,
    counted: Mutex<HashMap<IpAddr, Counted>>,
}

struct Counted {
    began: Instant,
    count: u32,
}

impl Attempts {
    /// At most so many in a minute.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            counted: Mutex::default(),
        }
    }

    /// Whether an address may try now.
    ///
    /// # Errors
    /// For how long it may not.
    pub(super) fn may(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let counted = self.counted.lock();
        let own = counted.get(&key(address));
        let shared = counted
            .get(&SHARED)
            .filter(|_| own.is_none() && counted.len() >= ADDRESSES_MAX);
        match own.or(shared) {
            Some(count) if count.count >= self.most => {
                let left = (count.began + WINDOW).saturating_duration_since(now);
                if left.is_zero() { Ok(()) } else { Err(left) }
            }
            _ => Ok(()),
        }
    }

    /// Counts an attempt of an address.
    pub(super) fn count(&self, address: IpAddr, now: Instant) {
        let mut counted = self.counted.lock();
        let mut key = key(address);
        if counted.len() >= ADDRESSES_MAX && !counted.contains_key(&key) {
            counted.retain(|_, count| now.saturating_duration_since(count.began) < WINDOW);
            if counted.len() >= ADDRESSES_MAX {
                key = SHARED;
            }
        }
        let count = counted.entry(key).or_insert(Counted { began: now, count: 0 });
        if now.saturating_duration_since(count.began) >= WINDOW {
            *count = Counted { began: now, count: 0 };
        }
        count.count += 1;
    }
}

/// Stands for all addresses for which there is no room.
const SHARED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// An address, or the network that one subscriber has of IPv6.
fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn an_address_waits_for_its_window_to_end_and_others_do_not() {
        let attempts = Attempts::new(2);
        let now = Instant::now();
        for _ in 0..2 {
            assert_eq!(attempts.may(v4(1), now), Ok(()));
            attempts.count(v4(1), now);
        }
        assert_eq!(attempts.may(v4(1), now + WINDOW / 4), Err(WINDOW * 3 / 4));
        assert_eq!(attempts.may(v4(2), now), Ok(()));
        assert_eq!(attempts.may(v4(1), now + WINDOW), Ok(()));
        attempts.count(v4(1), now + WINDOW);
        assert_eq!(attempts.may(v4(1), now + WINDOW), Ok(()));
    }

    #[test]
    fn neighbours_in_a_network_of_ipv6_are_one() {
        let attempts = Attempts::new(1);
        let now = Instant::now();
        attempts.count("2001:db8::1".parse().expect("an address"), now);
        assert!(attempts.may("2001:db8::2".parse().expect("an address"), now).is_err());
        assert!(
            attempts
                .may("2001:db8:0:1::1".parse().expect("an address"), now)
                .is_ok()
        );
    }

    #[test]
    fn beyond_the_room_addresses_share_a_count() {
        let attempts = Attempts::new(1);
        let now = Instant::now();
        for number in 1..=ADDRESSES_MAX as u32 {
            attempts.count(v4(number), now);
        }
        let beyond = v4(ADDRESSES_MAX as u32 + 1);
        assert!(attempts.may(beyond, now).is_ok());
        attempts.count(beyond, now);
        assert!(attempts.may(v4(ADDRESSES_MAX as u32 + 2), now).is_err());
        assert_eq!(attempts.counted.lock().len(), ADDRESSES_MAX + 1);
        attempts.count(v4(ADDRESSES_MAX as u32 + 3), now + WINDOW);
        assert_eq!(attempts.counted.lock().len(), 1);
    }
}
