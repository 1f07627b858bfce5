//! Lines of styled text, for the screens: what weight a word has, how lines keep to a width, and how they become text for a terminal or a
//! pipe.
//!
//! Whatever a gateway tells passes [`clean`]: names and error texts quote files, and must not move a terminal's cursor.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anyhow::Context as _;
use crossterm::style::{Colored, ContentStyle};
use ratatui::backend::IntoCrossterm as _;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

/// How grave something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gravity {
    /// As it should be.
    Fine,
    /// Worth a look.
    Watch,
    /// It fails, or will soon.
    Bad,
}

impl Gravity {
    /// How it looks. The words beside it say the same, so that nothing is lost without colour.
    pub(super) fn style(self) -> Style {
        match self {
            Self::Fine => Style::new(),
            Self::Watch => Style::new().fg(Color::Yellow),
            Self::Bad => Style::new().fg(Color::LightRed).bold(),
        }
    }
}

/// Headings.
pub(super) fn bold() -> Style {
    Style::new().bold()
}

/// What is of less weight, or no longer so.
pub(super) fn dim() -> Style {
    Style::new().dim()
}

/// Text that cannot steer a terminal: a space for each control character.
pub(super) fn clean(text: &str) -> String {
    let harmless = |char: char| if char.is_control() { ' ' } else { char };
    text.chars().map(harmless).collect()
}

/// Text that is at most so many columns wide; what is cut off is told by `…`.
pub(super) fn fitted(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut fitted = String::new();
    for char in text.chars() {
        fitted.push(char);
        if Span::raw(&*fitted).width() >= width {
            fitted.pop();
            break;
        }
    }
    if width > 0 {
        fitted.push('…');
    }
    fitted
}

/// The same of a name, whose end tells as much as its beginning: it is cut in the middle.
pub(super) fn fitted_in_the_middle(name: &str, width: usize) -> String {
    if Span::raw(name).width() <= width {
        return name.to_owned();
    }
    let mut end = String::new();
    for char in name.chars().rev() {
        end.insert(0, char);
        if Span::raw(&*end).width() * 2 >= width {
            end.remove(0);
            break;
        }
    }
    fitted(name, width - Span::raw(&*end).width()) + &end
}

/// A line that is at most so many columns wide.
pub(super) fn fitted_line(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let mut left = width;
    let mut spans = Vec::new();
    for span in line.spans {
        let content = fitted(&span.content, left);
        let is_cut = content != span.content;
        let span = Span::styled(content, span.style);
        left -= span.width().min(left);
        spans.push(span);
        if is_cut {
            break;
        }
    }
    Line::from(spans)
}

/// A sentence in lines of at most so many columns, the second and later ones after this indent. A word that is longer has a line of its
/// own, and is not cut.
pub(super) fn wrapped(text: &str, indent: usize, width: usize) -> Vec<String> {
    let sentence = text.trim_start();
    let mut lines: Vec<String> = Vec::new();
    let mut line = text[..text.len() - sentence.len()].to_owned();
    for word in sentence.split(' ') {
        let is_begun = !line.trim().is_empty();
        if is_begun && Span::raw(&*line).width() + 1 + Span::raw(word).width() > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if is_begun {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The lines as text, with escape sequences for styles where these are wanted. No line ends in spaces.
pub(super) fn printed(lines: &[Line<'_>], is_styled: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for span in &line.spans {
            if is_styled && span.style != Style::new() {
                let style: ContentStyle = span.style.into_crossterm();
                // A string takes all text.
                let _ = write!(shown, "{}", style.apply(&*span.content));
            } else {
                shown.push_str(&span.content);
            }
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

/// Whether stdout is a terminal, and how wide what is printed may be: as wide as that, and as wide as it needs to be elsewhere.
pub(super) fn stdout() -> anyhow::Result<(bool, usize)> {
    if !std::io::stdout().is_terminal() {
        return Ok((false, usize::MAX));
    }
    let (columns, _) = crossterm::terminal::size().context("cannot learn the terminal's size")?;
    Ok((true, usize::from(columns)))
}

/// Whether stdout is to have styles: on a terminal, unless `NO_COLOR` is set to anything.
pub(super) fn wants_styles(is_terminal: bool) -> bool {
    is_terminal && !Colored::ansi_color_disabled()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_to_its_width() {
        for (text, width, expected) in [
            ("sweden/ft", 9, "sweden/ft"),
            ("sweden/ft", 8, "sweden/…"),
            ("sweden/ft", 1, "…"),
            ("sweden/ft", 0, ""),
            ("語語語", 4, "語…"),
        ] {
            assert_eq!(fitted(text, width), expected, "{text} {width}");
        }
        for (name, width, expected) in [
            ("sweden/ft", 9, "sweden/ft"),
            ("sweden/ft", 8, "swed…/ft"),
            ("sweden/ft", 3, "s…t"),
            ("sweden/ft", 1, "…"),
            ("sweden/ft", 0, ""),
            ("語語語", 5, "語…語"),
        ] {
            assert_eq!(fitted_in_the_middle(name, width), expected, "{name} {width}");
        }
        let line = Line::from(vec![Span::raw("one "), Span::styled("two three", bold())]);
        assert_eq!(fitted_line(line.clone(), 8).to_string(), "one two…");
        assert_eq!(fitted_line(line, 13).to_string(), "one two three");
    }

    #[test]
    fn sentences_are_wrapped_under_their_beginning() {
        assert_eq!(wrapped("a bb ccc dddd", 2, 6), ["a bb", "  ccc", "  dddd"]);
        assert_eq!(wrapped("  a bb", 4, 99), ["  a bb"]);
        assert_eq!(wrapped("  a bb", 4, 4), ["  a", "    bb"]);
        assert_eq!(wrapped("morethansix b", 1, 6), ["morethansix", " b"]);
    }

    #[test]
    fn what_a_gateway_tells_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc\u{9b}"), "a [2Jb c ");
    }

    #[test]
    fn styles_are_printed_only_where_they_are_wanted() {
        let lines = [
            Line::from(vec![Span::styled("bad", Gravity::Bad.style()), Span::raw("  ")]),
            Line::raw("fine"),
        ];
        assert_eq!(printed(&lines, false), "bad\nfine\n");
        let styled = printed(&lines, true);
        assert!(styled.contains("\u{1b}[1m") && styled.ends_with("fine\n"), "{styled:?}");
        assert!(!wants_styles(false));
    }
}
