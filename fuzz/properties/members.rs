//! The members of a JSON object as a list: names decoded, values as raw text, order and repetitions kept.
//!
//! A map would hide a member that an edit moved, doubled or lost; this hides nothing but whitespace between members.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Every member, in order.
pub(crate) struct Members(pub(crate) Vec<(String, Box<RawValue>)>);

impl Members {
    /// Reads an object. None when the bytes are not one.
    ///
    /// Bytes above ASCII are read as Latin-1: the gateway passes strings on that are not UTF-8, and this keeps every byte
    /// told apart where a lossy conversion would not.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        serde_json::from_str(&text).ok()
    }

    /// The raw value of the first member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|member| member.0 == name)
            .map(|member| member.1.get())
    }

    /// The members that have none of these names.
    pub(crate) fn without(&self, names: &[&str]) -> Vec<(&str, &str)> {
        self.0
            .iter()
            .filter(|member| !names.contains(&member.0.as_str()))
            .map(|member| (member.0.as_str(), member.1.get()))
            .collect()
    }

    /// How many members have this name.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|member| member.0 == name).count()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = entries.next_entry()? {
            list.push(member);
        }
        Ok(Members(list))
    }
}
