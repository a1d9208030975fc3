//! stderr, shared by the board that redraws its lines in place and the log that must not be drawn over.
//!
//! The binary gives it to its log as the place to write to, and to the run for its board. While nothing is drawn it is
//! plain stderr. It must never fail a run: a closed stderr is no reason to end one.

use std::{
    io::{self, Write},
    sync::Arc,
};

use parking_lot::Mutex;

/// The terminal cuts long lines from now on, and wraps them again.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A handle on stderr; clones share what they know to be drawn.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// Lines that are drawn right above the cursor.
    drawn: Arc<Mutex<usize>>,
}

impl Screen {
    /// Draws `lines`, each without its end, over those that were drawn before.
    pub(super) fn draw(&self, lines: &[String]) {
        let mut drawn = self.drawn.lock();
        // Written at once: a reader of the terminal never sees half a board.
        let _ = io::stderr().write_all(frame(*drawn, lines).as_bytes());
        *drawn = lines.len();
    }
}

impl Write for Screen {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut drawn = self.drawn.lock();
        io::stderr().write_all(&instead(*drawn, text))?;
        *drawn = 0;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The text that replaces the `drawn` lines above the cursor with `lines`.
fn frame(drawn: usize, lines: &[String]) -> String {
    let mut text = match drawn {
        0 => String::new(),
        drawn => format!("\x1b[{drawn}A\x1b[J"),
    };
    if lines.is_empty() {
        return text;
    }
    // Cut at the right edge: a line that wraps would be two, and the next frame would stand one too low.
    text.push_str(NO_WRAP);
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(WRAP);
    text
}

/// What makes the `drawn` lines above the cursor give way to a text; the next frame stands below it.
fn instead(drawn: usize, text: &[u8]) -> Vec<u8> {
    [frame(drawn, &[]).as_bytes(), text].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_stands_where_the_one_before_stood() {
        assert_eq!(frame(0, &["a".into(), "b".into()]), format!("{NO_WRAP}a\nb\n{WRAP}"));
        assert_eq!(frame(2, &["c".into()]), format!("\x1b[2A\x1b[J{NO_WRAP}c\n{WRAP}"));
        assert_eq!(frame(1, &[]), "\x1b[1A\x1b[J");
    }

    #[test]
    fn the_log_takes_the_place_of_what_is_drawn_and_is_not_drawn_over() {
        assert_eq!(instead(2, b"a line of the log\n"), b"\x1b[2A\x1b[Ja line of the log\n");
        assert_eq!(instead(0, b"a line\n"), b"a line\n");
    }
}
