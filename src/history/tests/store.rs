//! What becomes of the history where its store is full, damaged, failing or another process's too.

use sqlx::Connection as _;

use super::*;

/// A connection beside the writer's.
async fn connect(world: &World) -> sqlx::SqliteConnection {
    let path = world.history.store.path().display();
    let connection = sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await;
    connection.expect("a connection")
}

#[tokio::test]
async fn rows_beyond_the_cap_go_although_they_are_counted_seldom() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.writer.rows_max = |_| 300;
    world.run(HOUR, HOUR + 60 * MINUTE_MS, |_| 1_000).await;
    let mut connection = connect(&world).await;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM history WHERE step_s = 10")
        .fetch_one(&mut connection)
        .await
        .expect("read");
    // Six rows in ten seconds, and ten minutes from one count to the next.
    assert!((300..=300 + 60 * 6 + 6 * 6).contains(&rows), "{rows}");
}

#[tokio::test]
async fn a_damaged_row_is_told_once_and_the_rest_is_written() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run(HOUR, HOUR + MINUTE_MS, |_| 1_000).await;
    let mut connection = connect(&world).await;
    let damage = "UPDATE history SET total = x'00' WHERE start_ms = (SELECT min(start_ms) FROM history)";
    sqlx::query(damage).execute(&mut connection).await.expect("damaged");
    world.run(HOUR + MINUTE_MS, HOUR + 5 * MINUTE_MS, |_| 1_000).await;
    assert!(world.history.recent.lock().closed.is_empty(), "written");
    assert_eq!(world.total(HOUR, HOUR + 5 * MINUTE_MS).await.requests, 29);
    let wanted = EventsWanted {
        limit: 9,
        ..EventsWanted::default()
    };
    let events = world.history.events(&wanted);
    let told: Vec<_> = events
        .await
        .expect("read")
        .into_iter()
        .map(|event| event.text)
        .collect();
    assert_eq!(
        told,
        ["6 rows of the history cannot be read; they are left out of all figures"]
    );
}

#[tokio::test]
async fn two_processes_on_one_store_number_their_events_apart() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut old = World::open(&path, HOUR).await;
    let note = |world: &World, text: &str| {
        let note = Note::new(Severity::Info, EventKind::Process, text);
        world.history.journal.note_at(HOUR, note);
    };
    note(&old, "one");
    old.writer.write().await;
    let mut new = World::open(&path, HOUR).await;
    note(&new, "two, of the new one");
    note(&old, "three, of the old one");
    new.writer.write().await;
    old.writer.write().await;
    note(&old, "four, of the old one");
    note(&new, "five, of the new one");
    old.writer.write().await;
    new.writer.write().await;
    note(&new, "six, of the new one");
    new.writer.write().await;
    let newest = new.history.journal.after(0, 99);
    assert_eq!(newest, None, "what the old one noted is in the store only");
    let wanted = EventsWanted {
        after_id: Some(0),
        limit: 9,
        ..EventsWanted::default()
    };
    let stored = new.history.events(&wanted).await.expect("read");
    let ids: Vec<u64> = stored.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 6);
    let last = stored.last().expect("six");
    assert_eq!((&*last.text, last.id), ("six, of the new one", ids[4] + 1));
    let held = new.history.journal.after(last.id - 1, 9).expect("held");
    assert_eq!(held.iter().map(|event| event.id).collect::<Vec<_>>(), [last.id]);
}

#[tokio::test]
async fn a_store_that_fails_is_told_once_and_nothing_is_lost() {
    let directory = directory();
    let mut world = World::open(&directory.path().join("usage.db"), HOUR).await;
    world.run(HOUR, HOUR + 10_000, |_| 1).await;
    world.history.recent.lock().lost = 5;
    let mut connection = connect(&world).await;
    let fail = "CREATE TRIGGER no BEFORE INSERT ON history_mark BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(fail).execute(&mut connection).await.expect("done");
    world.take(&[took(1)]).at(HOUR + 20_000).writer.write().await;
    world.take(&[took(1)]).at(HOUR + 30_000).writer.write().await;
    let told = |world: &World| -> Vec<_> {
        let events = world.history.journal.unstored().into_iter();
        events.map(|event| (event.kind, event.severity)).collect()
    };
    assert_eq!(told(&world), [(EventKind::Store, Severity::Warn)]);
    world.history.recent.lock().lost += 2;
    sqlx::query("DROP TRIGGER no")
        .execute(&mut connection)
        .await
        .expect("done");
    world.at(HOUR + 40_000).writer.write().await;
    assert_eq!(world.total(HOUR, HOUR + MINUTE_MS).await.requests, 3);
    let recovered = world.history.journal.unstored().remove(0).text;
    assert_eq!(
        recovered, "the history is written again; 2 intervals of ten seconds are missing",
        "the five before were told before"
    );
}

#[tokio::test]
async fn what_is_recent_is_written_where_the_store_cannot_be_read() {
    let directory = directory();
    let path = directory.path().join("usage.db");
    let mut world = World::open(&path, HOUR).await;
    world.run(HOUR, HOUR + 10_000, |_| 1).await;
    // The connection that writes has it open.
    let away = directory.path().join("away.db");
    std::fs::rename(&path, &away).expect("moved");
    world.take(&[took(1)]).at(HOUR + 20_000).writer.write().await;
    assert!(world.history.recent.lock().closed.is_empty(), "written");
    world.take(&[took(1)]).at(HOUR + 30_000).writer.write().await;
    std::fs::rename(&away, &path).expect("moved back");
    world.at(HOUR + 40_000).writer.write().await;
    assert_eq!(world.total(HOUR, HOUR + MINUTE_MS).await.requests, 3);
    let wanted = EventsWanted {
        limit: 9,
        ..EventsWanted::default()
    };
    let told: Vec<_> = world.history.events(&wanted).await.expect("read");
    assert_eq!((told.len(), told[0].kind), (1, EventKind::Store), "told once");
    assert!(told[0].text.starts_with("the history cannot be read"));
}
