//! What a gateway tells systemd, or whatever listens on `NOTIFY_SOCKET`.

use tokio::net::UnixDatagram;

use super::ends::prepared;
use super::program::Gateway;
use crate::harness::{Setup, within};

/// A service manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    /// Hears messages until one holds this line; returns its lines.
    async fn hears(&self, line: &str) -> Vec<String> {
        let hearing = async {
            loop {
                let mut message = [0; 1024];
                let length = self.0.recv(&mut message).await.expect("a message");
                let text = std::str::from_utf8(&message[..length]).expect("text");
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                if lines.iter().any(|told| told == line) {
                    return lines;
                }
            }
        };
        within(line, hearing).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manager_hears_of_every_step() {
    let (_sim, place, config) = prepared(&Setup::default()).await;
    let path = place.path("notify.sock");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket"));
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().expect("UTF-8")),
        ("WATCHDOG_USEC", "100000"),
    ];
    let gateway = Gateway::start_with(&place, &config, &[], &variables).await;
    let id = gateway.process.id().expect("it runs");
    let ready = manager.hears("READY=1").await;
    assert!(ready.contains(&format!("MAINPID={id}")), "{ready:?}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }

    gateway.signal("HUP").await;
    let reloading = manager.hears("RELOADING=1").await;
    assert!(
        reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")),
        "{reloading:?}"
    );
    let reloaded = manager.hears("READY=1").await;
    assert!(reloaded.contains(&"STATUS=serving".to_owned()), "{reloaded:?}");

    let good = std::fs::read_to_string(&config).expect("the configuration");
    place.write("emberway.yaml", &good.replace("pool: ft", "pool: nowhere"));
    gateway.signal("HUP").await;
    manager.hears("RELOADING=1").await;
    let refused = manager.hears("READY=1").await;
    assert!(refused.iter().any(|line| line.contains("was refused")), "{refused:?}");

    gateway.terminate().await;
    manager.hears("STOPPING=1").await;
    assert_eq!(gateway.ended().await.code(), Some(0));
}
