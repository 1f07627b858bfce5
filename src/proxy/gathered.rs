//! A request's head and body as one buffer, so that all of it goes out in one write.
//!
//! Small pieces (the head, what the gateway sets in a body) are copied together; large ones are only referred to. On a bare connection the
//! whole is one system call, under TLS a record or two less.

use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

/// Pieces up to this size are copied: that costs less than another part of a write.
const COPY_BYTES_MAX: usize = 4 * 1024;

/// Pieces that are written one after another.
#[derive(Debug)]
pub struct Gathered(SmallVec<[Bytes; 4]>);

impl Gathered {
    /// A head, and the pieces of a body.
    pub fn new(head: BytesMut, body: &[Bytes]) -> Self {
        let mut pieces = SmallVec::new();
        let mut small = head;
        for piece in body {
            if piece.len() <= COPY_BYTES_MAX {
                small.extend_from_slice(piece);
                continue;
            }
            if !small.is_empty() {
                pieces.push(small.split().freeze());
            }
            pieces.push(piece.clone());
        }
        if !small.is_empty() {
            pieces.push(small.freeze());
        }
        pieces.reverse();
        Self(pieces)
    }
}

/// The next piece is the last of the list.
impl Buf for Gathered {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.last().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(self.0.iter().rev());
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.last_mut().filter(|_| count > 0) {
            let part = count.min(piece.len());
            piece.advance(part);
            count -= part;
            if piece.is_empty() {
                self.0.pop();
            }
        }
        assert_eq!(count, 0, "more was written than there was");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_its_pieces_are_joined_however_it_is_written(
            lengths in prop::collection::vec(prop_oneof![0..20_usize, COPY_BYTES_MAX - 1..COPY_BYTES_MAX + 2], 0..7),
            writes in prop::collection::vec(1..9_000_usize, 1..9),
        ) {
            let piece = |(index, length): (usize, &usize)| Bytes::from(vec![b'a' + index as u8; *length]);
            let body: Vec<Bytes> = lengths.iter().enumerate().map(piece).collect();
            let whole = [b"head".to_vec(), body.concat()].concat();
            let mut gathered = Gathered::new(BytesMut::from("head"), &body);
            let mut out = Vec::new();
            let mut writes = writes.into_iter().cycle();
            while gathered.has_remaining() {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = gathered.chunks_vectored(&mut slices);
                let seen = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>();
                prop_assert_eq!(seen.len(), gathered.remaining());
                prop_assert!(seen.starts_with(gathered.chunk()) && !gathered.chunk().is_empty());
                let written = writes.next().unwrap_or(1).min(seen.len());
                out.extend_from_slice(&seen[..written]);
                gathered.advance(written);
            }
            prop_assert_eq!(out, whole);
        }
    }

    #[test]
    fn a_large_body_with_edits_is_three_parts_of_one_write() {
        let large = Bytes::from(vec![b'x'; 64 * 1024]);
        let [model, key] = [b"\"ft\"", b"\"k\"}"].map(|text| Bytes::from_static(text));
        let body = [Bytes::from_static(b"{\"model\":"), model, large.clone(), key];
        let gathered = Gathered::new(BytesMut::from("POST / HTTP/1.1\r\n\r\n"), &body);
        let lengths: Vec<usize> = gathered.0.iter().rev().map(Bytes::len).collect();
        assert_eq!(lengths, [32, large.len(), 4]);
        assert_eq!(gathered.0[1].as_ptr(), large.as_ptr(), "it is not copied");
    }
}
