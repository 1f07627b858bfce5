//! Sections 3 to 5: how a connection begins, what a frame is, what streams are and how errors end them.

use super::messages::{get, post, post_open};
use super::peer::*;
use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = preface();
    cases.extend(framing());
    cases.extend(streams());
    cases.extend(numbers_and_dependencies());
    cases.extend(closed_streams());
    cases.extend(errors());
    cases
}

/// A ping, as what follows something that must be ignored.
pub(super) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"conforms")
}

pub(super) const PONG: Expect = Expect::Pong(*b"conforms");

/// A dependency, as HEADERS with priority and PRIORITY carry it.
pub(super) fn depends_on(stream: u32) -> Vec<u8> {
    [&stream.to_be_bytes()[..], &[255]].concat()
}

fn preface() -> Vec<Case> {
    let without_handshake = |what, bytes: &[u8], expect| Case {
        section: "3.5",
        what,
        settings: None,
        steps: vec![Step::Send(bytes.to_vec())],
        expect,
    };
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    vec![
        without_handshake(
            "preface and settings are answered by settings",
            &preface,
            Expect::SettingsFirst,
        ),
        without_handshake(
            "a wrong preface ends the connection",
            b"INVALID CONNECTION PREFACE\r\n\r\n",
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}

fn framing() -> Vec<Case> {
    let half_a_head = frame(HEADERS, END_STREAM, 1, &get()[..20]);
    vec![
        case(
            "4.1",
            "a frame of an unknown type is ignored",
            &[frame(0x16, 0, 0, &[0; 8]), ping()],
            PONG,
        ),
        case(
            "4.1",
            "flags that are not defined are ignored",
            &[frame(PING, 0x16, 0, b"conforms")],
            PONG,
        ),
        case(
            "4.1",
            "the reserved bit is ignored",
            &[frame(PING, 0, 0x8000_0000, b"conforms")],
            PONG,
        ),
        case(
            "4.2",
            "a DATA frame of 16,384 bytes is taken",
            &[post_open(1, &[]), frame(DATA, END_STREAM, 1, &[b' '; 16_384])],
            Expect::Answer(1),
        ),
        Case {
            steps: vec![Step::Send(post_open(1, &[])), Step::TooLong(DATA, END_STREAM, 1)],
            ..case(
                "4.2",
                "a DATA frame that is too long",
                &[],
                Expect::StreamError(&[FRAME_SIZE_ERROR]),
            )
        },
        Case {
            steps: vec![Step::TooLong(HEADERS, END_STREAM | END_HEADERS, 1)],
            ..case(
                "4.2",
                "a HEADERS frame that is too long",
                &[],
                Expect::ConnectionError(&[FRAME_SIZE_ERROR]),
            )
        },
        case(
            "4.3",
            "a header block that is none",
            // A literal whose name is longer than all that comes.
            &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x40, 0x7e])],
            Expect::ConnectionError(&[COMPRESSION_ERROR]),
        ),
        case(
            "4.3",
            "PRIORITY inside a header block",
            &[half_a_head.clone(), frame(PRIORITY, 0, 1, &depends_on(0))],
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case(
            "4.3",
            "HEADERS of another stream inside a header block",
            &[half_a_head, frame(HEADERS, END_STREAM | END_HEADERS, 3, &get())],
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}

const BROKEN: Expect = Expect::ConnectionError(&[PROTOCOL_ERROR]);

fn streams() -> Vec<Case> {
    vec![
        case("5.1", "idle: DATA", &[frame(DATA, END_STREAM, 1, b"test")], BROKEN),
        case(
            "5.1",
            "idle: RST_STREAM",
            &[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])],
            BROKEN,
        ),
        case("5.1", "idle: WINDOW_UPDATE", &[window_update(1, 100)], BROKEN),
        case(
            "5.1",
            "idle: CONTINUATION",
            &[frame(CONTINUATION, END_HEADERS, 1, &get())],
            BROKEN,
        ),
        case(
            "5.1",
            "half closed: DATA",
            &[
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &get()),
                frame(DATA, END_STREAM, 1, b"test"),
            ],
            Expect::StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "5.1",
            "half closed: HEADERS",
            &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &get()).repeat(2)],
            Expect::StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "5.1",
            "half closed: CONTINUATION",
            &[
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &get()),
                frame(CONTINUATION, END_HEADERS, 1, &get()),
            ],
            Expect::ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn numbers_and_dependencies() -> Vec<Case> {
    vec![
        case(
            "5.1.1",
            "a stream of an even number",
            &[frame(HEADERS, END_STREAM | END_HEADERS, 2, &get())],
            BROKEN,
        ),
        case(
            "5.1.1",
            "a stream of a lower number than one before",
            &[
                frame(HEADERS, END_STREAM | END_HEADERS, 5, &get()),
                frame(HEADERS, END_STREAM | END_HEADERS, 3, &get()),
            ],
            // What was never opened is closed by the later one.
            Expect::ConnectionError(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        Case {
            steps: vec![Step::OneTooMany(|stream| post_open(stream, &[]))],
            ..case(
                "5.1.2",
                "more streams than are allowed",
                &[],
                Expect::StreamError(&[PROTOCOL_ERROR, REFUSED_STREAM]),
            )
        },
        case(
            "5.3.1",
            "HEADERS that depend on themselves",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS | HAS_PRIORITY,
                1,
                &[depends_on(1), get()].concat(),
            )],
            Expect::StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.3.1",
            "PRIORITY that depends on itself",
            &[frame(PRIORITY, 0, 1, &depends_on(1))],
            Expect::StreamError(&[PROTOCOL_ERROR]),
        ),
    ]
}

