//! What is remembered of responses, and for how long.

use async_trait::async_trait;

use super::*;
use crate::core::ledger::kept::KEPT_FOR_MS;

/// A store that has these, and fails if told so.
#[derive(Default)]
struct Shelf {
    kept: Vec<KeptResponse>,
    reads: Mutex<u32>,
    fails: bool,
}

#[async_trait]
impl ResponseStore for Shelf {
    async fn newest_responses(&self, most: u32) -> Result<Vec<KeptResponse>, StoreError> {
        Ok(self.kept.iter().take(most as usize).cloned().collect())
    }

    async fn kept_response(&self, key: ResponseKey) -> Result<Option<KeptResponse>, StoreError> {
        *self.reads.lock() += 1;
        if self.fails {
            return Err(StoreError::Older);
        }
        Ok(self.kept.iter().find(|kept| kept.key == key).cloned())
    }
}

fn kept(name: &str) -> KeptResponse {
    KeptResponse {
        key: key_of(name),
        client: "desk".into(),
        deployment: "a/ft".into(),
        kept_at_ms: 0,
    }
}

fn empty(store: &Arc<Shelf>) -> Pins {
    Pins {
        newest: Mutex::new(LruCache::new(REMEMBERED_MAX)),
        store: Arc::clone(store) as Arc<dyn ResponseStore>,
        reads: Semaphore::new(READS_MAX),
    }
}

#[tokio::test]
async fn what_was_kept_before_is_known_after_a_restart_without_reading() {
    let shelf = Arc::new(Shelf {
        kept: vec![kept("resp_1")],
        ..Shelf::default()
    });
    let pins = Pins::load(Arc::clone(&shelf) as Arc<dyn ResponseStore>)
        .await
        .expect("loaded");
    assert_eq!(pins.find("resp_1", 0).await.expect("asked"), Some(kept("resp_1")));
    assert_eq!(*shelf.reads.lock(), 0);
    assert_eq!(
        pins.find("resp_1", KEPT_FOR_MS).await.expect("asked"),
        None,
        "Azure has deleted it"
    );
    assert_eq!(pins.find("resp_2", 0).await.expect("asked"), None);
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_once() {
    let shelf = Arc::new(Shelf {
        kept: vec![kept("resp_1")],
        ..Shelf::default()
    });
    let pins = empty(&shelf);
    for _ in 0..2 {
        assert_eq!(pins.find("resp_1", 0).await.expect("asked"), Some(kept("resp_1")));
    }
    assert_eq!(*shelf.reads.lock(), 1);
}

#[tokio::test]
async fn a_store_that_fails_is_not_taken_for_one_that_knows_nothing() {
    let failing = Arc::new(Shelf {
        kept: vec![kept("resp_1")],
        fails: true,
        ..Shelf::default()
    });
    let found = empty(&failing).find("resp_1", 0).await;
    assert!(matches!(found, Err(ProxyError::CannotFindResponse)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn who_looks_while_many_do_waits_for_a_turn() {
    let shelf = Arc::new(Shelf {
        kept: vec![kept("resp_1")],
        ..Shelf::default()
    });
    let pins = empty(&shelf);
    let busy = pins.reads.acquire_many(READS_MAX as u32).await.expect("all of them");
    let found = pins.find("resp_1", 0).await;
    assert!(
        matches!(found, Err(ProxyError::CannotFindResponse)),
        "none within its time: {found:?}"
    );
    let (found, ()) = tokio::join!(pins.find("resp_1", 0), async {
        tokio::task::yield_now().await;
        drop(busy);
    });
    assert_eq!(found.expect("a turn"), Some(kept("resp_1")));
}

#[tokio::test]
async fn a_response_is_known_as_soon_as_it_has_a_name() {
    let pins = Arc::new(empty(&Arc::default()));
    let keeper = Keeper {
        pins: Arc::clone(&pins),
        client: "desk".into(),
        deployment: "a/ft".into(),
        asked_at_ms: 0,
    };
    let key = keeper.keep("resp_1");
    assert_eq!(pins.find("resp_1", 0).await.expect("asked"), Some(kept("resp_1")));
    assert_eq!(key, kept("resp_1").key);
}
