//! The canonical form of a prompt: the same bytes for all bodies that mean the same prompt to the provider's cache.
//!
//! Tools come first, then the response schema, then messages (or `prompt`, or `input`); each tool, schema and message is a segment.
//! Strings are decoded, so that an escape and its character are one; whitespace is dropped; numbers stand as they are
//! written. Of what clients write differently for one meaning, this is made alike:
//!
//! - a message's `role` comes first, then its `content`, then the rest in the order sent (`LangChain` sends `content` first);
//! - a called tool's `id`, `type` and `function` come in this order, and of its function `name` and `arguments` (`LangChain` sends
//!   `type` first);
//! - `content: "x"` and `content: [{"type": "text", "text": "x"}]`;
//! - members that are `null` and those left out, except inside the JSON schemas of tools and responses;
//! - a string and an array of this one string, as `prompt` or `input`.
//!
//! Images, audio and files in a message stand as SHA-256 of their text, so that they take no depth.
//!
//! Structure is told by bytes that UTF-8 never has, so no text can look like it: prompts that mean something else have another
//! form. Nothing allocates, recurses or fails. Cost: linear; what the sink does not take any more is passed over, which is several times
//! cheaper.

mod found;
pub mod response;

use std::ops::ControlFlow;

use sha2::{Digest as _, Sha256};

use self::found::{Member, find};
use super::json::{self, Cursor, Written};
use super::request::{PromptMember, Request};
use super::stage::Stage;

/// A segment begins; a letter for its kind follows.
const SEGMENT: u8 = 0xf5;
/// What a message or a part of it says, up to the next mark.
const TEXT: u8 = 0xf8;
/// A string or a key, up to the next mark.
const STRING: u8 = 0xf9;
/// A number or a word, up to the next mark.
const ATOM: u8 = 0xfa;
/// The 32 bytes of an attachment's digest follow.
const DIGEST: u8 = 0xfb;
/// An object begins.
const OBJECT: u8 = 0xfc;
/// An array begins.
const ARRAY: u8 = 0xfd;
/// The innermost object or array ends.
const END: u8 = 0xfe;

/// What an image, a recording or a file counts in [`Shape::bytes`]: 765 tokens, which is what a picture of 1024 by 1024 costs in full
/// detail, at 4 bytes a token. How many tokens it really is, its base64 text does not tell.
pub const ATTACHMENT_BYTES: usize = 765 * 4;

/// What a segment is to a sink that wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A tool's definition.
    Tool,
    /// The response's schema.
    Schema,
    /// A message of the system or developer, or a response's instructions.
    System,
    /// Any other message, or a `prompt` or `input`.
    Message,
}

/// Takes a prompt's canonical bytes.
pub trait Sink {
    /// Whether it wants to know what each segment is.
    fn wants_parts(&self) -> bool {
        false
    }
    /// A segment begins.
    fn begin_segment(&mut self, _part: Part) {}
    /// Takes the next bytes.
    fn push(&mut self, bytes: &[u8]);
    /// The segment ends here.
    fn end_segment(&mut self);
    /// Whether more bytes would change nothing.
    fn is_full(&self) -> bool;
}

/// What is known of a prompt once it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whether no assistant has spoken yet. Always so for `prompt` and `input`.
    pub is_first_turn: bool,
    /// Length of the whole prompt in canonical bytes. What the sink did not take counts as long as it is written, and each
    /// attachment as [`ATTACHMENT_BYTES`].
    pub bytes: usize,
}

/// Gives a prompt's canonical form to the sink, as much as it takes.
pub fn write(request: &Request<'_>, sink: &mut impl Sink) -> Shape {
    let [tools, schema, prompt] = request.prompt;
    let mut writer = Writer::new(sink);
    writer.list(Kind::Tool, tools);
    writer.whole(Kind::Schema, schema);
    match request.prompt_member {
        PromptMember::Messages => writer.list(Kind::Message, prompt),
        PromptMember::Prompt | PromptMember::Input => writer.plain(prompt),
    }
    writer.shape()
}

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tool,
    Schema,
    Message,
    Plain,
    Instructions,
    Item,
}

