//! Errors and longer texts on one line of the log: a record is a line, whatever it tells.

use std::error::Error;
use std::fmt;

/// An error and what caused it.
pub(super) struct Causes<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A text of several lines: a hint stands in brackets behind what it is for, other lines are apart by semicolons.
pub(super) struct OneLine<'a>(pub(super) &'a dyn fmt::Display);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let mut apart = "";
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix("hint: ") {
                Some(hint) => write!(f, " ({hint})")?,
                None => write!(f, "{apart}{line}")?,
            }
            apart = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write")]
    struct Outer {
        source: std::io::Error,
    }

    #[test]
    fn causes_are_on_one_line() {
        let outer = Outer {
            source: std::io::Error::other("disk full"),
        };
        assert_eq!(Causes(&outer).to_string(), "cannot write: disk full");
    }

    #[test]
    fn mistakes_with_hints_are_on_one_line() {
        let text = "a.yaml:3:5: pool: unknown pool `x`\n  hint: did you mean `y`?\na.yaml:9:1: too small\n\n";
        let expected = "a.yaml:3:5: pool: unknown pool `x` (did you mean `y`?); a.yaml:9:1: too small";
        assert_eq!(OneLine(&text).to_string(), expected);
        assert_eq!(OneLine(&"plain").to_string(), "plain");
    }
}
