//! Does a write of the API and enters it in the audit: before it is done, and with what came of it.
//!
//! It is done to its end also when whoever asked has left meanwhile. A store that cannot be written stops nobody who must act: that the
//! entry is missing is an error in the log.

use std::sync::Arc;

use crate::admin::Sources;
use crate::admin::access::Caller;
use crate::admin::api::answer::Refusal;
use crate::storage::audit::{AuditEntry, AuditPhase, AuditStore};
use crate::telemetry::clock;
use crate::telemetry::events::care::AuditFailing;

/// Longest text of what is asked or done that is kept: what a configuration changed, and the longest note.
const ASKED_CHARS_MAX: usize = 1_000;

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Write {
    /// The HTTP method.
    pub(in crate::admin) method: &'static str,
    /// The path, such as `/api/v1/drains`.
    pub(in crate::admin) target: &'static str,
    /// What is asked for, in words and without secrets, such as `drain region swedencentral for 60 s`.
    pub(in crate::admin) asked: String,
}

/// Does `work` for `caller`, entered in the audit.
///
/// # Errors
/// Those of `work`; `write_failed` where it panicked.
pub(in crate::admin) async fn audited<T, W>(
    sources: &Arc<Sources>,
    caller: &Caller,
    write: Write,
    work: W,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Refusal>> + Send + 'static,
{
    audited_with(sources, caller, write, work, |_| None).await
}

/// The same where what was done can be told in better words than what is asked: by `done`, from what `work` gave.
///
/// # Errors
/// As [`audited`].
pub(in crate::admin) async fn audited_with<T, W, D>(
    sources: &Arc<Sources>,
    caller: &Caller,
    write: Write,
    work: W,
    done: D,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Refusal>> + Send + 'static,
    D: FnOnce(&T) -> Option<String> + Send + 'static,
{
    let store = Arc::clone(&sources.api.audit);
    let sent = entry(caller, &write);
    let entered = tokio::spawn(async move {
        enter(&*store, &sent).await;
        let result = work.await;
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(refusal) => format!("{} {}", refusal.status.as_u16(), refusal.code),
        };
        let told = result.as_ref().ok().and_then(done);
        let answered = AuditEntry {
            at_ms: clock::now_ms(),
            phase: AuditPhase::Answered,
            outcome: Some(outcome),
            asked: told.as_deref().map(cut).or(sent.asked),
            ..sent
        };
        enter(&*store, &answered).await;
        result
    });
    entered
        .await
        .unwrap_or_else(|error| Err(Refusal::failed(format!("the write failed: {error}"), "write_failed")))
}

fn entry(caller: &Caller, write: &Write) -> AuditEntry {
    AuditEntry {
        at_ms: clock::now_ms(),
        actor: format!("{} ({})", caller.name, caller.role.as_ref()),
        phase: AuditPhase::Sent,
        method: write.method.to_owned(),
        target: write.target.to_owned(),
        client_request_id: format!("{:032x}", rand::random::<u128>()),
        request_id: None,
        outcome: None,
        asked: Some(cut(&write.asked)),
    }
}

fn cut(asked: &str) -> String {
    asked.chars().take(ASKED_CHARS_MAX).collect()
}

async fn enter(store: &dyn AuditStore, entry: &AuditEntry) {
    if let Err(error) = store.add_audit(entry).await {
        AuditFailing {
            target: &entry.target,
            error: &error,
        }
        .emit();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::admin::access::{Carried, Voucher};
    use crate::admin::testing;
    use crate::config::checked::admin::Role;

    fn caller() -> Caller {
        Caller {
            name: "ada".into(),
            role: Role::Operator,
            by: Voucher::Token,
            carried: Carried::Header,
        }
    }

    fn write() -> Write {
        Write {
            method: "POST",
            target: "/api/v1/drains",
            asked: "drain region r".to_owned(),
        }
    }

    async fn entered(sources: &Sources, count: usize) -> Vec<(String, Option<String>)> {
        let all = async {
            loop {
                let entries = sources.api.audit.audit(0, 10).await.expect("read");
                if entries.len() >= count {
                    return entries.into_iter().map(|entry| (entry.actor, entry.outcome)).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .expect("entered")
    }

    #[tokio::test]
    async fn both_moments_are_entered_with_who_and_what_came_of_it() {
        let sources = Arc::new(testing::sources());
        let done = audited(&sources, &caller(), write(), async { Ok(1) }).await;
        assert_eq!(done, Ok(1));
        let refused: Result<(), _> = audited(&sources, &caller(), write(), async {
            Err(Refusal::conflict("no", "last_usable_deployment"))
        })
        .await;
        assert_eq!(refused.expect_err("refused").code, "last_usable_deployment");
        let outcomes = ["409 last_usable_deployment", "", "done", ""];
        let expected = outcomes.map(|outcome| {
            let outcome = (!outcome.is_empty()).then(|| outcome.to_owned());
            ("ada (operator)".to_owned(), outcome)
        });
        assert_eq!(entered(&sources, 4).await, expected);
    }

    #[tokio::test]
    async fn what_was_done_is_told_where_it_says_more_than_what_was_asked() {
        let sources = Arc::new(testing::sources());
        let tell = |done: &i32| Some(format!("drained {done}"));
        let done = audited_with(&sources, &caller(), write(), async { Ok(1) }, tell).await;
        assert_eq!(done, Ok(1));
        let refused: Result<i32, _> = audited_with(
            &sources,
            &caller(),
            write(),
            async { Err(Refusal::conflict("no", "no")) },
            tell,
        )
        .await;
        refused.expect_err("refused");
        let entries = sources.api.audit.audit(0, 10).await.expect("read");
        let asked: Vec<_> = entries
            .iter()
            .map(|entry| entry.asked.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(
            asked,
            ["drain region r", "drain region r", "drained 1", "drain region r"]
        );
    }

    #[tokio::test]
    async fn a_write_whose_sender_has_left_is_done_and_entered() {
        let sources = Arc::new(testing::sources());
        let (go, gone) = oneshot::channel::<()>();
        let sender = tokio::spawn({
            let sources = Arc::clone(&sources);
            async move {
                let work = async { Ok(gone.await.is_ok()) };
                audited(&sources, &caller(), write(), work).await
            }
        });
        entered(&sources, 1).await;
        sender.abort();
        assert!(sender.await.expect_err("aborted").is_cancelled());
        go.send(()).expect("the work still waits");
        assert_eq!(entered(&sources, 2).await[0].1.as_deref(), Some("done"));
    }
}
