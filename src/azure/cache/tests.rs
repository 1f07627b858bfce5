//! A source that is counted, held up and made to fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;

const SCOPE: &str = "https://management.azure.com/.default";

/// Answers one request for each permit, with tokens named by their number.
#[derive(Debug)]
struct Counted {
    asked: AtomicUsize,
    answers: Semaphore,
    lifetime: Mutex<Result<Duration, CredentialError>>,
}

#[async_trait]
impl TokenSource for Counted {
    async fn token(&self, _scope: &str) -> Result<AccessToken, CredentialError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.answers.acquire().await.expect("open").forget();
        let lifetime = self.lifetime.lock().clone()?;
        Ok(AccessToken::new(&format!("token {number}"), Instant::now() + lifetime))
    }
}

fn failure() -> CredentialError {
    CredentialError::new("a test", "nobody there")
}

fn counted(lifetime: Duration, answers: usize) -> (Arc<Counted>, Arc<TokenCache>) {
    let source = Arc::new(Counted {
        asked: AtomicUsize::new(0),
        answers: Semaphore::new(answers),
        lifetime: Mutex::new(Ok(lifetime)),
    });
    let cache = Arc::new(TokenCache::new(Arc::clone(&source) as Arc<dyn TokenSource>));
    (source, cache)
}

async fn text(cache: &TokenCache) -> String {
    match cache.token(SCOPE).await {
        Ok(token) => token.expose().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Waits until so many were asked for and all were answered.
async fn settled(source: &Counted, cache: &TokenCache, asked: usize) {
    let slot = cache.slot(SCOPE);
    while source.asked.load(Ordering::Relaxed) < asked || slot.asking.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_who_need_a_token_ask_once() {
    let (source, cache) = counted(Duration::from_hours(1), 0);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { text(&cache).await })
        })
        .collect();
    while source.asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(cache.at_hand(SCOPE), None);
    source.answers.add_permits(1);
    for one in waiting {
        assert_eq!(one.await.expect("no panic"), "token 1");
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_due_token_is_renewed_beside_and_used_meanwhile() {
    let (source, cache) = counted(RENEW_BEFORE / 2, 1);
    assert_eq!(text(&cache).await, "token 1");
    // The renewal has no answer yet: nobody waits for it, and nobody asks beside it.
    for _ in 0..3 {
        assert_eq!(text(&cache).await, "token 1");
        assert_eq!(cache.at_hand(SCOPE).expect("valid").expose(), "token 1");
        tokio::task::yield_now().await;
    }
    *source.lifetime.lock() = Ok(Duration::from_hours(1));
    source.answers.add_permits(1);
    settled(&source, &cache, 2).await;
    assert_eq!(text(&cache).await, "token 2");
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_old_token_serves_while_a_renewal_fails() {
    let (source, cache) = counted(RENEW_BEFORE / 2, 100);
    assert_eq!(text(&cache).await, "token 1");
    *source.lifetime.lock() = Err(failure());
    assert_eq!(text(&cache).await, "token 1");
    settled(&source, &cache, 2).await;
    // The failure is fresh: the old one is used without another request.
    assert_eq!(text(&cache).await, "token 1");
    tokio::task::yield_now().await;
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn without_a_valid_token_the_failure_is_told() {
    let (source, cache) = counted(Duration::ZERO, 100);
    *source.lifetime.lock() = Err(failure());
    assert!(text(&cache).await.contains("nobody there"));
    // Those who come right after are told the same without asking again.
    assert!(text(&cache).await.contains("nobody there"));
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_refused_token_is_not_used_again() {
    let (source, cache) = counted(Duration::from_hours(1), 100);
    let first = cache.token(SCOPE).await.expect("a token");
    cache.refused(SCOPE, &first);
    assert_eq!(text(&cache).await, "token 2");
    // Told late of the first: the second stays.
    cache.refused(SCOPE, &first);
    assert_eq!(text(&cache).await, "token 2");
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
    assert!(!format!("{cache:?}").contains("token 2"));
}
