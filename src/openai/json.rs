//! Reading JSON in place: JSON that another parser has found valid, so that nothing here can fail.
//!
//! No tree, no copy, no recursion, so no depth is too deep; every pass is linear. On text that is not valid after all a pass
//! ends early, and never panics.

use std::ops::{ControlFlow, Deref};

/// A place in a JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    #[inline]
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
        }
    }

    /// Where it stands, to be compared with other places in the same text.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not whitespace. The cursor stands on it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes the byte it stands on.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.at = self.text.len().min(self.at + 1);
    }

    /// Inside an object whose brace is passed: the next member's key, with the cursor on the value; none at the end,
    /// which is passed.
    #[inline]
    pub(super) fn member(&mut self) -> Option<Written<'a>> {
        if self.peek() == Some(b',') {
            self.pass();
        }
        if self.peek() != Some(b'"') {
            self.pass();
            return None;
        }
        let key = self.string();
        if self.peek() == Some(b':') {
            self.pass();
        }
        self.peek();
        Some(key)
    }

    /// Inside an array whose bracket is passed: whether there is another element, with the cursor on it; the end is passed.
    #[inline]
    pub(super) fn element(&mut self) -> bool {
        if self.peek() == Some(b',') {
            self.pass();
        }
        match self.peek() {
            None => false,
            Some(b']') => {
                self.pass();
                false
            }
            Some(_) => true,
        }
    }

    /// The string that begins here. It is passed.
    #[inline]
    pub(super) fn string(&mut self) -> Written<'a> {
        self.pass();
        self.string_from_inside()
    }

    /// Inside a string: what is left of the text from here on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// Passes so many bytes.
    #[inline]
    pub(super) fn pass_on(&mut self, bytes: usize) {
        self.at = self.text.len().min(self.at + bytes);
    }

    /// Inside a string, between two characters: what is left of it. Its quote is passed.
    #[inline]
    pub(super) fn string_from_inside(&mut self) -> Written<'a> {
        let from_inside = self.rest();
        // Most keys and words are short and have no escape.
        if let Some(words) = from_inside.as_chunks().0.first_chunk::<2>() {
            let length = run_length(words);
            if from_inside.get(length) == Some(&b'"') {
                self.at += length + 1;
                return Written {
                    from_inside,
                    length,
                    is_plain: true,
                };
            }
        }
        self.long_string_from_inside()
    }

    #[inline(never)]
    fn long_string_from_inside(&mut self) -> Written<'a> {
        let from_inside = self.rest();
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'"', &from_inside[from..]) {
            let quote = from + found;
            let before = from_inside[..quote].iter().rev();
            if before.take_while(|&&byte| byte == b'\\').count() % 2 == 0 {
                self.at += quote + 1;
                return Written::of(from_inside, quote);
            }
            from = quote + 1;
        }
        self.at = self.text.len();
        Written::of(from_inside, from_inside.len())
    }

    /// The number or word that begins here. It is passed.
    #[inline]
    pub(super) fn atom(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        // At least one byte, so that whoever loops over atoms gets to the end of whatever this is.
        let length = length.max(1).min(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Passes over the value that begins here.
    pub(super) fn skip(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => _ = self.string(),
                b'{' | b'[' => {
                    self.pass();
                    depth += 1;
                }
                b'}' | b']' => {
                    self.pass();
                    depth = depth.saturating_sub(1);
                }
                b',' | b':' => self.pass(),
                _ => _ = self.atom(),
            }
            if depth == 0 {
                return;
            }
        }
    }
}

/// A string as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    /// The text from inside the string on, as far as it goes.
    from_inside: &'a [u8],
    /// How long the string is.
    length: usize,
    /// Whether it is known to have no escapes.
    is_plain: bool,
}

impl<'a> Written<'a> {
    fn of(from_inside: &'a [u8], length: usize) -> Self {
        Self {
            from_inside,
            length,
            is_plain: false,
        }
    }

