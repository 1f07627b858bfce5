//! The canonical form of a response's prompt: tools, format, instructions, then the items of its input.
//!
//! Beside what is made alike of all prompts, of items this is:
//!
//! - a text as `input` and a list of one message of the user that has it;
//! - `type: "message"` and its absence; a message's `id` and `status`, which are names that the provider gave it, not what it says;
//! - texts of a message by whatever name (`input_text`, `output_text`, `text`), whose annotations are left out: the role tells who spoke.
//!
//! Its marks differ from a chat's: a prompt that is asked in both ways is two prompts here, since whether the provider's cache shares them
//! is not known.

use super::{Cursor, END, MESSAGE, OBJECT, Place, STRING, Shape, Sink, TextPart, Writer};
use super::{Kind, Member, find};
use crate::openai::request::Request;

/// Gives the prompt of a response to the sink, as much as it takes. It is no first turn if it continues another response or holds
/// anything of an assistant: its words, its calls and what they gave.
pub fn write(request: &Request<'_>, sink: &mut impl Sink) -> Shape {
    let [tools, format, input] = request.prompt;
    let mut writer = Writer::new(sink);
    writer.is_first_turn = request.response.previous_id.is_none();
    writer.list(Kind::Tool, tools);
    writer.whole(Kind::Schema, format);
    writer.whole(Kind::Instructions, request.response.instructions);
    writer.list(Kind::Item, input);
    writer.shape()
}

impl<S: Sink> Writer<'_, S> {
    /// An item of the input, and whether an assistant had spoken before it could be written.
    pub(super) fn item(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let mut inside = *cursor;
        inside.pass();
        let is_message = find(inside, "type").is_none_or(|mut found| is_string(&mut found.value, "message"));
        if !is_message {
            self.value(cursor, Place::Part);
            return true;
        }
        let mut is_answer = false;
        self.object(cursor, MESSAGE, |writer, member, value| match member {
            Member::First(0) => is_answer = writer.role(value),
            Member::First(_) => writer.content(value, text_of),
            Member::Other(key) if key.means("type") || key.means("id") || key.means("status") => value.skip(),
            Member::Other(key) => {
                writer.string(STRING, key);
                writer.value(value, Place::Message);
            }
        });
        is_answer
    }

    /// A text of the user's, written as the message that it is.
    pub(super) fn users_text(&mut self, cursor: &mut Cursor<'_>) {
        self.push(&[OBJECT]);
        self.string_of(MESSAGE[0]);
        self.string_of("user");
        self.content(cursor, text_of);
        self.push(&[END]);
    }
}

/// Whether the value is this string.
fn is_string(value: &mut Cursor<'_>, word: &str) -> bool {
    value.peek() == Some(b'"') && value.string().means(word)
}

/// The text of a part that is nothing but text, whoever spoke it and whatever was noted about it, and where the part ends.
fn text_of(mut cursor: Cursor<'_>) -> Option<TextPart<'_>> {
    if cursor.peek() != Some(b'{') {
        return None;
    }
    cursor.pass();
    let (mut kind, mut text) = (None, None);
    while let Some(key) = cursor.member() {
        let known = match cursor.peek() {
            Some(b'"') if key.means("type") => &mut kind,
            Some(b'"') if key.means("text") => &mut text,
            Some(b'n') => {
                cursor.skip();
                continue;
            }
            _ if key.means("annotations") || key.means("logprobs") => {
                cursor.skip();
                continue;
            }
            _ => return None,
        };
        if known.replace(cursor.string()).is_some() {
            return None;
        }
    }
    let is_text = kind.is_some_and(|kind| {
        ["input_text", "output_text", "text"]
            .iter()
            .any(|known| kind.means(known))
    });
    Some((text.filter(|_| is_text)?, cursor))
}

#[cfg(test)]
mod tests;
