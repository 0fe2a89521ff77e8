//! A picture of a code, given as a file.

use std::path::Path;

use super::error::CliError;

/// The largest picture that is sent to be read, in bytes: the node's own bound.
const PICTURE_BYTES: u64 = 8 * 1024 * 1024;

/// A picture and its content type.
pub(super) struct Picture {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// The picture that an argument names; `None` when it names none, and is the code itself.
pub(super) fn read(argument: &str) -> Result<Option<Picture>, CliError> {
    let path = Path::new(argument);
    let Some(kind) = kind(path).filter(|_| path.is_file()) else { return Ok(None) };
    if std::fs::metadata(path)?.len() > PICTURE_BYTES {
        return Err(CliError::Usage("The picture is larger than 8 MiB.".to_owned()));
    }
    Ok(Some(Picture { kind, bytes: std::fs::read(path)? }))
}

fn kind(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        "pgm" => Some("image/x-portable-graymap"),
        _ => None,
    }
}
