//! The terminal while `emberway top` has it: an alternate screen without echo, given back whatever happens.
//!
//! On an error and after a signal by the guard's end; on a panic, of any task, by the hook that ratatui sets, before the message is
//! printed.

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::widgets::Paragraph;

use crate::cli::top::frame::{Picture, frame};
use crate::cli::top::view::View;

/// The terminal, taken.
pub(super) struct Taken(DefaultTerminal);

impl Taken {
    /// Takes it.
    ///
    /// # Errors
    /// When it cannot be set so.
    pub(super) fn take() -> anyhow::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                give_back();
                Err(error).context("cannot take the terminal; `--once` needs none")
            }
        }
    }

    /// Draws a frame in the terminal's present size, and sets how far it is scrolled.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub(super) fn draw(&mut self, picture: &Picture, view: &mut View) -> anyhow::Result<()> {
        let draw = |shown: &mut ratatui::Frame<'_>| {
            let area = shown.area();
            let drawn = frame(picture, view, usize::from(area.width), Some(usize::from(area.height)));
            view.scrolled = drawn.scrolled;
            shown.render_widget(Paragraph::new(drawn.lines), area);
        };
        self.0.draw(draw).context("cannot write to the terminal")?;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Where even this fails the terminal is gone, and nobody is there to be told.
fn give_back() {
    let _is_gone = ratatui::try_restore();
}
