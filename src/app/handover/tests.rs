//! Both sides in one process: what a successor gets, and what becomes of one that fails.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Two sockets of the same configured address, as a test's configuration has them, and where they really listen.
fn sockets() -> (Vec<(SocketAddr, TcpListener)>, [SocketAddr; 2]) {
    let [one, two] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let bound = [&one, &two].map(|socket| socket.local_addr().expect("an address"));
    let asked = address("127.0.0.1:0");
    (vec![(asked, one), (asked, two)], bound)
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(20), future).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

#[tokio::test]
async fn a_successor_gets_the_same_sockets_and_is_believed_when_it_is_ready() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("upgrade.sock");
    let (offered, bound) = sockets();
    let offer = offer(&path, offered, false).await.expect("offered");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 1);

    let mut inherited = take_over(&path).await.expect("sockets");
    let taken = [(); 2].map(|()| inherited.take(address("127.0.0.1:0")).expect("a socket"));
    assert_eq!(
        taken.each_ref().map(|socket| socket.local_addr().expect("an address")),
        bound
    );
    assert!(inherited.take(address("127.0.0.1:0")).is_none(), "each once");
    within("readiness", inherited.ready()).await;
    within("the offer to be taken", offer.taken()).await;
    drop(offer);
    assert!(!path.exists());
    // They outlive the process that made them.
    std::net::TcpStream::connect(bound[0]).expect("a connection");
}

#[tokio::test]
async fn one_that_fails_is_forgotten_and_the_next_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("upgrade.sock");
    let (offered, _) = sockets();
    let offer = offer(&path, offered, false).await.expect("offered");
    let failing = take_over(&path).await.expect("sockets");
    drop(failing);
    within("the failure", offer.settled()).await;
    assert_eq!(*offer.progress.borrow(), Progress::Waiting);
    let second = take_over(&path).await.expect("sockets again");
    assert_eq!(second.sockets.len(), 2);
    within("readiness", second.ready()).await;
    within("the offer to be taken", offer.taken()).await;
}

#[tokio::test]
async fn a_successor_is_not_held_up_by_an_older_process_that_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("upgrade.sock");
    let (offered, bound) = sockets();
    let offer = offer(&path, offered, false).await.expect("offered");
    let mut inherited = take_over(&path).await.expect("sockets");
    drop(offer);
    let socket = inherited.take(address("127.0.0.1:0")).expect("a socket");
    let at_once = tokio::time::timeout(ANSWER_WITHIN / 2, inherited.ready()).await;
    at_once.expect("the connection's end is an answer");
    assert_eq!(socket.local_addr().expect("an address"), bound[0]);
}

#[tokio::test]
async fn a_path_in_use_is_left_alone_and_a_left_one_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("upgrade.sock");
    let nobody = take_over(&path).await.expect_err("nobody");
    assert!(nobody.to_string().contains("no running gateway listens on"), "{nobody}");
    let first = offer(&path, Vec::new(), false).await.expect("offered");
    let taken = offer(&path, Vec::new(), false).await.expect_err("in use");
    assert!(matches!(taken, HandoverError::Taken { .. }), "{taken}");
    // Its successor takes the path over; when the first one ends, it leaves it alone.
    let second = offer(&path, Vec::new(), true).await.expect("replaced");
    drop(first);
    assert!(path.exists());
    drop(second);
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "left by a process that was killed");
    let third = offer(&path, Vec::new(), false).await.expect("replaced");
    drop(third);
    let nowhere = offer(&directory.path().join("no/such.sock"), Vec::new(), false).await;
    assert!(matches!(nowhere.expect_err("no folder"), HandoverError::Listen { .. }));
}
