//! A code on a terminal.
//!
//! Two modules a character, with black and white named explicitly, so that neither a dark nor a
//! light theme turns it around.

use super::args::Drawing;
use crate::api::qr::Matrix;

/// Black ink on white paper, in the 256-colour palette: the first sixteen follow the theme.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";
const WHITE_ON_BLACK: &str = "\u{1b}[38;5;231;48;5;16m";
const RESET: &str = "\u{1b}[0m";

/// Draws a code. Without colour, light modules are the ink: terminals are mostly dark.
pub(super) fn draw(matrix: &Matrix, drawing: Drawing, colour: bool) -> String {
    if drawing.ascii {
        return ascii(matrix, drawing.invert);
    }
    let ink_is_dark = if colour { true } else { drawing.invert };
    let (start, end) = match (colour, drawing.invert) {
        (false, _) => ("", ""),
        (true, false) => (BLACK_ON_WHITE, RESET),
        (true, true) => (WHITE_ON_BLACK, RESET),
    };
    let side = matrix.side();
    // Below an odd last row there is nothing, which is light.
    let inked = |x: usize, y: usize| matrix.is_dark(x, y) == ink_is_dark;
    let row = |y: usize| {
        let cells = (0..side).map(|x| match (inked(x, y), inked(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        format!("{start}{}{end}", cells.collect::<String>())
    };
    (0..side).step_by(2).map(row).collect::<Vec<_>>().join("\n")
}

fn ascii(matrix: &Matrix, invert: bool) -> String {
    let side = matrix.side();
    let row = |y: usize| {
        let cells = (0..side).map(|x| if matrix.is_dark(x, y) == invert { "  " } else { "##" });
        cells.collect::<String>()
    };
    (0..side).map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        Matrix::of("KITH:I1/ABC").expect("short")
    }

    #[test]
    fn every_line_names_black_and_white_and_resets() {
        let text = draw(&matrix(), Drawing::default(), true);
        assert_eq!(text.lines().count(), matrix().side().div_ceil(2));
        assert!(text.lines().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with(RESET)));
    }

    #[test]
    fn without_colour_there_is_no_escape_and_the_quiet_zone_is_ink() {
        let text = draw(&matrix(), Drawing::default(), false);
        assert!(!text.contains('\u{1b}'));
        assert!(text.lines().next().is_some_and(|line| line.chars().all(|c| c == '█')));
    }

    #[test]
    fn ascii_has_the_finder_in_its_corner() {
        let text = draw(&matrix(), Drawing { ascii: true, invert: false }, true);
        let line = text.lines().nth(4).expect("the first row of the finder");
        assert!(line.starts_with(&format!("{}{}  ", "  ".repeat(4), "##".repeat(7))), "{line}");
        assert!(text.is_ascii());
    }
}
