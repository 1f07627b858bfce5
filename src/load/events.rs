//! Event-stream bytes in, events out: the driver's own incremental parser.
//!
//! It keeps at most one unfinished event, refuses one longer than [`MAX_EVENT_BYTES`], and drops an event whose blank
//! line never came, as the WHATWG rules say: half an event is not an event. `id:`, `retry:` and comments are skipped.
//! A lone carriage return as a line end is not supported, since no provider sends it.

/// Longest event that is held, in bytes; Azure's are a few hundred.
pub(super) const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The `event:` line's value, empty when there was none.
    pub name: String,
    /// The `data:` lines' values, joined by line feeds.
    pub data: String,
}

/// An event longer than [`MAX_EVENT_BYTES`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// The parser.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Events {
    /// Takes the next bytes and hands each event that they complete to `each`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Event)) -> Result<(), TooLong> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at(end);
            self.hold(head)?;
            rest = &tail[1..];
            let line = std::mem::take(&mut self.line);
            if let Some(event) = self.line_ended(line.strip_suffix(b"\r").unwrap_or(&line)) {
                each(event);
            }
            // Give the buffer back, so that a stream allocates it once.
            self.line = line;
            self.line.clear();
        }
        self.hold(rest)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + self.event.data.len() + bytes.len() > MAX_EVENT_BYTES {
            return Err(TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_ended(&mut self, line: &[u8]) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(&String::from_utf8_lossy(value));
            }
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            events.feed(chunk, |event| seen.push((event.name, event.data))).unwrap();
        }
        seen
    }

    fn data(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    const STREAM: &str =
        ": hi\r\n\r\ndata: {\"a\":1}\n\nevent: error\r\ndata:two\r\ndata: lines\r\n\r\nid: 4\ndata: [DONE]\n\n";

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let expected = vec![data("", "{\"a\":1}"), data("error", "two\nlines"), data("", "[DONE]")];
        assert_eq!(parse(&[STREAM.as_bytes()]), expected);
        for size in 1..STREAM.len() {
            let chunks: Vec<_> = STREAM.as_bytes().chunks(size).collect();
            assert_eq!(parse(&chunks), expected, "in chunks of {size}");
        }
    }

    #[test]
    fn half_an_event_is_not_an_event() {
        assert_eq!(parse(&[b"data: [DONE]\n"]), vec![]);
        assert_eq!(parse(&[b"event: error\n\n"]), vec![]);
    }

    #[test]
    fn an_event_has_a_longest_length() {
        let mut events = Events::default();
        let line = vec![b'x'; MAX_EVENT_BYTES];
        assert_eq!(events.feed(&line, |_event| {}), Ok(()));
        assert_eq!(events.feed(b"x", |_event| {}), Err(TooLong));
    }
}