/// Where a value stands, for what depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a definition: nulls count inside JSON schemas.
    Definition,
    /// In a message.
    Message,
    /// In a part of a message's content, where attachments are.
    Part,
}

struct Writer<'a, S> {
    stage: Stage<'a, S>,
    is_first_turn: bool,
}

impl<'s, S: Sink> Writer<'s, S> {
    fn new(sink: &'s mut S) -> Self {
        Self {
            stage: Stage::new(sink),
            is_first_turn: true,
        }
    }

    fn shape(&self) -> Shape {
        Shape {
            is_first_turn: self.is_first_turn,
            bytes: self.stage.bytes(),
        }
    }

    /// An array whose elements are segments.
    fn list(&mut self, kind: Kind, json: &str) {
        let mut cursor = Cursor::new(json);
        if cursor.peek() != Some(b'[') {
            // The provider will refuse it.
            return self.whole(kind, json);
        }
        cursor.pass();
        while cursor.element() {
            self.segment(kind, &mut cursor);
        }
    }

    /// A value that is one segment, if it is there.
    fn whole(&mut self, kind: Kind, json: &str) {
        let mut cursor = Cursor::new(json);
        if !matches!(cursor.peek(), None | Some(b'n')) {
            self.segment(kind, &mut cursor);
        }
    }

    /// `prompt` or `input`: a text, an array of texts, tokens or items, or one array of tokens.
    fn plain(&mut self, json: &str) {
        let mut cursor = Cursor::new(json);
        if cursor.peek() == Some(b'[') {
            cursor.pass();
            if matches!(cursor.peek(), Some(b'"' | b'[' | b'{')) {
                return self.list(Kind::Plain, json);
            }
        }
        self.whole(Kind::Plain, json);
    }

    fn segment(&mut self, kind: Kind, cursor: &mut Cursor<'_>) {
        let letter = match kind {
            Kind::Tool => b't',
            Kind::Schema => b's',
            Kind::Message => b'm',
            Kind::Plain => b'p',
            Kind::Instructions => b'i',
            Kind::Item => b'r',
        };
        if self.stage.wants_parts() {
            self.stage.begin_segment(part(kind, *cursor));
        }
        self.push(&[SEGMENT, letter]);
        match (kind, cursor.peek()) {
            (Kind::Tool | Kind::Schema, _) => self.value(cursor, Place::Definition),
            (Kind::Message | Kind::Plain, Some(b'{')) => {
                let is_answer = self.message(cursor);
                self.is_first_turn &= !(is_answer && kind == Kind::Message);
            }
            (Kind::Item, Some(b'{')) => self.is_first_turn &= !self.item(cursor),
            (Kind::Item, Some(b'"')) => self.users_text(cursor),
            (Kind::Plain | Kind::Instructions, Some(b'"')) => self.text(TEXT, cursor),
            _ => self.value(cursor, Place::Message),
        }
        self.stage.end_segment();
    }

    /// A message, and whether an assistant spoke it.
    fn message(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let mut is_answer = false;
        self.object(cursor, MESSAGE, |writer, member, value| match member {
            Member::First(0) => is_answer = writer.role(value),
            Member::First(_) => writer.content(value, text_part),
            Member::Other(key) => {
                writer.string(STRING, key);
                if value.peek() == Some(b'[') && key.means("tool_calls") {
                    writer.tool_calls(value);
                } else {
                    writer.value(value, Place::Message);
                }
            }
        });
        is_answer
    }

    /// An object, of which these members come first, in this order, and then the rest as sent.
    #[inline]
    fn object<const N: usize>(
        &mut self,
        cursor: &mut Cursor<'_>,
        first: [&str; N],
        mut member: impl FnMut(&mut Self, Member<'_>, &mut Cursor<'_>),
    ) {
        cursor.pass();
        self.push(&[OBJECT]);
        let mut written = [None; N];
        for (place, name) in first.iter().enumerate() {
            written[place] = find(*cursor, name).map(|mut found| {
                member(self, Member::First(place), &mut found.value);
                found.passed_by(cursor)
            });
        }
        while let Some(key) = cursor.member() {
            match written.iter().flatten().find(|found| found.at == cursor.at()) {
                Some(found) => *cursor = found.value,
                None if cursor.peek() == Some(b'n') => cursor.skip(),
                None => member(self, Member::Other(key), cursor),
            }
        }
        self.push(&[END]);
    }

