//! Row 11: a deletion may be said twice, and nobody's request is lost by it.

use super::Row;
use super::creation::desk;
use crate::fleet::setup::{DAY_MS, Fleet, Terms};
use crate::harness::desk::{MODEL, create};

pub(super) async fn deletion(row: Row) {
    let desk = desk().await;
    let made = create("home", "support", MODEL);
    row.said(&made, &desk.run(&made).await, 0, &["Succeeded"]);
    let delete = ["deployment", "delete", "-n", "home", "--deployment-name", "support"];
    row.said(
        &delete,
        &desk.run(&delete).await,
        0,
        &["`support` is deleted; its model can be deployed again"],
    );
    row.said(
        &delete,
        &desk.run(&delete).await,
        0,
        &["there was no deployment `support`"],
    );
    row.said(&made, &desk.run(&made).await, 0, &["Succeeded"]);

    let mut fleet = Fleet::start(Terms {
        policy: "policy: delete_after, days: 3",
        ..Terms::default()
    })
    .await;
    fleet.after(6 * 60_000).await;
    for _ in 0..3 {
        fleet.after(DAY_MS).await;
        assert_eq!(fleet.ask().await.header("x-emberway-deployment"), "east/ft");
    }
    assert_eq!(fleet.absence("west/ft").await, "deleting");
    let shows_it = |fleet: &Fleet| {
        let control = fleet.sim.control();
        let status = control.arm().expect("a control plane").plane();
        let status = status.status(control.unix_ms(), String::new(), true);
        status
            .deployments
            .iter()
            .any(|one| one.account == "west" && one.state == "Succeeded")
    };
    assert!(shows_it(&fleet), "it is out of routing before Azure is asked");
    row.held(
        "day 3 of delete_after: GET /status",
        "west/ft gets no new requests ('deleting'), Azure still has it",
    );
    for _ in 0..3 {
        fleet.after(60_000).await;
        assert_eq!(fleet.ask().await.status, 200);
    }
    assert_eq!(fleet.absence("west/ft").await, "missing");
    assert!(!shows_it(&fleet));
    row.held(
        "minutes later: GET /status",
        "west/ft is gone from Azure; every request was answered",
    );
}
