//! Sends of requests that are ready together, made one right after another.

/// Lets every other request that is ready do its computing before this one sends.
///
/// A send wakes whoever waits for it, which costs the sender as much as the send itself where the other side sleeps on another
/// core of the same machine. With a send every few microseconds the other side stays awake; with one after each request's
/// computing it falls asleep in between. Alone, a request pays a look at the queue of ready tasks. `docs/performance.md` has the figures.
pub async fn after_others() {
    tokio::task::yield_now().await;
}
