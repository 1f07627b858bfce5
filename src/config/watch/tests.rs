//! Real files in a directory of their own; every wait is for an attempt to be announced.

use std::fs;
use std::os::unix::fs::symlink;

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::sync::{RwLock, RwLockReadGuard, mpsc};

use super::*;
use crate::config::tests::{SMALL, variables};

/// Longest wait for an attempt; reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A signal reaches every watch in the process, so the test that sends one runs alone.
static SIGNALS: RwLock<()> = RwLock::const_new(());

struct Rig {
    directory: TempDir,
    path: PathBuf,
    watch: ConfigWatch,
    attempts: watch::Receiver<u64>,
    reloads: mpsc::UnboundedReceiver<Arc<Checked>>,
    quiet_hold: Option<RwLockReadGuard<'static, ()>>,
}

impl Rig {
    /// Watches `config.yaml`, which `lay_out` has made, and waits for the first look at it.
    async fn start(lay_out: impl FnOnce(&Path)) -> Self {
        let quiet = SIGNALS.read().await;
        let mut rig = Self::start_among_signals(lay_out).await;
        rig.quiet_hold = Some(quiet);
        rig
    }

    async fn start_among_signals(lay_out: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        lay_out(directory.path());
        let path = directory.path().join("config.yaml");
        let initial = load::load(&path, &variables).expect("compiles");
        let (sender, reloads) = mpsc::unbounded_channel();
        // A configuration with this capacity finds no use.
        let on_reload = move |fresh: Arc<Checked>| {
            let usable = fresh
                .runtime
                .snapshot
                .deployments
                .iter()
                .all(|one| one.capacity != Some(666));
            if usable {
                sender.send(fresh).expect("the test waits");
            }
            std::future::ready(if usable { Ok(()) } else { Err("no luck".to_owned()) }).boxed()
        };
        let watch = spawn(&path, Arc::new(initial), Arc::new(variables), Box::new(on_reload)).expect("watches");
        let attempts = watch.attempts();
        let mut rig = Self {
            directory,
            path,
            watch,
            attempts,
            reloads,
            quiet_hold: None,
        };
        rig.next_attempt().await;
        rig
    }

    async fn next_attempt(&mut self) -> Arc<ReloadStatus> {
        tokio::time::timeout(PATIENCE, self.attempts.changed())
            .await
            .expect("an attempt in time")
            .expect("the watch runs");
        self.watch.status().load_full()
    }

    /// The tier weights of the only pool in the newest configuration.
    fn reloaded_weights(&mut self) -> Vec<f64> {
        let checked = self.reloads.try_recv().expect("a reload");
        checked.runtime.snapshot.pools[0]
            .members()
            .map(|member| member.weight)
            .collect()
    }

    fn has_reloaded(&mut self) -> bool {
        self.reloads.try_recv().is_ok()
    }
}

fn plain_file(directory: &Path) {
    fs::write(directory.join("config.yaml"), SMALL).expect("write");
}

fn edited() -> String {
    SMALL.replace("capacity: 150", "capacity: 250")
}

#[tokio::test]
async fn a_file_that_is_replaced_by_renaming_is_reloaded() {
    let mut rig = Rig::start(plain_file).await;
    assert!(!rig.has_reloaded(), "nothing has changed yet");
    let draft = rig.directory.path().join(".config.yaml.swp");
    fs::write(&draft, edited()).expect("write");
    fs::rename(&draft, &rig.path).expect("rename");
    let status = rig.next_attempt().await;
    assert_eq!((status.generation, &status.last_error), (2, &None));
    assert_eq!(rig.reloaded_weights(), [50_000.0, 250_000.0]);
}

