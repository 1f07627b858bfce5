//! Section 6: each kind of frame, where it may stand, how long it is, and what its values mean.

use super::connection::{PONG, depends_on, ping};
use super::messages::{get, post_open, request};
use super::peer::*;
use super::{Case, case};

const PROTOCOL: Expect = Expect::ConnectionError(&[PROTOCOL_ERROR]);
const SIZE: Expect = Expect::ConnectionError(&[FRAME_SIZE_ERROR]);
const FLOW: Expect = Expect::ConnectionError(&[FLOW_CONTROL_ERROR]);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = data_and_headers();
    cases.extend(priority_and_reset());
    cases.extend(settings());
    cases.extend(ping_and_goaway());
    cases.extend(windows());
    cases.extend(window_changes());
    cases.extend(continuation());
    cases
}

fn asked() -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &get())
}

fn data_and_headers() -> Vec<Case> {
    let half_a_head = || frame(HEADERS, END_STREAM, 1, &get()[..20]);
    vec![
        case(
            "6.1",
            "DATA of no stream",
            &[frame(DATA, END_STREAM, 0, b"test")],
            PROTOCOL,
        ),
        case(
            "6.1",
            "DATA of a stream that is not open",
            &[asked(), frame(DATA, END_STREAM, 1, b"test")],
            Expect::StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "6.1",
            "DATA with more padding than it has",
            &[
                post_open(1, &[]),
                frame(DATA, END_STREAM | PADDED, 1, &[6, b't', b'e', b's', b't']),
            ],
            PROTOCOL,
        ),
        case(
            "6.2",
            "HEADERS, then PRIORITY",
            &[half_a_head(), frame(PRIORITY, 0, 1, &depends_on(0))],
            PROTOCOL,
        ),
        case(
            "6.2",
            "HEADERS, then HEADERS of another stream",
            &[half_a_head(), frame(HEADERS, END_STREAM | END_HEADERS, 3, &get())],
            PROTOCOL,
        ),
        case(
            "6.2",
            "HEADERS of no stream",
            &[frame(HEADERS, END_STREAM | END_HEADERS, 0, &get())],
            PROTOCOL,
        ),
        case(
            "6.2",
            "HEADERS with more padding than they have",
            &[frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[255, 0x82])],
            PROTOCOL,
        ),
        case(
            "6.2",
            "HEADERS with padding and priority are taken",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY,
                1,
                &[&[4][..], &depends_on(0), &get(), &[0; 4]].concat(),
            )],
            Expect::Answer(1),
        ),
    ]
}

fn priority_and_reset() -> Vec<Case> {
    vec![
        case(
            "6.3",
            "PRIORITY of no stream",
            &[frame(PRIORITY, 0, 0, &depends_on(1))],
            PROTOCOL,
        ),
        case(
            "6.3",
            "PRIORITY of another length than 5",
            &[post_open(1, &[]), frame(PRIORITY, 0, 1, &[0, 0, 0, 1])],
            Expect::StreamError(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "6.3",
            "PRIORITY of an idle stream is no error",
            &[frame(PRIORITY, 0, 3, &depends_on(0)), ping()],
            PONG,
        ),
        case(
            "6.4",
            "RST_STREAM of no stream",
            &[frame(RST_STREAM, 0, 0, &[0, 0, 0, 8])],
            PROTOCOL,
        ),
        case(
            "6.4",
            "RST_STREAM of an idle stream",
            &[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])],
            PROTOCOL,
        ),
        case(
            "6.4",
            "RST_STREAM of another length than 4",
            &[post_open(1, &[]), frame(RST_STREAM, 0, 1, &[0, 0, 0])],
            SIZE,
        ),
    ]
}

