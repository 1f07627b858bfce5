//! Can a host be reached: has its name an address, does anybody listen there, is its certificate good?

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::cli::doctor::certificate::{self, Handshake, Trusted};
use crate::cli::doctor::report::{Finding, Group};
use crate::telemetry::clock;

/// A host and what it is called in findings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// Asks step by step, and stops where a step fails; also whether all went well enough to send requests.
pub(super) async fn check(place: &Place<'_>, trusted: &Trusted, patience: Duration) -> (Vec<Finding>, bool) {
    let looked_up = timeout(patience, lookup_host((place.host, place.port))).await;
    let looked_up = looked_up.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let looked_up: io::Result<Vec<SocketAddr>> = looked_up.map(Iterator::collect);
    let mut findings = Vec::new();
    // Of an address there is nothing to look up.
    if place.host.parse::<IpAddr>().is_err() {
        findings.push(name(place, &looked_up));
    }
    let Some(addresses) = looked_up.ok().filter(|addresses| !addresses.is_empty()) else {
        return (findings, false);
    };
    let connected = timeout(patience, TcpStream::connect(&*addresses)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            findings.push(refused(place, &error));
            return (findings, false);
        }
    };
    if !place.tls {
        findings.push(Finding::ok(
            Group::Network,
            place.name,
            format!("{}:{} takes connections; without TLS", place.host, place.port),
        ));
        return (findings, true);
    }
    let shaking = certificate::shake_hands(trusted, place.host, connection);
    let ended = timeout(patience, shaking).await;
    let ended = ended.unwrap_or_else(|_| Handshake::Failed("no answer in time".to_owned()));
    findings.push(handshake(place, &ended));
    (findings, matches!(ended, Handshake::Good | Handshake::EndsSoon(_)))
}

fn name(place: &Place<'_>, looked_up: &io::Result<Vec<SocketAddr>>) -> Finding {
    let Place { name, host, .. } = *place;
    match looked_up {
        Ok(addresses) if !addresses.is_empty() => {
            let mut shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            shown.dedup();
            Finding::ok(Group::Network, name, format!("`{host}` is {}", shown.join(", ")))
        }
        Ok(_) => unknown(place, "has no address"),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => unknown(place, "was not looked up in time"),
        Err(_) => unknown(place, "has no address that this machine can find"),
    }
}

fn unknown(place: &Place<'_>, what: &str) -> Finding {
    Finding::fail(
        Group::Network,
        place.name,
        format!("`{}` {what}", place.host),
        "compare the host in the configuration (an account's is on its page in Azure); with a private endpoint the private DNS zone must be linked to this network",
    )
}

fn refused(place: &Place<'_>, error: &io::Error) -> Finding {
    let Place { name, host, port, .. } = *place;
    let (what, mend) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            "refuses connections",
            "nobody listens there: compare host and port of the URL",
        ),
        io::ErrorKind::TimedOut => (
            "does not answer",
            "a firewall, a network rule or a route swallows packets on the way there",
        ),
        _ => (
            "cannot be connected to",
            "look at the network of this machine: its routes, and its firewall",
        ),
    };
    Finding::fail(Group::Network, name, format!("`{host}:{port}` {what} ({error})"), mend)
}

fn handshake(place: &Place<'_>, ended: &Handshake) -> Finding {
    let Place { name, host, .. } = *place;
    let (what, mend) = match ended {
        Handshake::Good => return Finding::ok(Group::Network, name, "TLS, with a certificate that is good for weeks"),
        Handshake::EndsSoon(at) => {
            let ends = clock::rfc3339(i64::try_from(at.saturating_mul(1_000)).unwrap_or(i64::MAX));
            let what = format!("TLS; the certificate of `{host}` ends on {ends}");
            return Finding::warn(
                Group::Network,
                name,
                what,
                "see that whoever runs the host renews it in time",
            );
        }
        Handshake::Expired => (
            format!("the certificate of `{host}` has expired"),
            "renew it; if it is Azure's, the clock of this machine is ahead",
        ),
        Handshake::NotYet => (
            format!("the certificate of `{host}` is not valid yet"),
            "set the clock of this machine right; it seems to be behind",
        ),
        Handshake::WrongName => (
            format!("the certificate is not for `{host}`"),
            "write the host that the certificate is for, or look who answers in its place",
        ),
        Handshake::Untrusted => (
            format!("nobody whom this machine trusts has signed the certificate of `{host}`"),
            "install `ca-certificates`, or your proxy's certificate; `SSL_CERT_FILE` names another file of them",
        ),
        Handshake::Failed(why) => (
            format!("no TLS with `{host}`: {why}"),
            "look what stands between: a proxy, a firewall, or a port without TLS",
        ),
    };
    Finding::fail(Group::Network, name, what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::report::State;

    const PLACE: Place<'_> = Place {
        name: "east",
        host: "east.example",
        port: 443,
        tls: true,
    };

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let told = async |host| {
            let place = Place {
                host,
                port,
                tls: false,
                ..PLACE
            };
            let (findings, is_reached) = check(&place, &None, Duration::from_secs(10)).await;
            assert!(is_reached, "{findings:?}");
            findings.into_iter().map(|found| found.what).collect::<Vec<_>>()
        };
        let connects = |host: &str| format!("{host}:{port} takes connections; without TLS");
        assert_eq!(told("127.0.0.1").await, [connects("127.0.0.1")]);
        let of_a_name = told("localhost").await;
        assert!(of_a_name[0].starts_with("`localhost` is "), "{of_a_name:?}");
    }

    #[test]
    fn every_end_of_a_handshake_is_a_finding() {
        let check = |ended: Handshake, state: State, part: &str| {
            let found = handshake(&PLACE, &ended);
            assert_eq!(
                (found.state, found.what.contains(part)),
                (state, true),
                "{ended:?}: {found:?}"
            );
            assert_eq!(found.mend.is_none(), state == State::Ok, "{ended:?}");
        };
        check(Handshake::Good, State::Ok, "good for weeks");
        check(Handshake::EndsSoon(1_900_000_000), State::Warn, "2030-03-17");
        check(Handshake::Expired, State::Fail, "has expired");
        check(Handshake::NotYet, State::Fail, "not valid yet");
        check(Handshake::WrongName, State::Fail, "not for `east.example`");
        check(Handshake::Untrusted, State::Fail, "nobody whom");
        check(Handshake::Failed("bad record".to_owned()), State::Fail, "bad record");
    }

    #[test]
    fn names_and_connections_that_fail_say_why() {
        let found = name(&PLACE, &Ok(vec!["127.0.0.1:443".parse().expect("an address")]));
        assert_eq!(
            (found.state, found.what.as_str()),
            (State::Ok, "`east.example` is 127.0.0.1")
        );
        for wrong in [
            Ok(Vec::new()),
            Err(io::ErrorKind::TimedOut.into()),
            Err(io::ErrorKind::Other.into()),
        ] {
            assert_eq!(name(&PLACE, &wrong).state, State::Fail, "{wrong:?}");
        }
        let check = |kind: io::ErrorKind, part: &str| {
            let found = refused(&PLACE, &kind.into());
            assert_eq!(
                (found.state, found.what.contains(part)),
                (State::Fail, true),
                "{found:?}"
            );
        };
        check(io::ErrorKind::ConnectionRefused, "refuses");
        check(io::ErrorKind::TimedOut, "does not answer");
        check(io::ErrorKind::NetworkUnreachable, "cannot be connected to");
    }
}
