//! Drawing a code: as SVG and PNG for the browser, as blocks for the terminal.
//!
//! Error correction M, a quiet zone of four modules, dark on white in every theme: what phone
//! cameras read best.

use std::fmt::{self, Write as _};
use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around a code; ISO/IEC 18004 asks for four.
const QUIET_ZONE: usize = 4;
/// Sides of a PNG that are drawn, in pixels.
pub(super) const PNG_SIDES: std::ops::RangeInclusive<u32> = 128..=2_048;
/// The side of a PNG when none is asked for.
pub(super) const PNG_SIDE: u32 = 512;

/// The text is longer than a code holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is too long for a code")]
pub(crate) struct TooLong;

/// A code with its quiet zone, by rows; true is dark. What it says can be read off its modules, so `Debug`
/// shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Matrix {
    side: usize,
    dark: Vec<bool>,
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matrix").field("side", &self.side).finish_non_exhaustive()
    }
}

impl Matrix {
    /// The code of a text.
    ///
    /// # Errors
    /// When it is longer than a code holds.
    pub(crate) fn of(text: &str) -> Result<Self, TooLong> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| TooLong)?;
        let inner = code.width();
        let side = inner + 2 * QUIET_ZONE;
        let mut dark = vec![false; side * side];
        for (index, color) in code.into_colors().into_iter().enumerate() {
            let (x, y) = (index % inner + QUIET_ZONE, index / inner + QUIET_ZONE);
            dark[y * side + x] = color == Color::Dark;
        }
        Ok(Self { side, dark })
    }

    /// Modules in a row, the quiet zone included.
    #[must_use]
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// Whether a module is dark; outside all are light.
    #[must_use]
    pub(crate) fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.side && self.dark.get(y * self.side + x).copied().unwrap_or(false)
    }

    /// One path for all dark runs.
    #[must_use]
    pub(super) fn svg(&self) -> String {
        let side = self.side;
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|&x| self.is_dark(x, y)).count();
                if run > 0 {
                    write!(path, "M{x} {y}h{run}v1h-{run}z")
                        .expect("writing to a String does not fail");
                }
                x += run.max(1);
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
        )
    }

    /// A square picture of about `pixels`: whole pixels per module, so that edges stay sharp.
    ///
    /// # Errors
    /// Only when the encoder fails.
    pub(super) fn png(&self, pixels: u32) -> Result<Vec<u8>, image::ImageError> {
        let side = u32::try_from(self.side).unwrap_or(u32::MAX);
        let scale = (pixels / side).max(1);
        let whole = pixels.max(side * scale);
        let margin = (whole - side * scale) / 2;
        let picture = GrayImage::from_fn(whole, whole, |x, y| {
            let at = |v: u32| v.checked_sub(margin).map_or(usize::MAX, |v| (v / scale) as usize);
            let is_dark = at(x) < self.side && at(y) < self.side && self.is_dark(at(x), at(y));
            Luma([if is_dark { 0 } else { 255 }])
        });
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, ImageFormat::Png)?;
        Ok(out.into_inner())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::scan::{Picture, read_code};
    use super::*;

    const TEXT: &str = "KITH:I1/ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    #[test]
    fn a_code_has_four_light_modules_on_every_side() {
        let matrix = Matrix::of(TEXT).unwrap();
        let last = matrix.side() - 1;
        for i in 0..matrix.side() {
            for edge in 0..QUIET_ZONE {
                let around = [(i, edge), (edge, i), (i, last - edge), (last - edge, i)];
                assert!(around.iter().all(|&(x, y)| !matrix.is_dark(x, y)));
            }
        }
        assert!(matrix.is_dark(QUIET_ZONE, QUIET_ZONE));
    }

    #[test]
    fn a_drawn_png_is_as_large_as_asked_and_reads_back() {
        for side in [128, 512, 777, 2_048] {
            let png = Matrix::of(TEXT).unwrap().png(side).unwrap();
            assert_eq!(image::load_from_memory(&png).unwrap().width(), side);
            assert_eq!(read_code(&png, Picture::Png).unwrap(), TEXT);
        }
    }

    #[test]
    fn the_svg_is_dark_on_white_and_has_no_script_or_style() {
        let svg = Matrix::of(TEXT).unwrap().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(svg.contains("#fff") && svg.contains("#000"));
        assert!(!svg.contains("script") && !svg.contains("style"));
    }

    #[test]
    fn debug_shows_no_module() {
        let shown = format!("{:?}", Matrix::of(TEXT).unwrap());
        assert!(shown.contains("side") && !shown.contains("true"), "{shown}");
    }

    #[test]
    fn a_text_beyond_the_largest_code_is_refused() {
        assert_eq!(Matrix::of(&"x".repeat(4_000)), Err(TooLong));
    }
}