    /// Its length, in bytes.
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// It, without its quotes.
    #[inline]
    pub(super) fn bytes(self) -> &'a [u8] {
        &self.from_inside[..self.length]
    }

    /// The same with what follows, for those that copy whole blocks.
    pub(super) fn and_more(self) -> &'a [u8] {
        self.from_inside
    }

    /// The same, if it is known to mean what is written.
    #[inline]
    pub(super) fn plain(self) -> Option<&'a [u8]> {
        self.is_plain.then_some(self.bytes())
    }

    /// Whether it means this word.
    #[inline]
    pub(super) fn means(self, word: &str) -> bool {
        self.bytes() == word.as_bytes() || (!self.is_plain && self.means_by_escapes(word))
    }

    #[inline(never)]
    fn means_by_escapes(self, word: &str) -> bool {
        let mut rest = Some(word.as_bytes());
        let left = decode(self.bytes(), |piece| {
            rest = rest.and_then(|rest| rest.strip_prefix(piece));
            if rest.is_some() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        left == 0 && rest.is_some_and(<[u8]>::is_empty)
    }
}

/// Gives a string's meaning in pieces: what stands between escapes, and the characters that escapes stand for. Returns how many bytes
/// as written are left where the taker broke off.
pub(super) fn decode(written: &[u8], mut take: impl FnMut(&[u8]) -> ControlFlow<()>) -> usize {
    let mut rest = written;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (run, escape) = rest.split_at(at);
        if !run.is_empty() && take(run).is_break() {
            return escape.len();
        }
        let (character, used) = character(escape);
        rest = &escape[used..];
        if take(&character).is_break() {
            return rest.len();
        }
    }
    if !rest.is_empty() {
        // Whether or not the taker breaks off here, nothing is left.
        let _ = take(rest);
    }
    0
}

/// A character's UTF-8.
#[derive(Debug, Clone, Copy)]
pub(super) struct Utf8 {
    /// Its bytes, and zeros.
    pub(super) bytes: [u8; 4],
    /// How many of them count.
    pub(super) length: usize,
}

impl Deref for Utf8 {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The character of the escape that `text` begins with, and how long the escape is. Half a surrogate pair, which is no character, is
/// given as the three bytes that UTF-8 would have for it and never has.
#[inline]
pub(super) fn character(text: &[u8]) -> (Utf8, usize) {
    let letter = text.get(1).copied().unwrap_or(b'\\');
    let byte = SIMPLE[usize::from(letter)];
    if byte == 0 {
        return code_point(text);
    }
    let character = Utf8 {
        bytes: [byte, 0, 0, 0],
        length: 1,
    };
    (character, text.len().min(2))
}

/// What a letter means behind a backslash: itself, where nothing else is known; 0 for what is not one byte.
const SIMPLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut letter = 0;
    while letter < table.len() {
        table[letter] = letter as u8;
        letter += 1;
    }
    table[b'n' as usize] = b'\n';
    table[b't' as usize] = b'\t';
    table[b'r' as usize] = b'\r';
    table[b'b' as usize] = 8;
    table[b'f' as usize] = 12;
    table[b'u' as usize] = 0;
    table
};