/// Frames on a stream that either side has ended.
fn closed_streams() -> Vec<Case> {
    const CLOSED: Expect = Expect::StreamError(&[STREAM_CLOSED]);
    let reset = || frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let ended = |what, then: Vec<u8>, expect| Case {
        steps: vec![
            Step::Send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &get())),
            Step::UntilEnded(1),
            Step::Send(then),
        ],
        ..case("5.1", what, &[], expect)
    };
    let continuation = || frame(CONTINUATION, END_HEADERS, 1, &get());
    vec![
        case(
            "5.1",
            "closed by RST_STREAM: DATA",
            &[post_open(1, &[]), reset(), frame(DATA, END_STREAM, 1, b"test")],
            CLOSED,
        ),
        case(
            "5.1",
            "closed by RST_STREAM: HEADERS",
            &[
                post_open(1, &[]),
                reset(),
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &get()),
            ],
            CLOSED,
        ),
        case(
            "5.1",
            "closed by RST_STREAM: CONTINUATION",
            &[post_open(1, &[]), reset(), continuation()],
            Expect::ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        ended("closed: DATA", frame(DATA, END_STREAM, 1, b"test"), CLOSED),
        ended(
            "closed: HEADERS",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &get()),
            // A connection's error by RFC 7540; RFC 9113 lets it be a stream's.
            CLOSED,
        ),
        ended(
            "closed: CONTINUATION",
            continuation(),
            Expect::ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn errors() -> Vec<Case> {
    let unknown = || frame(0xff, 0, 0, &[0; 8]);
    vec![
        case(
            "5.4.1",
            "after an error the connection is closed",
            &[frame(PING, 0, 3, &[0; 8])],
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case("5.5", "an unknown extension is ignored", &[unknown(), ping()], PONG),
        case(
            "5.5",
            "an unknown extension inside a header block",
            &[frame(HEADERS, END_STREAM, 1, &get()), unknown()],
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case(
            "7",
            "GOAWAY with an unknown code is no error",
            &[frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]), ping()],
            PONG,
        ),
        case(
            "7",
            "RST_STREAM with an unknown code is no error",
            &[post(1, &[], b""), frame(RST_STREAM, 0, 1, &[0, 0, 0, 0xff]), ping()],
            PONG,
        ),
    ]
}
