//! Section 8 and HPACK: what a request must be, and what its compression may say.

use super::peer::*;
use super::{Case, case};
use crate::harness::{KEY, V1, WHOLE};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = requests();
    cases.extend(pseudo_fields());
    cases.extend(bodies());
    cases.extend(compression());
    cases
}

const PSEUDO: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/openai/v1/models"),
    (":authority", "gateway"),
];

/// A request's fields: the usual ones, and these.
pub(super) fn request(more: &[(&str, &str)]) -> Vec<u8> {
    fields(&[&PSEUDO[..], &[("api-key", KEY)], more].concat())
}

/// A request that is answered at once.
pub(super) fn get() -> Vec<u8> {
    request(&[])
}

fn post_head(more: &[(&str, &str)]) -> Vec<u8> {
    let mut usual = PSEUDO;
    usual[0].1 = "POST";
    usual[2].1 = V1;
    fields(&[&usual[..], &[("api-key", KEY)], more].concat())
}

/// A request whose body is still to come.
pub(super) fn post_open(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &post_head(more))
}

/// A request with its body.
pub(super) fn post(stream: u32, more: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    [post_open(stream, more), frame(DATA, END_STREAM, stream, body)].concat()
}

const MALFORMED: Expect = Expect::StreamError(&[PROTOCOL_ERROR]);

fn refused(section: &'static str, what: &'static str, block: &[u8]) -> Case {
    case(
        section,
        what,
        &[frame(HEADERS, END_STREAM | END_HEADERS, 1, block)],
        MALFORMED,
    )
}

fn requests() -> Vec<Case> {
    let trailers = |fields_: &[(&str, &str)], flags| frame(HEADERS, END_HEADERS | flags, 1, &fields(fields_));
    vec![
        case(
            "8.1",
            "a request is answered",
            &[post(1, &[], WHOLE.as_bytes())],
            Expect::Answer(1),
        ),
        case(
            "8.1",
            "a request with trailers is answered",
            &[
                post_open(1, &[]),
                frame(DATA, 0, 1, WHOLE.as_bytes()),
                trailers(&[("x-check", "1")], END_STREAM),
            ],
            Expect::Answer(1),
        ),
        case(
            "8.1",
            "second HEADERS that do not end the stream",
            &[post_open(1, &[]), trailers(&[("x-check", "1")], 0)],
            MALFORMED,
        ),
        refused("8.1.2", "a field's name in upper case", &request(&[("X-TEST", "ok")])),
        refused(
            "8.1.2.1",
            "an unknown pseudo-header",
            &fields(&[&PSEUDO[..], &[(":test", "ok")]].concat()),
        ),
        refused(
            "8.1.2.1",
            "an answer's pseudo-header",
            &fields(&[&PSEUDO[..], &[(":status", "200")]].concat()),
        ),
        case(
            "8.1.2.1",
            "a pseudo-header in trailers",
            &[
                post_open(1, &[]),
                frame(DATA, 0, 1, WHOLE.as_bytes()),
                trailers(&[(":method", "POST")], END_STREAM),
            ],
            MALFORMED,
        ),
        refused(
            "8.1.2.1",
            "a pseudo-header after other fields",
            &fields(&[&PSEUDO[..3], &[("x-test", "ok")], &PSEUDO[3..]].concat()),
        ),
        refused(
            "8.1.2.2",
            "a field of the connection",
            &request(&[("connection", "keep-alive")]),
        ),
        refused(
            "8.1.2.2",
            "TE that is more than trailers",
            &request(&[("te", "trailers, deflate;q=0.5")]),
        ),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let mut empty_path = PSEUDO;
    empty_path[2].1 = "";
    let without = |left_out: usize| {
        let kept = PSEUDO.iter().enumerate().filter(|(at, _)| *at != left_out);
        fields(&kept.map(|(_, field)| *field).collect::<Vec<_>>())
    };
    let twice = |at: usize| fields(&[&PSEUDO[..], &PSEUDO[at..=at]].concat());
    vec![
        refused("8.1.2.3", "an empty :path", &fields(&empty_path)),
        refused("8.1.2.3", "no :method", &without(0)),
        refused("8.1.2.3", "no :scheme", &without(1)),
        refused("8.1.2.3", "no :path", &without(2)),
        refused("8.1.2.3", ":method twice", &twice(0)),
        refused("8.1.2.3", ":scheme twice", &twice(1)),
        refused("8.1.2.3", ":path twice", &twice(2)),
    ]
}

fn bodies() -> Vec<Case> {
    let one = [("content-length", "1")];
    vec![
        case(
            "8.1.2.6",
            "another length than the body's",
            &[post(1, &one, b"test")],
            MALFORMED,
        ),
        case(
            "8.1.2.6",
            "another length than that of all DATA frames",
            &[
                post_open(1, &one),
                frame(DATA, 0, 1, b"te"),
                frame(DATA, END_STREAM, 1, b"st"),
            ],
            MALFORMED,
        ),
        case(
            "8.1.2.6",
            "a longer length than the body's",
            &[post(1, &[("content-length", "100")], b"test")],
            MALFORMED,
        ),
        case(
            "8.2",
            "a client pushes",
            &[frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&[0, 0, 0, 3][..], &get()].concat(),
            )],
            Expect::ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}

/// A header block that must be found wrong, after a request's usual fields.
fn garbled(section: &'static str, what: &'static str, more: &[u8]) -> Case {
    case(
        section,
        what,
        &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&get(), more].concat())],
        Expect::ConnectionError(&[COMPRESSION_ERROR]),
    )
}

fn compression() -> Vec<Case> {
    vec![
        // 70: beyond the static table's 61 entries, while the dynamic one is empty.
        garbled("HPACK 2.3.3", "a field of an index that is not there", &[0xc6]),
        garbled(
            "HPACK 2.3.3",
            "a literal whose name's index is not there",
            &[0x7f, 0x07, 0x05, b'v', b'a', b'l', b'u', b'e'],
        ),
        garbled("HPACK 4.2", "the table's size changes at the block's end", &[0x20]),
        // "x-test: test" by Huffman, padded by eleven bits instead of three.
        garbled(
            "HPACK 5.2",
            "Huffman padding of more than seven bits",
            &huffman(&[0x49, 0x50, 0x9f, 0xff]),
        ),
        garbled("HPACK 5.2", "Huffman padding by zeros", &huffman(&[0x49, 0x50, 0x90])),
        // The end's code is thirty ones.
        garbled(
            "HPACK 5.2",
            "Huffman text that holds the end",
            &huffman(&[0xff, 0xff, 0xff, 0xfc]),
        ),
        garbled("HPACK 6.1", "a field of index 0", &[0x80]),
        case(
            "HPACK 6.3",
            "a table larger than the server allows",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&[0x3f, 0xff, 0xff, 0xff, 0x07][..], &get()].concat(),
            )],
            Expect::ConnectionError(&[COMPRESSION_ERROR]),
        ),
        case(
            "HPACK 6.3",
            "a smaller table at the block's beginning is taken",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&[0x20][..], &get()].concat(),
            )],
            Expect::Answer(1),
        ),
        case(
            "HPACK 5.2",
            "Huffman text is taken",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[get(), huffman(&[0x49, 0x50, 0x9f])].concat(),
            )],
            Expect::Answer(1),
        ),
    ]
}

/// The field `x-test` with a value of these bytes, said to be Huffman code.
fn huffman(value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    [&[0, 6][..], b"x-test", &[0x80 | length], value].concat()
}