    /// The tools that an assistant called.
    fn tool_calls(&mut self, cursor: &mut Cursor<'_>) {
        cursor.pass();
        self.push(&[ARRAY]);
        while cursor.element() {
            if cursor.peek() == Some(b'{') {
                self.object(cursor, CALL, |writer, member, value| match member {
                    Member::First(2) if value.peek() == Some(b'{') => {
                        writer.string_of(CALL[2]);
                        writer.object(value, CALLED, |writer, member, value| {
                            writer.named(CALLED, member, value);
                        });
                    }
                    _ => writer.named(CALL, member, value),
                });
            } else {
                self.value(cursor, Place::Message);
            }
        }
        self.push(&[END]);
    }

    /// A member with its key, unless it is null.
    fn named<const N: usize>(&mut self, first: [&str; N], member: Member<'_>, value: &mut Cursor<'_>) {
        if value.peek() == Some(b'n') {
            return value.skip();
        }
        match member {
            Member::First(place) => self.string_of(first[place]),
            Member::Other(key) => self.string(STRING, key),
        }
        self.value(value, Place::Message);
    }

    fn string_of(&mut self, key: &str) {
        self.push(&[STRING]);
        self.push(key.as_bytes());
    }

    /// A message's role, and whether it is the assistant's.
    fn role(&mut self, value: &mut Cursor<'_>) -> bool {
        if value.peek() != Some(b'"') {
            self.named(MESSAGE, Member::First(0), value);
            return false;
        }
        let role = value.string();
        self.string_of(MESSAGE[0]);
        self.string(STRING, role);
        role.means("assistant")
    }

    /// A message's content: parts, of which a string is one. `text_of` tells the text of a part that is nothing else.
    #[inline]
    fn content<'b>(&mut self, cursor: &mut Cursor<'b>, text_of: impl Fn(Cursor<'b>) -> Option<TextPart<'b>>) {
        match cursor.peek() {
            Some(b'"') => {
                self.string_of(MESSAGE[1]);
                self.push(&[ARRAY]);
                self.text(TEXT, cursor);
            }
            Some(b'[') => {
                self.string_of(MESSAGE[1]);
                self.push(&[ARRAY]);
                cursor.pass();
                while cursor.element() {
                    if let Some((text, end)) = text_of(*cursor) {
                        self.string(TEXT, text);
                        *cursor = end;
                    } else {
                        self.value(cursor, Place::Part);
                    }
                }
            }
            _ => return self.named(MESSAGE, Member::First(1), cursor),
        }
        self.push(&[END]);
    }

