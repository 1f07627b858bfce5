//! What happened, in sentences for operators: the newest in memory, all of 400 days in the store.
//!
//! Events of [`events`](super::events) that matter to operators note one when they are emitted. Noting is a short lock; one task takes
//! what is new and stores it. Ids only grow, over restarts too: they begin after the newest that is stored. What happens too often
//! to be told each time is added up by whoever sees it.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::telemetry::clock;

/// Events that memory holds: what a live view can go back to without the store.
pub const HELD_MAX: usize = 1_000;
/// How often what many requests may cause is noted, in milliseconds.
const SELDOM_MS: i64 = 60_000;
/// Numbers that are left free after those of earlier processes: in an upgrade in place the old one goes on noting for a while.
const LEFT_FREE: u64 = 1_000;
/// Longest text, in characters; a list of mistakes in a configuration can be long.
pub const TEXT_MAX: usize = 1_000;

/// How much it wants somebody.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// Nobody.
    Info,
    /// Somebody, today.
    Warn,
    /// Somebody, now.
    Error,
}

/// What it is about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    AsRefStr,
    IntoStaticStr,
    EnumString,
    VariantArray,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// Requests went on to another deployment.
    Failover,
    /// A circuit breaker.
    Breaker,
    /// Deployments that answered with 429.
    Throttle,
    /// A configuration that was put to use.
    Reload,
    /// What operators take out and put back.
    Drain,
    /// Azure's inactivity rule.
    Guard,
    /// A deployment that cannot work until somebody mends something.
    Alarm,
    /// Requests turned away for the gateway's own sake.
    Overload,
    /// The file that usage records and history are in.
    Store,
    /// A configuration that was refused, or is doubtful.
    Config,
    /// Deployments at Azure.
    Fleet,
    /// The process itself.
    Process,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number: of two events the later has the greater one, over restarts too.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How much it wants somebody.
    pub severity: Severity,
    /// What it is about.
    pub kind: EventKind,
    /// Of which deployment, route and so on, by its configured name.
    pub subject: Option<String>,
    /// A sentence.
    pub text: String,
    /// What to do about it, where something helps.
    pub advice: Option<String>,
}

/// Something that happened, before it has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How much it wants somebody.
    pub severity: Severity,
    /// What it is about.
    pub kind: EventKind,
    /// Of whom.
    pub subject: Option<String>,
    /// A sentence.
    pub text: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

/// What happened lately.
#[derive(Debug)]
pub struct Journal {
    held: Mutex<Held>,
    /// When what many requests may cause was last noted, by words of closed enums.
    seldom: Mutex<HashMap<&'static str, i64>>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Held {
    /// In the order of their ids.
    events: VecDeque<Event>,
    /// The id of the newest that is stored, or was there before the process.
    stored: u64,
    next: u64,
    /// Events that left memory before they were stored.
    lost: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            held: Mutex::new(Held {
                next: 1,
                ..Held::default()
            }),
            seldom: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl Note {
    /// One of nobody in particular.
    pub fn new(severity: Severity, kind: EventKind, text: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            subject: None,
            text: text.into(),
            advice: None,
        }
    }

    /// The same of somebody.
    pub fn of(mut self, subject: &(impl ToString + ?Sized)) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// The same with what to do.
    pub fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }
}

impl Journal {
    /// Continues after the events of earlier processes, some numbers later. What was noted before this is numbered anew; done once, at
    /// the start.
    pub fn continue_after(&self, newest_stored: u64) {
        let mut held = self.held.lock();
        let Held {
            events, stored, next, ..
        } = &mut *held;
        let free = if newest_stored == 0 { 0 } else { LEFT_FREE };
        let after = newest_stored + free;
        for event in events.iter_mut() {
            event.id += after;
        }
        *stored = newest_stored;
        *next += after;
        let newest = events.back().map_or(newest_stored, |event| event.id);
        drop(held);
        self.tell_newest(newest);
    }

    /// Notes an event, now.
    pub fn note(&self, note: Note) {
        self.note_at(clock::now_ms(), note);
    }

    /// Notes an event that many requests may cause, of each word at most once a minute.
    pub fn note_seldom(&self, word: &'static str, note: impl FnOnce() -> Note) {
        let now_ms = clock::now_ms();
        let is_due = {
            let mut seldom = self.seldom.lock();
            let told_ms = seldom.entry(word).or_insert(i64::MIN);
            let is_due = now_ms.saturating_sub(*told_ms) >= SELDOM_MS || now_ms < *told_ms;
            if is_due {
                *told_ms = now_ms;
            }
            is_due
        };
        if is_due {
            self.note_at(now_ms, note());
        }
    }

