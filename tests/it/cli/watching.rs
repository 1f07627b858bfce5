//! `emberway status` and `emberway top` against a running gateway.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use super::program::{Place, signal};
use crate::harness::{ADMIN_TOKEN, PATIENCE, STREAM, Setup, WHOLE, World, eventually, preset, within};

fn admin_url(world: &World) -> String {
    format!("http://{}", world.gateway.admin_address())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_one_screen_and_its_exit_code_says_whether_all_is_in_order() {
    let setup = Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    };
    let world = World::start(setup).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let (place, url) = (Place::new(), admin_url(&world));
    let arguments = ["status", "--url", &url];
    let token = [("EMBERWAY_ADMIN_TOKEN", ADMIN_TOKEN)];
    let status = async || place.run_with(&arguments, &token).await;

    let said = status().await;
    assert!(
        said.starts_with("exit 0\n--- stdout\ngateway  ready, emberway "),
        "{said}"
    );
    let line = |name: &str| {
        said.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{said}"))
    };
    assert!(line("config").contains("generation 1, loaded 20"), "{said}");
    assert!(line("fleet").contains("not looked after"), "{said}");
    assert!(line("ft ").contains("2/2"), "{said}");
    assert!(
        line("a/ft ").contains("  region-a  usable  ") && line("a/ft ").contains(" s ago"),
        "{said}"
    );
    assert!(said.ends_with("nothing needs somebody\n"), "{said}");
    assert!(!said.contains('\u{1b}'), "no styles in a pipe: {said:?}");

    let refused = place.run(&arguments).await;
    assert!(
        refused.starts_with("exit 1\n--- stderr\nerror: ") && refused.contains("401"),
        "{refused}"
    );

    // Both are out, and one of them for long: the pool has nobody.
    for (name, more) in [("a/ft", vec!["--for", "1h"]), ("b/ft", vec!["--force"])] {
        let drain = [&["drain", "deployment", name, "--url", &url], &*more].concat();
        let said = place.run_with(&drain, &token).await;
        assert!(said.starts_with("exit 0\n"), "{said}");
    }
    let said = status().await;
    assert!(said.starts_with("exit 1\n--- stdout\ngateway  ready, "), "{said}");
    assert!(said.contains("  pool ft: nobody usable: its requests fail;"), "{said}");
    assert!(
        said.contains("drained, 59 min left") && said.contains("  drained  "),
        "{said}"
    );

    let said = place.run_with(&[&arguments[..], &["--json"]].concat(), &token).await;
    let text = said
        .strip_prefix("exit 1\n--- stdout\n")
        .unwrap_or_else(|| panic!("{said}"));
    let report: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(report["in_order"], false);
    assert_eq!(report["needs"][0]["subject"], "pool ft");
    assert_eq!(report["status"]["deployments"][0]["name"], "a/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_of_a_refused_reload_and_of_an_alarm() {
    let world = World::start(Setup::default()).await;
    world.fault("a", preset("wrong_key"));
    assert_eq!(world.ask(WHOLE).await.status, 200, "b answers");
    let config = std::fs::read_to_string(world.config_path()).expect("a configuration");
    std::fs::write(world.config_path(), config.replace("routes:", "roots:")).expect("written");
    eventually("the refusal", || async {
        world.admin("/status").await.json()["config"]["last_error"]
            .is_string()
            .then_some(())
    })
    .await;
    let place = Place::new();
    let said = place.run(&["status", "--url", &admin_url(&world)]).await;
    assert!(said.starts_with("exit 0\n"), "the gateway works: {said}");
    assert!(said.contains(", a later file was refused\n"), "{said}");
    assert!(
        said.contains("  configuration: reload refused: the file on disk is not in use: "),
        "{said}"
    );
    assert!(said.contains("unknown field `roots`"), "{said}");
    assert!(
        said.contains("\n  a/ft: credential refused: check the resource's key"),
        "{said}"
    );
}

/// Asks without a pause until told to stop, a stream after a whole answer.
fn traffic(world: &Arc<World>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let (world, stopped) = (Arc::clone(world), Arc::clone(&stop));
    tokio::spawn(async move {
        while !stopped.load(Ordering::Acquire) {
            world.ask(WHOLE).await;
            world.ask(STREAM).await;
        }
    });
    stop
}

/// The cells of a row, by the header's titles.
fn cells<'a>(frame: &'a str, table: &str, row: &str) -> Vec<(&'a str, &'a str)> {
    let mut lines = frame.lines().skip_while(|line| !line.starts_with(table));
    let split = |line: &'a str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let header = lines.next().unwrap_or_else(|| panic!("no table {table}: {frame}"));
    let row = lines
        .find(|line| line.split_whitespace().next() == Some(row))
        .unwrap_or_else(|| panic!("no row {row}: {frame}"));
    split(header).zip(split(row)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn top_prints_one_frame_with_the_figures_of_the_traffic() {
    let world = Arc::new(World::start(Setup::default()).await);
    world.fault("a", preset("server_error"));
    let stop = traffic(&world);
    let place = Place::new();
    let url = admin_url(&world);
    // Without a terminal one frame is printed, also without `--once`.
    for more in [&["--once"][..], &[]] {
        let arguments = [&["top", "--url", &url, "--interval", "500ms"], more].concat();
        let said = place.run(&arguments).await;
        let frame = said
            .strip_prefix("exit 0\n--- stdout\n")
            .unwrap_or_else(|| panic!("{said}"));
        assert!(!frame.contains('\u{1b}') && !frame.contains("q ends"), "{frame:?}");
        let cell = |table, row, title: &str| {
            let cells = cells(frame, table, row);
            let found = cells.iter().find(|(at, _)| *at == title);
            found.unwrap_or_else(|| panic!("no {title}: {cells:?}")).1.to_owned()
        };
        let rate = |text: String| text.parse::<f64>().unwrap_or_else(|_| panic!("no rate: {text}"));
        assert!(rate(cell("route", "bot", "req/s")) > 2.0, "{frame}");
        assert_eq!(cell("route", "all", "req/s"), cell("route", "bot", "req/s"));
        assert_eq!(
            cell("route", "bot", "err/s"),
            "0",
            "what failed over succeeded: {frame}"
        );
        for title in ["ttft p50", "ttft p95", "total p50", "total p95"] {
            assert!(cell("route", "bot", title).ends_with("ms"), "{frame}");
            assert_eq!(cell("deployment", "a/ft", title), "-", "it answered nobody: {frame}");
            assert!(cell("deployment", "b/ft", title).ends_with("ms"), "{frame}");
        }
        assert!(rate(cell("deployment", "b/ft", "att/s")) > 2.0, "{frame}");
        assert_ne!(cell("deployment", "b/ft", "prompt tok/s"), "0", "{frame}");
        assert!(cell("route", "bot", "cached").ends_with('%'), "{frame}");
    }
    stop.store(true, Ordering::Release);
}

#[tokio::test]
async fn top_without_a_terminal_fails_where_nobody_answers() {
    let place = Place::new();
    let said = place.run(&["top", "--url", "http://127.0.0.1:9"]).await;
    assert!(
        said.starts_with(
            "exit 1\n--- stderr\nerror: no answer from the gateway's admin listener at `http://127.0.0.1:9/`: the connection was refused; "
        ) && said.contains("`--url` or `EMBERWAY_ADMIN_URL`"),
        "{said}"
    );
    let said = place.run(&["top", "--interval", "10ms"]).await;
    assert!(
        said.starts_with("exit 2\n") && said.contains("it must be 200ms to 1h"),
        "{said}"
    );
}

/// A terminal's size at first.
const COLUMNS: NonZeroU16 = NonZeroU16::new(120).expect("some");
const ROWS: NonZeroU16 = NonZeroU16::new(30).expect("some");

/// A program on a terminal of its own.
struct OnTerminal {
    process: Child,
    terminal: std::fs::File,
    /// Kept open, so that the terminal outlives the program and can be looked at.
    program_side: OwnedFd,
    written: mpsc::UnboundedReceiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl OnTerminal {
    /// Starts `emberway` with these arguments, in a session of its own with the terminal as its own.
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("granted");
        unlockpt(&terminal).expect("unlocked");
        let name = ptsname(&terminal, Vec::new())
            .expect("a name")
            .into_string()
            .expect("text");
        let open = || {
            let options = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
            rustix::fs::open(&*name, options, rustix::fs::Mode::empty()).expect("opened")
        };
        let program_side = open();
        resize(&program_side, COLUMNS.get(), ROWS.get());
        let program = place.command(&[]);
        let mut command = Command::new("/usr/bin/setsid");
        command
            .arg("--ctty")
            .arg(program.as_std().get_program())
            .args(arguments)
            .env_clear()
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .kill_on_drop(true);
        let process = command.spawn().expect("it starts");
        let terminal = std::fs::File::from(terminal);
        let mut reader = terminal.try_clone().expect("another handle");
        let (send, written) = mpsc::unbounded_channel();
        // Ends with the terminal: when the last handle of the program's side is closed.
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(count) = reader.read(&mut bytes) {
                if count == 0 || send.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            terminal,
            program_side,
            written,
            screen: vt100::Parser::new(ROWS, COLUMNS, 0),
        }
    }

    /// Waits until the screen is so.
    async fn shows(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let waiting = async {
            while !is_so(self.screen.screen()) {
                let bytes = self.written.recv().await.expect("the terminal is open");
                self.screen.process(&bytes);
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        let shown = || self.screen.screen().contents();
        assert!(came, "waited in vain for {what}: {}", shown());
    }

    /// Waits until this stands on the screen.
    async fn tells(&mut self, text: &str) {
        self.shows(&format!("`{text}`"), |screen| screen.contents().contains(text))
            .await;
    }

    /// The terminal gets another size.
    fn resize(&mut self, columns: u16, rows: u16) {
        resize(&self.program_side, columns, rows);
        let [rows, columns] = [rows, columns].map(|count| NonZeroU16::new(count).expect("some"));
        self.screen.set_size(rows, columns);
    }

    fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("pressed");
    }

    /// Whether what is typed is echoed, as in a shell.
    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.program_side).expect("its modes").local_modes;
        modes.contains(LocalModes::ECHO) && modes.contains(LocalModes::ICANON)
    }

    /// Waits for its end: the terminal is as it was, and the program left in order.
    async fn ended(mut self) {
        let given_back = |screen: &vt100::Screen| !screen.alternate_screen() && !screen.hide_cursor();
        self.shows("the screen given back", given_back).await;
        let status = within("its end", self.process.wait()).await.expect("a status");
        assert!(status.success(), "{status}");
        assert!(self.echoes());
    }
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("resized");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_on_a_terminal_heeds_keys_and_resizes_and_gives_it_back() {
    let world = Arc::new(World::start(Setup::default()).await);
    let stop = traffic(&world);
    let place = Place::new();
    let mut top = OnTerminal::start(&place, &["top", "--url", &admin_url(&world), "--interval", "200ms"]);
    top.tells("traffic of the last ").await;
    top.tells("a/ft").await;
    assert!(top.screen.screen().alternate_screen());
    assert!(!top.echoes());
    top.press("e");
    top.tells("err/s↓").await;
    top.press("e");
    top.tells("err/s↑").await;
    // Narrower and lower: the keys are at the foot of what there is now.
    top.resize(60, 20);
    let at_foot = |screen: &vt100::Screen| {
        screen
            .rows(0, 60)
            .nth(19)
            .is_some_and(|line| line.starts_with("q ends"))
    };
    top.shows("the keys at the new foot", at_foot).await;
    top.tells("err/s↑").await;
    top.press("q");
    top.ended().await;
    stop.store(true, Ordering::Release);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_gives_the_terminal_back_at_every_signal() {
    let world = World::start(Setup::default()).await;
    let place = Place::new();
    for name in ["TERM", "INT", "HUP"] {
        let mut top = OnTerminal::start(&place, &["top", "--url", &admin_url(&world)]);
        top.tells("a/ft").await;
        assert!(!top.echoes());
        signal(top.process.id().expect("it runs"), name).await;
        top.ended().await;
    }
}

/// Passes connections on to an address while it is open; while not, it closes every one.
async fn door(to: SocketAddr, open: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut open = open.clone();
            tokio::spawn(async move {
                if *open.borrow_and_update() {
                    let mut gateway = TcpStream::connect(to).await.expect("the gateway");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut gateway) => {}
                        _ = open.changed() => {}
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_an_unreachable_gateway_as_that_and_comes_back_by_itself() {
    let world = World::start(Setup::default()).await;
    let (open, opened) = watch::channel(false);
    let url = format!("http://{}", door(world.gateway.admin_address(), opened).await);
    let place = Place::new();
    let mut top = OnTerminal::start(&place, &["top", "--url", &url, "--interval", "200ms"]);
    top.tells("unreachable for ").await;
    open.send(true).expect("the door listens");
    let is_back = |screen: &vt100::Screen| {
        let text = screen.contents();
        text.contains("a/ft") && !text.contains("unreachable")
    };
    top.shows("an answer", is_back).await;
    open.send(false).expect("the door listens");
    top.tells("s, and asked on: no answer from the gateway's admin listener")
        .await;
    top.tells("a/ft").await;
    open.send(true).expect("the door listens");
    top.shows("an answer again", is_back).await;
    top.press("\u{3}");
    top.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_on_a_terminal_has_styles() {
    let world = World::start(Setup::default()).await;
    let place = Place::new();
    let url = admin_url(&world);
    let mut status = OnTerminal::start(&place, &["status", "--url", &url]);
    status.tells("nothing needs somebody").await;
    let heading = status.screen.screen().cell(0, 0).expect("a cell").clone();
    assert!(heading.contents() == "g" && heading.bold(), "{heading:?}");
    let ended = within("its end", status.process.wait()).await.expect("a status");
    assert!(ended.success());
}
