//! Cuts an event stream into events, incrementally and without copying events that arrive in one piece.
//!
//! An event ends at an empty line (`\n\n` or `\r\n\r\n`; the lone carriage return that the standard also allows is
//! not used by the service and is treated as text). Feeding byte by byte gives the same events as feeding all at
//! once. Linear in the bytes fed; holds at most one unfinished event, bounded by [`EVENT_BYTES_MAX`].

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// Longest event that is understood; a longer one is passed on in pieces. A tool call's arguments come in many small
/// events, so 1 MiB is far above anything the service sends.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The incremental scanner.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The unfinished event.
    carry: BytesMut,
}

impl Scanner {
    /// Takes the next bytes and hands every finished event, its closing empty line included, to `on_event`.
    pub fn feed(&mut self, chunk: &Bytes, mut on_event: impl FnMut(Bytes)) {
        let mut from = 0;
        if !self.carry.is_empty() {
            let Some(end) = self.end_across(chunk) else {
                self.hold(chunk, &mut on_event);
                return;
            };
            self.carry.extend_from_slice(&chunk[..end]);
            on_event(self.carry.split().freeze());
            from = end;
        }
        while let Some(end) = event_end(&chunk[from..]) {
            on_event(chunk.slice(from..from + end));
            from += end;
        }
        if from < chunk.len() {
            self.hold(&chunk.slice(from..), &mut on_event);
        }
    }

    /// The bytes after the last finished event, at the stream's end. Empty for a well-formed stream.
    pub fn finish(&mut self) -> Bytes {
        self.carry.split().freeze()
    }

    /// Whether an event has begun and not ended.
    pub fn is_inside_event(&self) -> bool {
        !self.carry.is_empty()
    }

    /// Keeps the beginning of an event, or passes it on once it is longer than any real one.
    fn hold(&mut self, piece: &Bytes, on_event: &mut impl FnMut(Bytes)) {
        self.carry.extend_from_slice(piece);
        if self.carry.len() > EVENT_BYTES_MAX {
            on_event(self.carry.split().freeze());
        }
    }

    /// Where in `chunk` the event ends that began in the carry. An end may straddle the two, so the last three bytes
    /// carried are looked at again.
    fn end_across(&self, chunk: &[u8]) -> Option<usize> {
        let tail = &self.carry[self.carry.len().saturating_sub(3)..];
        let mut joint: smallvec::SmallVec<[u8; 6]> = tail.into();
        joint.extend_from_slice(&chunk[..chunk.len().min(3)]);
        if let Some(end) = event_end(&joint).filter(|&end| end > tail.len()) {
            return Some(end - tail.len());
        }
        event_end(chunk)
    }
}

/// The length of the first event in `bytes`, its empty line included.
fn event_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Whether an event is over: a piece of one that is too long is not.
pub fn is_whole(event: &[u8]) -> bool {
    event.ends_with(b"\n\n") || event.ends_with(b"\n\r\n")
}

/// The data of an event: the values of its `data:` lines joined by line feeds. None for comments and other fields.
pub fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut found: Option<Cow<'_, [u8]>> = None;
    for line in event.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(value) = line.strip_prefix(b"data:") else {
            continue;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        found = Some(match found {
            None => Cow::Borrowed(value),
            Some(before) => {
                let mut joined = before.into_owned();
                joined.push(b'\n');
                joined.extend_from_slice(value);
                Cow::Owned(joined)
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut scanner = Scanner::default();
        let mut out = Vec::new();
        for chunk in chunks {
            scanner.feed(&Bytes::copy_from_slice(chunk), |event| out.push(event.to_vec()));
        }
        (out, scanner.finish().to_vec())
    }

    #[test]
    fn both_line_ends_and_a_tail() {
        let (list, tail) = events(&[b"data: 1\n\ndata: 2\r\n\r\n: ping\n\ndata: 3"]);
        assert_eq!(list, [&b"data: 1\n\n"[..], b"data: 2\r\n\r\n", b": ping\n\n"]);
        assert_eq!(tail, b"data: 3");
    }

    #[test]
    fn whole_events_are_slices_of_the_chunk() {
        let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\n\n");
        let mut starts = Vec::new();
        Scanner::default().feed(&chunk, |event| {
            starts.push(event.as_ptr() as usize - chunk.as_ptr() as usize);
        });
        assert_eq!(starts, [0, 9]);
    }

    #[test]
    fn an_endless_event_is_passed_on_in_pieces() {
        let mut scanner = Scanner::default();
        let chunk = Bytes::from(vec![b'x'; EVENT_BYTES_MAX / 2]);
        let mut passed = 0;
        for _ in 0..5 {
            scanner.feed(&chunk, |event| passed += event.len());
        }
        assert!(passed >= EVENT_BYTES_MAX, "{passed}");
        assert_eq!(passed + scanner.finish().len(), 5 * chunk.len());
    }

    #[test]
    fn data_of_events() {
        let text = |event: &[u8]| data(event).map(|data| String::from_utf8_lossy(&data).into_owned());
        assert_eq!(text(b"data: {\"a\":1}\n\n").as_deref(), Some("{\"a\":1}"));
        assert_eq!(text(b"data:x\r\n\r\n").as_deref(), Some("x"));
        assert_eq!(text(b"event: e\ndata: 1\ndata: 2\n\n").as_deref(), Some("1\n2"));
        assert_eq!(text(b": comment\n\n"), None);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(
            stream in "(data: [a-z]{0,6}(\r?\n){1,3}|:\r\n|\r|\n){0,12}",
            cuts in proptest::collection::vec(0..200_usize, 0..20),
        ) {
            let bytes = stream.as_bytes();
            let whole = events(&[bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&whole, &events(&single));
            let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&whole, &events(&pieces));
            let (list, tail) = whole;
            prop_assert_eq!([list.concat(), tail].concat(), bytes);
        }
    }
}