    /// Notes an event at this time, in milliseconds since the Unix epoch.
    pub fn note_at(&self, at_ms: i64, note: Note) {
        let mut held = self.held.lock();
        let id = held.next;
        held.next += 1;
        if held.events.len() == HELD_MAX
            && let Some(oldest) = held.events.pop_front()
            && oldest.id > held.stored
        {
            held.lost += 1;
        }
        held.events.push_back(Event {
            id,
            at_ms,
            severity: note.severity,
            kind: note.kind,
            subject: note.subject,
            text: shortened(note.text),
            advice: note.advice.map(str::to_owned),
        });
        drop(held);
        self.tell_newest(id);
    }

    /// Two who note at once come here in any order.
    fn tell_newest(&self, id: u64) {
        self.newest.send_if_modified(|newest| {
            let is_newer = id > *newest;
            *newest = id.max(*newest);
            is_newer
        });
    }

    /// The newest id, and a way to wait for the next.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Events after this id, oldest first, at most so many; none where memory does not reach back so far.
    pub fn after(&self, id: u64, most: usize) -> Option<Vec<Event>> {
        let held = self.held.lock();
        let oldest = held.events.front().map_or(held.next, |event| event.id);
        let events = held.events.iter().filter(|event| event.id > id).take(most);
        (id.saturating_add(1) >= oldest).then(|| events.cloned().collect())
    }

    /// Events that are not stored yet, oldest first.
    pub fn unstored(&self) -> Vec<Event> {
        let held = self.held.lock();
        let is_new = |event: &&Event| event.id > held.stored;
        held.events.iter().filter(is_new).cloned().collect()
    }

    /// Notes that all up to this id are stored, in a store whose newest event, perhaps another process's, has that number: what is noted
    /// from now on comes after it.
    pub fn note_stored(&self, id: u64, newest_stored: u64) {
        let mut held = self.held.lock();
        held.stored = held.stored.max(id);
        held.next = held.next.max(newest_stored.saturating_add(1));
    }

    /// Events that were lost because the store failed for long.
    pub fn lost(&self) -> u64 {
        self.held.lock().lost
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Note {
        Note::new(Severity::Info, EventKind::Process, text)
    }

    fn texts(events: &[Event]) -> Vec<(u64, &str)> {
        events.iter().map(|event| (event.id, &*event.text)).collect()
    }

    #[test]
    fn ids_go_on_where_the_store_ends_and_what_was_noted_meanwhile_follows() {
        let journal = Journal::default();
        journal.note_at(1, info("before"));
        journal.continue_after(41);
        journal.note_at(2, info("after"));
        assert_eq!(texts(&journal.unstored()), [(1_042, "before"), (1_043, "after")]);
        assert_eq!(*journal.newest().borrow(), 1_043);
        journal.note_stored(1_042, 1_042);
        assert_eq!(texts(&journal.unstored()), [(1_043, "after")]);
        assert_eq!(texts(&journal.after(1_042, 9).expect("held")), [(1_043, "after")]);
        assert_eq!(texts(&journal.after(1_041, 1).expect("held")), [(1_042, "before")]);
        assert_eq!(journal.after(41, 9), None, "what comes between is in the store");
        assert_eq!(journal.after(9_999, 9), Some(Vec::new()));
    }

    #[test]
    fn who_notes_late_does_not_take_the_newest_number_back() {
        let journal = Journal::default();
        let newest = journal.newest();
        journal.tell_newest(7);
        journal.tell_newest(6);
        assert_eq!(*newest.borrow(), 7);
        journal.continue_after(3);
        assert_eq!(*newest.borrow(), 7);
    }

    #[test]
    fn numbers_go_on_after_those_that_another_process_stored() {
        let journal = Journal::default();
        journal.note_at(1, info("ours"));
        journal.note_stored(1, 57);
        journal.note_at(2, info("later"));
        assert_eq!(texts(&journal.unstored()), [(58, "later")]);
    }

    #[test]
    fn memory_is_bounded_and_what_was_never_stored_is_counted() {
        let journal = Journal::default();
        for number in 0..HELD_MAX + 3 {
            journal.note_at(0, info(&number.to_string()));
            if number == 0 {
                journal.note_stored(1, 1);
            }
        }
        assert_eq!(journal.unstored().len(), HELD_MAX);
        assert_eq!(journal.lost(), 2, "the first was stored");
    }

    #[test]
    fn whoever_waits_hears_of_the_next_event() {
        let journal = Journal::default();
        let mut newest = journal.newest();
        newest.mark_unchanged();
        journal.note_at(0, info("one"));
        assert!(newest.has_changed().expect("the journal is there"));
        assert_eq!(*newest.borrow_and_update(), 1);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let journal = Journal::default();
        journal.note_at(0, info(&"ü".repeat(TEXT_MAX + 5)));
        let text = journal.unstored().remove(0).text;
        assert_eq!((text.chars().count(), text.ends_with("ü…")), (TEXT_MAX + 1, true));
    }
}
