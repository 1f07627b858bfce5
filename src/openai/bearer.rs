//! `Authorization: Bearer …`, which SDKs use for keys as well as for tokens.

/// What a bearer authorization carries, without spaces around it; none for another scheme. The scheme's case does not matter
/// (RFC 9110, section 11.1).
pub fn token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for (written, expect) in [
            ("Bearer two", Some("two")),
            ("bearer  deux ", Some("deux")),
            ("BEARER t", Some("t")),
            ("Bearer ", Some("")),
            ("Bearer", None),
            ("Basic one", None),
            ("", None),
        ] {
            assert_eq!(token(written.as_bytes()), expect.map(str::as_bytes), "{written}");
        }
    }
}
