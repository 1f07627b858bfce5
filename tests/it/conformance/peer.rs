//! The client's side of an HTTP/2 connection, as thin as can be: frames go out as they are written down, and what comes back is
//! held against what RFC 9113 lets a server do.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;

pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a server has for what it must do; only what it does not do takes so long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Both kinds of connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A frame that came.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// One step of a case.
pub(super) enum Step {
    /// Frames, as one write.
    Send(Vec<u8>),
    /// Wait until the server has ended a stream.
    UntilEnded(u32),
    /// Wait until so many bytes of a stream's body have come.
    UntilBody(u32, usize),
    /// A frame of this kind, these flags and this stream, one byte longer than the server takes.
    TooLong(u8, u8, u32),
    /// Streams that do not end, one more than the server allows; the frames of each.
    OneTooMany(fn(u32) -> Vec<u8>),
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expect {
    /// The connection ends: with GOAWAY of one of these codes before, or without a word.
    ConnectionError(&'static [u32]),
    /// The same, or a stream is reset with one of these codes.
    StreamError(&'static [u32]),
    /// A stream is answered.
    Answer(u32),
    /// A ping of this payload is answered, and no other before.
    Pong([u8; 8]),
    /// The server's settings come first.
    SettingsFirst,
    /// Settings are acknowledged, besides those of the beginning.
    SettingsAck,
    /// The next piece of a stream's body has so many bytes.
    Piece(u32, usize),
}

/// A connection to the gateway.
pub(super) struct Peer {
    wire: Box<dyn Wire>,
    received: Vec<u8>,
    /// What the server said in its first SETTINGS.
    settings: HashMap<u16, u32>,
    ended: Vec<u32>,
    body: HashMap<u32, usize>,
    is_closed: bool,
}

impl Peer {
    pub(super) fn new(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            received: Vec::new(),
            settings: HashMap::new(),
            ended: Vec::new(),
            body: HashMap::new(),
            is_closed: false,
        }
    }

    /// Preface and settings of both sides.
    pub(super) async fn shake_hands(&mut self, settings: &[(u16, u32)]) -> Result<(), String> {
        self.send(&[PREFACE, &frame(SETTINGS, 0, 0, &settings_of(settings))].concat())
            .await;
        let first = self.next().await?.ok_or("closed instead of SETTINGS")?;
        if first.kind != SETTINGS || first.flags & ACK != 0 {
            return Err(format!("{first:?} instead of SETTINGS"));
        }
        let (pairs, _) = first.payload.as_chunks::<6>();
        for [a, b, value @ ..] in pairs {
            self.settings
                .insert(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value));
        }
        self.send(&frame(SETTINGS, ACK, 0, &[])).await;
        // The acknowledgement of ours, so that what comes later is an answer to what is sent later.
        while let Some(frame) = self.next().await? {
            if frame.kind == SETTINGS && frame.flags & ACK != 0 {
                return Ok(());
            }
        }
        Err("closed instead of acknowledging SETTINGS".to_owned())
    }

    pub(super) async fn play(&mut self, steps: Vec<Step>) -> Result<(), String> {
        for step in steps {
            match step {
                Step::Send(bytes) => self.send(&bytes).await,
                Step::UntilEnded(stream) => {
                    while !self.ended.contains(&stream) {
                        self.next().await?.ok_or("closed before the stream ended")?;
                    }
                }
                Step::UntilBody(stream, bytes) => {
                    while self.body.get(&stream).copied().unwrap_or(0) < bytes {
                        self.next().await?.ok_or("closed before the body came")?;
                    }
                }
                Step::TooLong(kind, flags, stream) => {
                    let most = self.settings.get(&MAX_FRAME_SIZE).copied().unwrap_or(16_384) as usize;
                    self.send(&frame(kind, flags, stream, &vec![0; most + 1])).await;
                }
                Step::OneTooMany(open) => {
                    let most = self.settings.get(&MAX_CONCURRENT_STREAMS);
                    let most = *most.ok_or("no limit of streams is announced")?;
                    let frames: Vec<u8> = (0..=most).flat_map(|number| open(number * 2 + 1)).collect();
                    self.send(&frames).await;
                }
            }
        }
        Ok(())
    }

    /// Reads until it is clear whether the server did what it must.
    pub(super) async fn judge(&mut self, expect: Expect) -> Result<(), String> {
        let mut seen = String::new();
        loop {
            let next = self
                .next()
                .await
                .map_err(|problem| format!("{problem}; came: {seen}"))?;
            let Some(frame) = next else {
                return match expect {
                    Expect::ConnectionError(_) | Expect::StreamError(_) => Ok(()),
                    _ => Err(format!("closed; came: {seen}")),
                };
            };
            let _ = write!(seen, "{} ", frame.summary());
            let code = |at: usize| {
                frame
                    .payload
                    .get(at..at + 4)
                    .map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]))
            };
            match (expect, frame.kind) {
                (Expect::ConnectionError(codes) | Expect::StreamError(codes), GOAWAY) => {
                    return if code(4).is_some_and(|code| codes.contains(&code)) {
                        // RFC 9113, 5.4.1: after GOAWAY for an error the connection is closed.
                        self.until_closed().await
                    } else {
                        Err(seen)
                    };
                }
                (Expect::StreamError(codes), RST_STREAM) if code(0).is_some_and(|code| codes.contains(&code)) => {
                    return Ok(());
                }
                (Expect::Answer(stream), HEADERS) if frame.stream == stream => return Ok(()),
                (Expect::Pong(payload), PING) if frame.flags & ACK != 0 => {
                    return if frame.payload == payload { Ok(()) } else { Err(seen) };
                }
                (Expect::SettingsFirst, kind) => {
                    return if kind == SETTINGS { Ok(()) } else { Err(seen) };
                }
                (Expect::SettingsAck, SETTINGS) if frame.flags & ACK != 0 => return Ok(()),
                (Expect::Piece(stream, bytes), DATA) if frame.stream == stream => {
                    return if frame.payload.len() == bytes {
                        Ok(())
                    } else {
                        Err(seen)
                    };
                }
                (Expect::ConnectionError(_) | Expect::StreamError(_), _) => {}
                (_, GOAWAY | RST_STREAM) => return Err(seen),
                _ => {}
            }
        }
    }

    async fn until_closed(&mut self) -> Result<(), String> {
        while self.next().await.map_err(|_| "not closed after GOAWAY")?.is_some() {}
        Ok(())
    }

    /// One that is closed already takes nothing, which shows when it is read.
    async fn send(&mut self, bytes: &[u8]) {
        let writing = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        };
        if !matches!(tokio::time::timeout(PATIENCE, writing).await, Ok(Ok(()))) {
            self.is_closed = true;
        }
    }

    /// The next frame; none if the connection is closed.
    async fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            if let Some(frame) = self.take() {
                if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                    self.ended.push(frame.stream);
                }
                if frame.kind == DATA {
                    *self.body.entry(frame.stream).or_default() += frame.payload.len();
                }
                return Ok(Some(frame));
            }
            match tokio::time::timeout(PATIENCE, self.wire.read_buf(&mut self.received)).await {
                Ok(Ok(0) | Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
                Err(_elapsed) if self.is_closed => return Ok(None),
                Err(_elapsed) => return Err("nothing more came".to_owned()),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.received.get(..9)?.try_into().ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if self.received.len() < 9 + length {
            return None;
        }
        let payload = self.received[9..9 + length].to_vec();
        self.received.drain(..9 + length);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff,
            payload,
        })
    }
}

impl Frame {
    fn summary(&self) -> String {
        const NAMES: [&str; 10] = [
            "DATA",
            "HEADERS",
            "PRIORITY",
            "RST_STREAM",
            "SETTINGS",
            "PUSH_PROMISE",
            "PING",
            "GOAWAY",
            "WINDOW_UPDATE",
            "CONTINUATION",
        ];
        let name = NAMES.get(usize::from(self.kind)).unwrap_or(&"?");
        let code = match self.kind {
            GOAWAY => self.payload.get(7),
            RST_STREAM => self.payload.get(3),
            _ => None,
        };
        let code = code.map_or(String::new(), |code| format!(" code {code}"));
        format!("{name}({}, {} bytes{code})", self.stream, self.payload.len())
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(super) fn settings_of(pairs: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    pairs.iter().flat_map(pair).collect()
}

pub(super) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// Fields as literals without indexing; names and values shorter than 127 bytes.
pub(super) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        for (head, text) in [(Some(0), name), (None, value)] {
            bytes.extend(head);
            bytes.push(u8::try_from(text.len()).expect("a short text"));
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}
