//! Tells the service manager how the process is: ready, reloading, stopping, and alive. Where there is no manager (`NOTIFY_SOCKET` is not
//! set), nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::telemetry::events::process::ManagerNotTold;

/// The process serves, and is the service's main process now: a successor says so while the older one still runs.
pub fn ready() {
    let pid = NotifyState::MainPid(std::process::id());
    tell("ready", &[NotifyState::Ready, pid, NotifyState::Status("serving")]);
}

/// The process begins to end.
pub fn stopping() {
    tell("stopping", &[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// The configuration was read anew, and what came of it. Told at once as begun and as done, when it is done: the manager then knows that
/// whoever asked for it may go on.
pub fn reloaded(is_refused: bool) {
    let now = match NotifyState::monotonic_usec_now() {
        Ok(now) => now,
        Err(error) => {
            return ManagerNotTold {
                what: "reloading",
                error: &error,
            }
            .emit();
        }
    };
    tell("reloading", &[NotifyState::Reloading, now]);
    // Without the reason: the status is one line for everybody to read, and the reason quotes the file.
    let status = if is_refused {
        "serving; the changed configuration was refused, see the log"
    } else {
        "serving"
    };
    tell("reloaded", &[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How often the manager wants to hear that the process lives; none where it does not.
pub fn watchdog_period() -> Option<Duration> {
    // Twice in the time after which it gives up.
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Tells again and again that the process lives, from a task of the runtime that serves requests: it stops when that does.
pub async fn watch(period: Duration) {
    beat(period, || tell("alive", &[NotifyState::Watchdog])).await;
}

async fn beat(period: Duration, alive: impl Fn()) {
    let mut ticks = tokio::time::interval(period);
    // What was missed is not made up for: it would tell of a life that was not.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A new task needs what every request needs: a thread that takes it up.
        if tokio::spawn(std::future::ready(())).await.is_ok() {
            alive();
        }
    }
}

fn tell(what: &'static str, state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        ManagerNotTold { what, error: &error }.emit();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(5);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_runtime_that_is_stuck_does_not_tell_that_it_lives() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime");
        let (beats, heard) = mpsc::channel();
        runtime.spawn(beat(PERIOD, move || _ = beats.send(())));
        heard.recv_timeout(PATIENCE).expect("it lives");
        let ((stuck, is_stuck), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        runtime.spawn(async move {
            _ = stuck.send(());
            _ = released.recv();
        });
        is_stuck.recv_timeout(PATIENCE).expect("its only thread is taken");
        while heard.try_recv().is_ok() {}
        heard.recv_timeout(PERIOD * 20).expect_err("nobody could have sent it");
        drop(release);
        heard.recv_timeout(PATIENCE).expect("it lives again");
    }
}