fn settings() -> Vec<Case> {
    let set = |pairs: &[(u16, u32)]| frame(SETTINGS, 0, 0, &settings_of(pairs));
    vec![
        case(
            "6.5",
            "an acknowledgement with content",
            &[frame(SETTINGS, ACK, 0, &[0; 6])],
            SIZE,
        ),
        case("6.5", "SETTINGS of a stream", &[frame(SETTINGS, 0, 1, &[])], PROTOCOL),
        case(
            "6.5",
            "SETTINGS of a length that is no multiple of 6",
            &[frame(SETTINGS, 0, 0, &[0, 3, 0])],
            SIZE,
        ),
        case("6.5.2", "ENABLE_PUSH of 2", &[set(&[(2, 2)])], PROTOCOL),
        case(
            "6.5.2",
            "INITIAL_WINDOW_SIZE above 2^31 - 1",
            &[set(&[(INITIAL_WINDOW_SIZE, 0x8000_0000)])],
            FLOW,
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE below 2^14",
            &[set(&[(MAX_FRAME_SIZE, 0x3fff)])],
            PROTOCOL,
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE above 2^24 - 1",
            &[set(&[(MAX_FRAME_SIZE, 0x0100_0000)])],
            PROTOCOL,
        ),
        case(
            "6.5.2",
            "an unknown setting is ignored",
            &[set(&[(0xff, 1)]), ping()],
            PONG,
        ),
        Case {
            settings: Some(vec![(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]),
            ..case(
                "6.5.3",
                "of two values the last one holds",
                &[asked()],
                Expect::Piece(1, 1),
            )
        },
        case("6.5.3", "SETTINGS are acknowledged", &[set(&[])], Expect::SettingsAck),
    ]
}

fn ping_and_goaway() -> Vec<Case> {
    vec![
        case("6.7", "PING is answered with what it said", &[ping()], PONG),
        case(
            "6.7",
            "an answer to a PING is not answered",
            &[frame(PING, ACK, 0, b"answered"), ping()],
            PONG,
        ),
        case("6.7", "PING of a stream", &[frame(PING, 0, 1, &[0; 8])], PROTOCOL),
        case(
            "6.7",
            "PING of another length than 8",
            &[frame(PING, 0, 0, &[0; 6])],
            SIZE,
        ),
        case("6.8", "GOAWAY of a stream", &[frame(GOAWAY, 0, 1, &[0; 8])], PROTOCOL),
    ]
}

/// Settings of a client whose streams begin with this window.
fn narrow(window: u32) -> Vec<(u16, u32)> {
    vec![(INITIAL_WINDOW_SIZE, window)]
}

fn windows() -> Vec<Case> {
    let most = 0x7fff_ffff;
    vec![
        case(
            "6.9",
            "WINDOW_UPDATE of the connection by 0",
            &[window_update(0, 0)],
            PROTOCOL,
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of a stream by 0",
            &[post_open(1, &[]), window_update(1, 0)],
            Expect::StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of another length than 4",
            &[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            SIZE,
        ),
        Case {
            settings: Some(narrow(1)),
            ..case(
                "6.9.1",
                "no more is sent than the window takes",
                &[asked()],
                Expect::Piece(1, 1),
            )
        },
        case(
            "6.9.1",
            "a window of the connection above 2^31 - 1",
            &[window_update(0, most).repeat(2)],
            FLOW,
        ),
        case(
            "6.9.1",
            "a window of a stream above 2^31 - 1",
            &[post_open(1, &[]), window_update(1, most).repeat(2)],
            Expect::StreamError(&[FLOW_CONTROL_ERROR]),
        ),
    ]
}

fn window_changes() -> Vec<Case> {
    let window = |size| Step::Send(frame(SETTINGS, 0, 0, &settings_of(&[(INITIAL_WINDOW_SIZE, size)])));
    vec![
        Case {
            settings: Some(narrow(0)),
            steps: vec![Step::Send(asked()), window(1)],
            ..case(
                "6.9.2",
                "a later INITIAL_WINDOW_SIZE changes open streams",
                &[],
                Expect::Piece(1, 1),
            )
        },
        Case {
            settings: Some(narrow(3)),
            steps: vec![
                Step::Send(asked()),
                Step::UntilBody(1, 3),
                // One below nothing, until two are given.
                window(2),
                Step::Send(window_update(1, 2)),
            ],
            ..case(
                "6.9.2",
                "a window below nothing is remembered",
                &[],
                Expect::Piece(1, 1),
            )
        },
        case(
            "6.9.2",
            "a later INITIAL_WINDOW_SIZE above 2^31 - 1",
            &[
                asked(),
                frame(SETTINGS, 0, 0, &settings_of(&[(INITIAL_WINDOW_SIZE, 0x8000_0000)])),
            ],
            FLOW,
        ),
    ]
}

fn continuation() -> Vec<Case> {
    let more = || request(&[("x-more", "more")]);
    let block = get();
    let (first, rest) = block.split_at(20);
    let begun = || frame(HEADERS, END_STREAM, 1, first);
    vec![
        case(
            "6.10",
            "several CONTINUATION frames are taken",
            &[
                begun(),
                frame(CONTINUATION, 0, 1, &rest[..5]),
                frame(CONTINUATION, END_HEADERS, 1, &rest[5..]),
            ],
            Expect::Answer(1),
        ),
        case(
            "6.10",
            "CONTINUATION, then DATA",
            &[begun(), frame(CONTINUATION, 0, 1, rest), frame(DATA, 0, 1, b"t")],
            PROTOCOL,
        ),
        case(
            "6.10",
            "CONTINUATION of no stream",
            &[begun(), frame(CONTINUATION, END_HEADERS, 0, rest)],
            PROTOCOL,
        ),
        case(
            "6.10",
            "CONTINUATION after HEADERS that were whole",
            &[asked(), frame(CONTINUATION, END_HEADERS, 1, &more())],
            PROTOCOL,
        ),
        case(
            "6.10",
            "CONTINUATION after one that was the last",
            &[
                begun(),
                frame(CONTINUATION, END_HEADERS, 1, rest),
                frame(CONTINUATION, END_HEADERS, 1, &more()),
            ],
            PROTOCOL,
        ),
        case(
            "6.10",
            "CONTINUATION after DATA",
            &[
                post_open(1, &[]),
                frame(DATA, 0, 1, b"test"),
                frame(CONTINUATION, END_HEADERS, 1, &more()),
            ],
            PROTOCOL,
        ),
    ]
}
