//! A deployment fails in every way it can; the client sees one clean answer, or one honest error.

use crate::harness::{Setup, WHOLE, World, preset};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_from_the_first_deployment() {
    let world = World::start(Setup::default()).await;
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-emberway-attempts"), "1");
    assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
    let record = world.record(&answer.headers).await;
    assert_eq!(
        (record.outcome.as_str(), record.source.as_str()),
        ("success", "reported")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_takes_over() {
    let world = World::start(Setup::default()).await;
    world.fault("a", preset("server_error"));
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-emberway-attempts"), "2");
    assert_eq!(answer.header("x-emberway-deployment"), "b/ft");
    assert_eq!(world.record(&answer.headers).await.attempts, 2);
}
