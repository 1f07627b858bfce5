//! How the screen of `emberway top` is looked at: what it is sorted by, which table has the room, how far that is scrolled; and what
//! keys change of it. Pure.

use clap::ValueEnum;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use strum::VariantArray;

/// A page is scrolled by so many rows, whatever the terminal's height.
const PAGE_ROWS: usize = 10;

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, VariantArray)]
pub(super) enum Sort {
    /// Name, from a to z.
    #[default]
    Name,
    /// Requests or attempts a second, most first.
    Requests,
    /// Failures a second, most first.
    Errors,
    /// In flight, most first.
    Flight,
    /// Time to the first token, 95 in a hundred, longest first.
    Ttft,
    /// Whole time, 95 in a hundred, longest first.
    Duration,
    /// Tokens a second, most first.
    Tokens,
    /// Cached share, least first.
    Cached,
}

impl Sort {
    /// The key that chooses it.
    pub(super) fn key(self) -> char {
        match self {
            Self::Name => 'n',
            Self::Requests => 'r',
            Self::Errors => 'e',
            Self::Flight => 'f',
            Self::Ttft => 't',
            Self::Duration => 'd',
            Self::Tokens => 'k',
            Self::Cached => 'c',
        }
    }

    /// Its word with the key in brackets.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Name => "[n]ame",
            Self::Requests => "[r]equests",
            Self::Errors => "[e]rrors",
            Self::Flight => "[f]light",
            Self::Ttft => "[t]tft",
            Self::Duration => "[d]uration",
            Self::Tokens => "to[k]ens",
            Self::Cached => "[c]ached",
        }
    }
}

/// The table that has the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Focus {
    /// That of routes.
    Routes,
    /// That of deployments.
    #[default]
    Deployments,
}

/// How it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct View {
    /// What rows are sorted by.
    pub(super) sort: Sort,
    /// Whether the other way round.
    pub(super) is_reversed: bool,
    /// Which table has the room.
    pub(super) focus: Focus,
    /// Rows of that table above what is shown. May be more than there are; who draws it knows.
    pub(super) scrolled: usize,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    /// To end.
    End,
    /// To draw anew.
    Changed,
    /// Nothing.
    Nothing,
}

impl View {
    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Pressed {
        if key.kind == KeyEventKind::Release {
            return Pressed::Nothing;
        }
        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if with_control => return Pressed::End,
            KeyCode::Char('q') | KeyCode::Esc => return Pressed::End,
            KeyCode::Up => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::Down => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(PAGE_ROWS),
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_add(PAGE_ROWS),
            KeyCode::Home => self.scrolled = 0,
            KeyCode::End => self.scrolled = usize::MAX,
            KeyCode::Tab => {
                self.focus = match self.focus {
                    Focus::Routes => Focus::Deployments,
                    Focus::Deployments => Focus::Routes,
                };
                self.scrolled = 0;
            }
            // What a terminal asks for with Ctrl-L everywhere.
            KeyCode::Char('l') if with_control => {}
            KeyCode::Char(char) if !with_control => {
                let Some(sort) = Sort::VARIANTS.iter().copied().find(|sort| sort.key() == char) else {
                    return Pressed::Nothing;
                };
                self.is_reversed = self.sort == sort && !self.is_reversed;
                self.sort = sort;
                self.scrolled = 0;
            }
            _ => return Pressed::Nothing,
        }
        Pressed::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, code: KeyCode) -> Pressed {
        view.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn each_sort_has_a_key_of_its_own_and_twice_is_the_other_way_round() {
        let mut view = View::default();
        for sort in Sort::VARIANTS.iter().copied().filter(|sort| *sort != Sort::Name) {
            assert!(sort.hint().contains(&format!("[{}]", sort.key())));
            view.scrolled = 3;
            assert_eq!(press(&mut view, KeyCode::Char(sort.key())), Pressed::Changed);
            assert_eq!((view.sort, view.is_reversed, view.scrolled), (sort, false, 0));
            press(&mut view, KeyCode::Char(sort.key()));
            assert_eq!((view.sort, view.is_reversed), (sort, true));
            press(&mut view, KeyCode::Char(sort.key()));
            assert!(!view.is_reversed);
        }
        press(&mut view, KeyCode::Char('n'));
        assert_eq!((view.sort, view.is_reversed), (Sort::Name, false));
    }

    #[test]
    fn keys_end_scroll_and_change_tables() {
        let mut view = View::default();
        assert_eq!(press(&mut view, KeyCode::Up), Pressed::Changed);
        assert_eq!(view.scrolled, 0);
        press(&mut view, KeyCode::PageDown);
        press(&mut view, KeyCode::Down);
        assert_eq!(view.scrolled, 11);
        press(&mut view, KeyCode::Tab);
        assert_eq!((view.focus, view.scrolled), (Focus::Routes, 0));
        press(&mut view, KeyCode::End);
        press(&mut view, KeyCode::Down);
        assert_eq!(view.scrolled, usize::MAX);
        press(&mut view, KeyCode::Home);
        assert_eq!(view.scrolled, 0);

        let before = view;
        assert_eq!(press(&mut view, KeyCode::Char('x')), Pressed::Nothing);
        let control = |char| KeyEvent::new(KeyCode::Char(char), KeyModifiers::CONTROL);
        assert_eq!(view.press(control('r')), Pressed::Nothing);
        let released = KeyEvent {
            kind: KeyEventKind::Release,
            ..KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)
        };
        assert_eq!(view.press(released), Pressed::Nothing);
        assert_eq!(view, before);
        for end in [
            control('c'),
            KeyEvent::from(KeyCode::Char('q')),
            KeyEvent::from(KeyCode::Esc),
        ] {
            assert_eq!(view.press(end), Pressed::End);
        }
    }
}