#[tokio::test]
async fn a_swapped_link_is_reloaded_as_kubernetes_does_it() {
    let mut rig = Rig::start(|directory| {
        fs::create_dir(directory.join("v1")).expect("directory");
        fs::write(directory.join("v1/config.yaml"), SMALL).expect("write");
        symlink("v1", directory.join("..data")).expect("link");
        symlink("..data/config.yaml", directory.join("config.yaml")).expect("link");
    })
    .await;
    let directory = rig.directory.path().to_owned();
    fs::create_dir(directory.join("v2")).expect("directory");
    fs::write(directory.join("v2/config.yaml"), edited()).expect("write");
    symlink("v2", directory.join("..data_tmp")).expect("link");
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).expect("rename");
    assert_eq!(rig.next_attempt().await.generation, 2);
    assert_eq!(rig.reloaded_weights(), [50_000.0, 250_000.0]);
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_configuration_until_it_is_mended() {
    let mut rig = Rig::start(plain_file).await;
    fs::write(&rig.path, SMALL.replace("pool: support", "pool: suport")).expect("write");
    let status = rig.next_attempt().await;
    assert_eq!(status.generation, 1);
    let error = status.last_error.as_deref().expect("an error");
    assert!(error.contains("routes[0].pool: unknown pool `suport`"), "{error}");
    fs::write(&rig.path, SMALL).expect("write");
    let status = rig.next_attempt().await;
    assert_eq!((status.generation, &status.last_error), (1, &None));
    assert!(!rig.has_reloaded());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_put_to_use_is_refused_and_not_taken_for_the_one_in_use() {
    let mut rig = Rig::start(plain_file).await;
    fs::write(&rig.path, SMALL.replace("capacity: 150", "capacity: 666")).expect("write");
    for _ in 0..2 {
        let status = rig.next_attempt().await;
        assert_eq!(status.generation, 1);
        assert_eq!(
            status.last_error.as_deref(),
            Some("the file compiles but cannot be put to use: no luck")
        );
        rig.watch.reload();
    }
    rig.next_attempt().await;
    // Compared with what is in use, not with what was refused.
    fs::write(&rig.path, edited()).expect("write");
    let status = rig.next_attempt().await;
    assert_eq!((status.generation, &status.last_error), (2, &None));
    assert_eq!(rig.reloaded_weights(), [50_000.0, 250_000.0]);
}

#[tokio::test]
async fn changes_that_need_a_restart_are_refused_by_name() {
    let mut rig = Rig::start(plain_file).await;
    fs::write(
        &rig.path,
        format!("{}usage: {{queue: 5}}\nlog: {{format: json}}\n", edited()),
    )
    .expect("write");
    let status = rig.next_attempt().await;
    assert_eq!(status.generation, 1);
    assert_eq!(
        status.last_error.as_deref(),
        Some("a restart is needed to change `usage.queue`, `log.format`")
    );
    assert!(!rig.has_reloaded(), "never half-applied");
}

#[tokio::test]
async fn a_removed_file_is_an_error_and_told_once() {
    let mut rig = Rig::start(plain_file).await;
    fs::remove_file(&rig.path).expect("remove");
    let status = rig.next_attempt().await;
    assert!(
        status
            .last_error
            .as_deref()
            .is_some_and(|error| error.contains("cannot read the file"))
    );
    // An event about another file is no new attempt; the next one is the file's return.
    fs::write(rig.directory.path().join("other"), "x").expect("write");
    fs::write(&rig.path, edited()).expect("write");
    assert_eq!(rig.next_attempt().await.generation, 2);
}

#[tokio::test]
async fn asking_reloads_secrets_behind_files_too() {
    let with_file = SMALL.replace("${env:AZURE_KEY}", "${file:key}");
    let mut rig = Rig::start(|directory| {
        fs::write(directory.join("key"), "first-key\n").expect("write");
        fs::write(directory.join("config.yaml"), &with_file).expect("write");
    })
    .await;
    fs::write(rig.directory.path().join("key"), "second-key\n").expect("write");
    rig.watch.reload();
    assert_eq!(rig.next_attempt().await.generation, 2);
    let checked = rig.reloads.try_recv().expect("a reload");
    let crate::config::checked::Credential::ApiKey(key) = &checked.runtime.credentials[0] else {
        panic!("an api key");
    };
    assert_eq!(key.expose(), "second-key");
}

#[tokio::test]
async fn a_refused_credential_is_cause_to_reload_only_where_something_has_changed() {
    let with_file = SMALL.replace("${env:AZURE_KEY}", "${file:key}");
    let mut rig = Rig::start(|directory| {
        fs::write(directory.join("key"), "first-key\n").expect("write");
        fs::write(directory.join("config.yaml"), &with_file).expect("write");
    })
    .await;
    let refused = rig.watch.credential_refused();
    refused();
    assert_eq!(rig.next_attempt().await.generation, 1);
    assert!(!rig.has_reloaded());
    fs::write(rig.directory.path().join("key"), "second-key\n").expect("write");
    refused();
    assert_eq!(rig.next_attempt().await.generation, 2);
}

#[tokio::test]
async fn sighup_reloads() {
    let _alone = SIGNALS.write().await;
    let mut rig = Rig::start_among_signals(plain_file).await;
    // The handler is installed by now, so the signal does not end the test process.
    let status = std::process::Command::new("kill")
        .args(["-HUP", &std::process::id().to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
    assert_eq!(rig.next_attempt().await.generation, 2);
    assert!(rig.has_reloaded());
}