fn code_point(text: &[u8]) -> (Utf8, usize) {
    let Some(first) = unit(text) else {
        let character = Utf8 {
            bytes: [b'u', 0, 0, 0],
            length: 1,
        };
        return (character, text.len().min(2));
    };
    let second = match first {
        0xd800..0xdc00 => unit(&text[6..]).filter(|second| (0xdc00..0xe000).contains(second)),
        _ => None,
    };
    let (point, used) = second.map_or((first, 6), |second| {
        (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
    });
    let mut bytes = [0; 4];
    let length = if let Some(character) = char::from_u32(point) {
        character.encode_utf8(&mut bytes).len()
    } else {
        let [middle, low] = [(point >> 6) & 0x3f, point & 0x3f].map(|bits| 0x80 | bits as u8);
        bytes[..3].copy_from_slice(&[0xe0 | (point >> 12) as u8, middle, low]);
        3
    };
    (Utf8 { bytes, length }, used)
}

/// The UTF-16 unit of an escape, `\u` and four hexadecimal digits, at the start of `text`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits
        .iter()
        .try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// How many bytes of a block come before its first quote or backslash; all of them, where there is none. Computed on eight
/// bytes at a time and without a branch, since where texts have their escapes nobody can predict.
#[inline]
pub(super) fn run_length<const WORDS: usize>(block: &[[u8; 8]; WORDS]) -> usize {
    let marks = block.map(|word| {
        let word = u64::from_le_bytes(word);
        equal(word, b'"') | equal(word, b'\\')
    });
    if marks.iter().fold(0, |all, marks| all | marks) == 0 {
        return 8 * WORDS;
    }
    let lengths = (0..WORDS).rev().map(|at| (marks[at], 8 * at));
    lengths.fold(8 * WORDS, |length, (marks, before)| {
        if marks == 0 {
            length
        } else {
            // The lowest mark is right, though above it there may be false ones.
            before + marks.trailing_zeros() as usize / 8
        }
    })
}

/// Marks the bytes of a word that are this one.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let differing = word ^ (ONES * u64::from(byte));
    differing.wrapping_sub(ONES) & !differing & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(written: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let left = decode(written.as_bytes(), |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        assert_eq!(left, 0);
        bytes
    }

    #[test]
    fn escapes_and_their_characters() {
        let check = |written: &str, expected: &str| assert_eq!(decoded(written), expected.as_bytes(), "{written}");
        check(r#"a\"b\\c\/d"#, r#"a"b\c/d"#);
        check(r"\n\t\r\b\f", "\n\t\r\u{8}\u{c}");
        check(r"\u0000\u00E9\u00e9\u6771", "\0éé東");
        check(r"\ud83d\ude00x", "😀x");
        check(r"\ud83D\uDE00", "😀");
        check("", "");
    }

    #[test]
    fn half_a_surrogate_pair_is_not_text_and_is_always_the_same() {
        assert_eq!(decoded(r"\ud83dx"), b"\xed\xa0\xbdx");
        assert_eq!(decoded(r"\ude00\ud83d"), b"\xed\xb8\x80\xed\xa0\xbd");
        assert_eq!(decoded(r"\ud83d\ud83d\ude00"), b"\xed\xa0\xbd\xf0\x9f\x98\x80");
        assert_eq!(decoded(r"\ud83d\n"), b"\xed\xa0\xbd\n");
    }

    #[test]
    fn words_are_known_however_they_are_written() {
        let string = |written: &str| {
            let text = format!("\"{written}\"             ");
            Cursor::new(text.leak()).string()
        };
        for written in ["role", r"\u0072ole", r"rol\u0065"] {
            assert!(string(written).means("role"), "{written}");
        }
        for written in ["", "rol", "roles", r"rol\u0065s", r"\u0072ol", r"\n"] {
            assert!(!string(written).means("role"), "{written}");
        }
    }

    #[test]
    fn a_taker_that_breaks_off_is_told_what_is_left() {
        let left = |at: usize| {
            let mut pieces = 0;
            decode(br"ab\ncd", |_| {
                pieces += 1;
                if pieces == at {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        };
        assert_eq!([1, 2, 3].map(left), [4, 2, 0]);
    }

    #[test]
    fn values_are_passed_whatever_is_in_them() {
        for value in [
            r#""a\\\"]}""#,
            r#""\\""#,
            "[]",
            "{}",
            r#"{"a":[1,{"b":"]"}]}"#,
            "-1.5e3",
            "null",
        ] {
            let text = format!(" {value} ,7");
            let mut cursor = Cursor::new(&text);
            cursor.skip();
            assert_eq!((cursor.peek(), cursor.at()), (Some(b','), value.len() + 2), "{value}");
        }
    }

    #[test]
    fn a_million_brackets_are_passed_without_a_stack() {
        let text = "[".repeat(1 << 20);
        let mut cursor = Cursor::new(&text);
        cursor.skip();
        assert_eq!(cursor.at(), 1 << 20);
    }

    proptest! {
        #[test]
        fn every_string_means_what_it_was_made_of(text in any::<String>()) {
            let written = serde_json::to_string(&text).expect("JSON");
            let mut cursor = Cursor::new(&written);
            let string = cursor.string();
            prop_assert_eq!(cursor.at(), written.len());
            prop_assert_eq!(decoded(std::str::from_utf8(string.bytes()).expect("UTF-8")), text.as_bytes());
        }

        #[test]
        fn nothing_panics_on_what_is_not_json(text in r#"[\\"u\[\]{}:,a0d8 ]{0,24}"#) {
            let mut cursor = Cursor::new(&text);
            while cursor.peek().is_some() {
                let before = cursor.at();
                cursor.skip();
                prop_assert!(cursor.at() > before);
            }
            decoded(&text);
            let mut cursor = Cursor::new(&text);
            while cursor.member().is_some() {}
            let mut cursor = Cursor::new(&text);
            cursor.atom();
        }
    }
}
