//! Reading a code from a picture: a camera's frame, an upload, a pasted screenshot.
//!
//! 1. The picture's size is read and bounded before its pixels are; 2. it becomes grey; 3. codes
//!    are searched as it is, then smaller when it is large, then with dark and light exchanged.
//!
//! # Invariants
//! * At most [`PIXELS`] are decoded and [`MEMORY`] is used, whatever the file claims.
//! * The bytes are hostile; every failure is a typed error.

use std::io::Cursor;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header;
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits};

use super::error::{ApiCode, ApiResult};
use super::extract::bytes;
use super::state::Api;

/// Pixels of a picture, width times height.
const PIXELS: u64 = 32_000_000;
/// Its longer side, in pixels.
const SIDE: u32 = 12_000;
/// What a decoder may use, in bytes.
const MEMORY: u64 = 192 * 1024 * 1024;
/// Larger pictures are searched at this size first: a code fills a good part of them.
const SEARCHED: u32 = 1_280;

/// The types of pictures that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    Png,
    Jpeg,
    WebP,
    /// Grey bytes behind a short header: a camera's frame.
    Pgm,
}

impl Picture {
    /// From a content type without parameters.
    #[must_use]
    fn of_content_type(essence: &str) -> Option<Self> {
        match essence {
            "image/png" => Some(Self::Png),
            "image/jpeg" => Some(Self::Jpeg),
            "image/webp" => Some(Self::WebP),
            "image/x-portable-graymap" => Some(Self::Pgm),
            _ => None,
        }
    }

    fn format(self) -> ImageFormat {
        match self {
            Self::Png => ImageFormat::Png,
            Self::Jpeg => ImageFormat::Jpeg,
            Self::WebP => ImageFormat::WebP,
            Self::Pgm => ImageFormat::Pnm,
        }
    }
}

/// What a request shows.
pub(super) enum Shown {
    /// It is no picture.
    Json(Bytes),
    /// The text of the code in its picture.
    Code(String),
}

/// Reads a request's body, and the code in it if it is a picture.
///
/// # Errors
/// `busy` when too many pictures are looked at, and those of [`read_code`].
pub(super) async fn shown(api: &Api, request: Request) -> ApiResult<Shown> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = bytes(request, api).await?;
    let Some(picture) = Picture::of_content_type(&essence) else { return Ok(Shown::Json(body)) };
    let permit = api.scans().clone().try_acquire_owned().map_err(|_| ApiCode::Busy)?;
    let scan = move || (read_code(&body, picture), permit).0;
    let text = tokio::task::spawn_blocking(scan).await.map_err(|_| ApiCode::UnreadableImage)??;
    Ok(Shown::Code(text))
}

/// The text of the code in a picture; one of ours before any other.
///
/// # Errors
/// `unreadable_image`, `image_too_large` or `no_code_found`.
pub(super) fn read_code(bytes: &[u8], picture: Picture) -> Result<String, ApiCode> {
    let grey = decode(bytes, picture)?;
    let texts = search(&grey);
    let ours = texts.iter().position(|text| text.to_ascii_uppercase().contains("KITH:"));
    texts.into_iter().nth(ours.unwrap_or(0)).ok_or(ApiCode::NoCodeFound)
}

fn decode(bytes: &[u8], picture: Picture) -> Result<GrayImage, ApiCode> {
    let reader = || ImageReader::with_format(Cursor::new(bytes), picture.format());
    let (width, height) = reader().into_dimensions().map_err(|_| ApiCode::UnreadableImage)?;
    if width.max(height) > SIDE || u64::from(width) * u64::from(height) > PIXELS {
        return Err(ApiCode::ImageTooLarge);
    }
    let mut reader = reader();
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map(DynamicImage::into_luma8).map_err(|_| ApiCode::UnreadableImage)
}

/// All texts found by the first attempt that finds any.
fn search(grey: &GrayImage) -> Vec<String> {
    let longer = grey.width().max(grey.height());
    if longer > SEARCHED {
        let shrink =
            |side: u32| (u64::from(side) * u64::from(SEARCHED) / u64::from(longer)).max(1) as u32;
        let small = imageops::resize(
            grey,
            shrink(grey.width()),
            shrink(grey.height()),
            FilterType::Triangle,
        );
        let texts = attempt(&small, false);
        if !texts.is_empty() {
            return texts;
        }
    }
    let texts = attempt(grey, false);
    if texts.is_empty() { attempt(grey, true) } else { texts }
}

fn attempt(grey: &GrayImage, inverted: bool) -> Vec<String> {
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let pixels = grey.as_raw();
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let value = pixels[y * width + x];
        if inverted { 255 - value } else { value }
    });
    let grids = prepared.detect_grids();
    grids.into_iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use image::Luma;

    use super::super::qr::Matrix;
    use super::*;

    const TEXT: &str = "KITH:I1/MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43UOV3HO6DZPIYDCMRT";

    fn code(side: u32) -> GrayImage {
        image::load_from_memory(&Matrix::of(TEXT).unwrap().png(side).unwrap()).unwrap().into_luma8()
    }

    fn encoded(picture: &GrayImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn every_type_of_picture_is_read() {
        let picture = code(400);
        for (format, kind) in [(ImageFormat::Png, Picture::Png), (ImageFormat::Jpeg, Picture::Jpeg)]
        {
            assert_eq!(read_code(&encoded(&picture, format), kind).unwrap(), TEXT);
        }
        let mut frame = b"P5\n400 400\n255\n".to_vec();
        frame.extend_from_slice(picture.as_raw());
        assert_eq!(read_code(&frame, Picture::Pgm).unwrap(), TEXT);
    }

    #[test]
    fn a_code_is_found_in_a_large_picture_and_with_colours_exchanged() {
        let mut large = GrayImage::from_pixel(3_000, 2_000, Luma([200]));
        imageops::overlay(&mut large, &code(900), 1_000, 500);
        assert_eq!(read_code(&encoded(&large, ImageFormat::Png), Picture::Png).unwrap(), TEXT);
        let mut inverted = code(500);
        imageops::invert(&mut inverted);
        assert_eq!(read_code(&encoded(&inverted, ImageFormat::Png), Picture::Png).unwrap(), TEXT);
    }

    #[test]
    fn a_picture_without_a_code_says_so() {
        let blank = encoded(&GrayImage::from_pixel(64, 64, Luma([255])), ImageFormat::Png);
        assert_eq!(read_code(&blank, Picture::Png), Err(ApiCode::NoCodeFound));
    }

    #[test]
    fn a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded() {
        assert_eq!(read_code(b"P5\n60000 60000\n255\n", Picture::Pgm), Err(ApiCode::ImageTooLarge));
        assert_eq!(read_code(b"P5\n12000 12000\n255\n", Picture::Pgm), Err(ApiCode::ImageTooLarge));
    }

    #[test]
    fn broken_bytes_are_an_error_and_never_a_panic() {
        let whole = encoded(&code(200), ImageFormat::Png);
        let mut failed = 0;
        for cut in (0..whole.len()).step_by(7) {
            failed += usize::from(read_code(&whole[..cut], Picture::Png).is_err());
        }
        assert!(failed > 0);
        assert_eq!(
            read_code(b"P5\n10 10\n255\nshort", Picture::Pgm),
            Err(ApiCode::UnreadableImage)
        );
        assert_eq!(read_code(b"<svg/>", Picture::Jpeg), Err(ApiCode::UnreadableImage));
        assert_eq!(read_code(b"", Picture::WebP), Err(ApiCode::UnreadableImage));
    }
}
