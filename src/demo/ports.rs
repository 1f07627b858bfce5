//! Which ports: the usual ones, so that what is printed can be learnt by heart, and others in the place of those that are taken.
//!
//! A replacement lies a multiple of [`STEP`] above, never in the range that the system hands out to outgoing connections: a
//! simulated region gives its port up while it is down, and one of the demo's own connections could be given it.

/// Distance between a taken port and the one tried instead.
const STEP: u16 = 100;
/// Replacements tried for one port.
const TRIES: u16 = 40;
/// Where ports at random begin; with [`TRIES`] steps they end below 32768, where Linux's ephemeral range begins.
const RANDOM_FROM: u16 = 20_000;
const RANDOM_TO: u16 = 28_000;

/// Neither a port nor any replacement is free.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("port `{wanted}` and {TRIES} others instead of it are taken; stop what listens there")]
pub struct NoPort {
    /// The port.
    pub wanted: u16,
}

/// A port, and the one that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// What was asked for.
    pub wanted: u16,
    /// What is free.
    pub got: u16,
}

/// Takes for each wanted port the first that is free and not taken by one before it.
///
/// # Errors
/// When there is none.
pub fn choose(wanted: &[u16], mut is_free: impl FnMut(u16) -> bool) -> Result<Vec<Port>, NoPort> {
    let mut chosen: Vec<Port> = Vec::with_capacity(wanted.len());
    for &wanted in wanted {
        let got = (0..TRIES)
            .filter_map(|step| wanted.checked_add(step * STEP))
            .find(|&port| chosen.iter().all(|other| other.got != port) && is_free(port))
            .ok_or(NoPort { wanted })?;
        chosen.push(Port { wanted, got });
    }
    Ok(chosen)
}

/// As many neighbouring ports, beginning at random.
pub fn at_random(count: u16, rng: &mut impl rand::RngExt) -> Vec<u16> {
    let first = rng.random_range(RANDOM_FROM..RANDOM_TO);
    (first..first + count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(wanted: &[u16], taken: &[u16]) -> Result<Vec<u16>, NoPort> {
        let ports = choose(wanted, |port| !taken.contains(&port))?;
        Ok(ports.iter().map(|port| port.got).collect())
    }

    #[test]
    fn taken_ports_are_replaced_and_others_kept() {
        assert_eq!(got(&[8080, 9090], &[]), Ok(vec![8080, 9090]));
        assert_eq!(got(&[8080, 9090], &[8080, 8180]), Ok(vec![8280, 9090]));
    }

    #[test]
    fn no_port_is_given_twice() {
        assert_eq!(got(&[9000, 9100], &[9000]), Ok(vec![9100, 9200]));
    }

    #[test]
    fn where_none_is_free_that_is_said() {
        assert_eq!(choose(&[8080], |_| false), Err(NoPort { wanted: 8080 }));
        assert_eq!(choose(&[65500], |port| port != 65500), Err(NoPort { wanted: 65500 }));
    }

    #[test]
    fn random_ports_stay_below_the_ephemeral_range() {
        let ports = at_random(6, &mut rand::rng());
        assert_eq!(ports.len(), 6);
        assert!(
            ports
                .iter()
                .all(|&port| port >= RANDOM_FROM && port + (TRIES - 1) * STEP < 32_768)
        );
    }
}