    /// Any value, token by token.
    fn value(&mut self, cursor: &mut Cursor<'_>, place: Place) {
        let mut depth = 0_usize;
        // The depth of the member that holds a JSON schema, inside one.
        let mut schema = None;
        while let Some(byte) = cursor.peek() {
            match byte {
                b'{' | b'[' => {
                    cursor.pass();
                    depth += 1;
                    self.push(&[if byte == b'{' { OBJECT } else { ARRAY }]);
                }
                b'}' | b']' => {
                    cursor.pass();
                    depth = depth.saturating_sub(1);
                    self.push(&[END]);
                    schema = schema.filter(|&holder| holder < depth);
                }
                b',' | b':' => cursor.pass(),
                b'"' => {
                    let string = cursor.string();
                    if cursor.peek() == Some(b':') {
                        cursor.pass();
                        let value = cursor.peek();
                        if value == Some(b'n') && schema.is_none() {
                            cursor.skip();
                            continue;
                        }
                        self.string(STRING, string);
                        if place == Place::Part && value == Some(b'"') && holds_attachment(string) {
                            self.attachment(cursor.string());
                        }
                        if place == Place::Definition && value == Some(b'{') && holds_schema(string) {
                            schema = schema.or(Some(depth));
                        }
                    } else {
                        self.string(STRING, string);
                    }
                }
                _ => self.written(ATOM, cursor.atom()),
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A key or a string that was passed.
    #[inline]
    fn string(&mut self, mark: u8, written: Written<'_>) {
        self.push(&[mark]);
        if let Some(plain) = written.plain() {
            self.push(plain);
        } else {
            let read = self.stage.push_string(written.and_more());
            // Nothing is left of it, if the sink took all.
            self.stage.count(written.len() - read);
        }
    }

    /// The string that the cursor stands on.
    fn text(&mut self, mark: u8, cursor: &mut Cursor<'_>) {
        self.push(&[mark]);
        cursor.pass();
        cursor.pass_on(self.stage.push_string(cursor.rest()));
        if self.stage.is_full() {
            self.stage.count(cursor.string_from_inside().len());
        } else {
            cursor.pass();
        }
    }

    fn written(&mut self, mark: u8, text: &[u8]) {
        self.push(&[mark]);
        self.push(text);
    }

    fn attachment(&mut self, written: Written<'_>) {
        let bytes = self.stage.bytes() + ATTACHMENT_BYTES;
        if !self.stage.is_full() {
            let mut hash = Sha256::new();
            json::decode(written.bytes(), |piece| {
                hash.update(piece);
                ControlFlow::Continue(())
            });
            self.push(&[DIGEST]);
            self.push(&hash.finalize());
        }
        self.stage.recount(bytes);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.stage.push(bytes);
    }
}

/// The members of a message that come first.
const MESSAGE: [&str; 2] = ["role", "content"];
/// Those of a call of a tool.
const CALL: [&str; 3] = ["id", "type", "function"];
/// Those of the function that is called.
const CALLED: [&str; 2] = ["name", "arguments"];

/// What a segment of this kind is, which begins here.
fn part(kind: Kind, mut cursor: Cursor<'_>) -> Part {
    match kind {
        Kind::Tool => return Part::Tool,
        Kind::Schema => return Part::Schema,
        Kind::Instructions => return Part::System,
        Kind::Plain => return Part::Message,
        Kind::Message | Kind::Item => {}
    }
    if cursor.peek() != Some(b'{') {
        return Part::Message;
    }
    cursor.pass();
    let is_system = |mut role: Cursor<'_>| {
        role.peek() == Some(b'"') && {
            let role = role.string();
            role.means("system") || role.means("developer")
        }
    };
    if find(cursor, "role").is_some_and(|found| is_system(found.value)) {
        Part::System
    } else {
        Part::Message
    }
}

/// The text of a part, and where the part ends.
type TextPart<'a> = (Written<'a>, Cursor<'a>);

/// The text of a part that is nothing but text, and where it ends.
fn text_part(mut cursor: Cursor<'_>) -> Option<TextPart<'_>> {
    if cursor.peek() != Some(b'{') {
        return None;
    }
    cursor.pass();
    let (mut kind, mut text) = (None, None);
    while let Some(key) = cursor.member() {
        let known = match cursor.peek() {
            Some(b'n') => {
                cursor.skip();
                continue;
            }
            Some(b'"') if key.means("type") => &mut kind,
            Some(b'"') if key.means("text") => &mut text,
            _ => return None,
        };
        if known.replace(cursor.string()).is_some() {
            return None;
        }
    }
    Some((text.filter(|_| kind.is_some_and(|kind| kind.means("text")))?, cursor))
}

/// Whether the member of this key, in a part, is an image, a recording or a file.
fn holds_attachment(key: Written<'_>) -> bool {
    key.means("url") || key.means("image_url") || key.means("data") || key.means("file_data")
}

/// Whether the member of this key, in a definition, is a JSON schema.
fn holds_schema(key: Written<'_>) -> bool {
    key.means("parameters") || key.means("schema")
}

#[cfg(test)]
mod tests;
