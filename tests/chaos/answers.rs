//! Is an answer one answer, and the one that was sent? Looks at its bytes, and at what passed through the proxies.

use memchr::memmem;
use serde_json::Value;

use crate::driver::Seen;
use crate::shape::Kind;

/// How a stream ended for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// With `[DONE]`.
    Done,
    /// With an error event.
    Error,
    /// With nothing: only for a client that left.
    Open,
}

/// An answer as its bytes tell.
#[derive(Debug)]
pub(crate) struct Told {
    /// Its id, where one has come.
    pub(crate) id: Option<String>,
    /// How it ended; none for a whole answer.
    pub(crate) end: Option<StreamEnd>,
}

impl Told {
    /// The number that the simulator gave the request, which is in the id of its answer.
    pub(crate) fn number(&self) -> Option<u64> {
        let id = self.id.as_ref()?;
        u64::from_str_radix(id.get(id.len().checked_sub(12)?..)?, 16).ok()
    }
}

/// Reads a good answer's body.
///
/// # Errors
/// With what is wrong with it.
pub(crate) fn read(seen: &Seen) -> Result<Told, String> {
    if seen.header("content-type").starts_with("text/event-stream") {
        return read_stream(&seen.body);
    }
    let answer: Value = serde_json::from_slice(&seen.body).map_err(|error| format!("not one JSON object: {error}"))?;
    let id = answer["id"].as_str().ok_or("it has no id")?;
    Ok(Told {
        id: Some(id.to_owned()),
        end: None,
    })
}

fn read_stream(body: &[u8]) -> Result<Told, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let (mut id, mut end) = (None, StreamEnd::Open);
    let mut unreadable = None;
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        if end != StreamEnd::Open {
            return Err(format!("something follows its end: {event:.80}"));
        }
        if event == "data: [DONE]" {
            end = StreamEnd::Done;
            continue;
        }
        let data = event.strip_prefix("data: ").map(serde_json::from_str::<Value>);
        let Some(Ok(data)) = data else {
            // Part of an event, which an error event or the client's leaving may follow and nothing else.
            unreadable = Some(event);
            continue;
        };
        if data.get("error").is_some() {
            end = StreamEnd::Error;
            continue;
        }
        if let Some(event) = unreadable {
            return Err(format!("what is no event stands in the middle: {event:.80}"));
        }
        match data["id"].as_str().filter(|own| !own.is_empty()) {
            Some(own) if id.is_none() => id = Some(own.to_owned()),
            Some(own) if id.as_deref() != Some(own) => return Err(format!("events of two answers: {id:?} and {own}")),
            _ => {}
        }
    }
    if unreadable.is_some() && end == StreamEnd::Done {
        return Err("part of an event, and `[DONE]` after it".to_owned());
    }
    Ok(Told { id, end: Some(end) })
}

/// Compares an answer with what came back on the connections to its account.
///
/// # Errors
/// With how they differ.
pub(crate) fn compare(seen: &Seen, told: &Told, transcripts: &[Vec<u8>]) -> Result<(), String> {
    let Some(id) = &told.id else { return Ok(()) };
    let quoted = format!("\"id\":\"{id}\"");
    let Some(sent) = transcripts.iter().find(|sent| find(sent, quoted.as_bytes()).is_some()) else {
        return Err(format!("no connection brought the answer {id}"));
    };
    let Some(end) = told.end else {
        return match find(sent, &seen.body) {
            Some(_) => Ok(()),
            None => Err("its bytes are not those that were sent".to_owned()),
        };
    };
    // Usage that the client did not ask for is taken out on the way.
    let is_stripped = seen.ask.kind != Kind::StreamWithUsage;
    let sent = if is_stripped {
        String::from_utf8_lossy(sent)
            .replace(",\"usage\":null", "")
            .into_bytes()
    } else {
        sent.clone()
    };
    let mut at = find(&sent, quoted.as_bytes()).unwrap_or_default();
    let own = |event: &&[u8]| find(event, quoted.as_bytes()).is_some();
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    let events: Vec<_> = body.split_inclusive("\n\n").map(str::as_bytes).filter(own).collect();
    for event in &events {
        // The first one begins before its id.
        let from = at.saturating_sub(event.len());
        match find(&sent[from..], event) {
            Some(found) => at = from + found + event.len() + event.len().min(1),
            None if end != StreamEnd::Done => return Ok(()),
            None => {
                return Err(format!(
                    "an event differs from what was sent: {}",
                    String::from_utf8_lossy(event)
                ));
            }
        }
    }
    let there = memmem::find_iter(&sent, quoted.as_bytes()).count();
    let is_whole = events.len() == there || (is_stripped && events.len() + 1 == there);
    if end == StreamEnd::Done && !is_whole {
        return Err(format!("{} events came of {there}", events.len()));
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "data: {\"id\":\"chatcmpl-1-00000000000a\",\"choices\":[{}]}\n\n";
    const OTHER: &str = "data: {\"id\":\"chatcmpl-2-00000000000b\",\"choices\":[{}]}\n\n";
    const ERROR: &str = "data: {\"error\":{\"code\":\"stream_broken\"}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    #[test]
    fn a_stream_is_one_stream_with_one_end() {
        let end = |pieces: &[&str]| read_stream(pieces.concat().as_bytes()).map(|told| told.end).ok();
        assert_eq!(end(&[EVENT, EVENT, DONE]), Some(Some(StreamEnd::Done)));
        assert_eq!(end(&[EVENT, &EVENT[..20], "\n\n", ERROR]), Some(Some(StreamEnd::Error)));
        assert_eq!(end(&[EVENT]), Some(Some(StreamEnd::Open)));
        for wrong in [
            &[EVENT, OTHER, DONE][..],
            &[EVENT, DONE, DONE],
            &[EVENT, DONE, EVENT],
            &[EVENT, ERROR, DONE],
            &[EVENT, ERROR, ERROR],
            &[EVENT, &EVENT[..20], "\n\n", EVENT, DONE],
            &[EVENT, &EVENT[..20], "\n\n", DONE],
        ] {
            assert_eq!(end(wrong), None, "{wrong:?}");
        }
        let told = read_stream(EVENT.as_bytes()).expect("good");
        assert_eq!(told.number(), Some(10));
    }
}
