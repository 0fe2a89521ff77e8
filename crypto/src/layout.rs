//! Fixed byte layouts.
//!
//! Everything that is signed, hashed or fed to a key derivation has a layout written out in
//! `docs/protocol`; this module is the one place that reads and writes such layouts.
//!
//! # Invariants
//! * Integers are big-endian. `LP(x)` is a `u32` length followed by `x`.
//! * [`Reader`] checks a length before it touches the bytes and never allocates.
//! * [`Reader::finish`] refuses trailing bytes, so a layout has exactly one encoding.
//!
//! Knows nothing of meaning: versions, bounds of fields and signatures belong to the callers.

use zeroize::Zeroize;

/// Why bytes do not have the expected layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The input ends inside a field.
    #[error("input ends inside a field")]
    Truncated,
    /// Bytes remain after the last field.
    #[error("bytes remain after the last field")]
    TrailingBytes,
    /// A length prefix exceeds the bound of its field.
    #[error("a field is longer than its bound")]
    FieldTooLong,
}

/// Appends fields to a buffer. The buffer is erased if the writer is dropped unfinished.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer whose buffer will not be moved before `capacity` bytes, so that secrets written to
    /// it leave no stale copy in freed memory.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Appends two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// Appends `LP(value)`.
    ///
    /// # Panics
    /// If `value` is longer than `u32::MAX`, which no bounded field is.
    pub fn lp(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len()).expect("no field of a layout reaches 4 GiB"));
        self.bytes(value)
    }

    /// What has been written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished bytes.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl core::fmt::Debug for Writer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Writer").field("len", &self.bytes.len()).finish()
    }
}

/// Takes fields off the front of untrusted bytes.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`] at the end of the input; so for every method here.
    pub fn u8(&mut self) -> Result<u8, LayoutError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a big-endian `u16`.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, LayoutError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes a big-endian `u32`.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, LayoutError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a big-endian `u64`.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, LayoutError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes `N` bytes by value.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], LayoutError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(LayoutError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes `len` bytes by reference.
    ///
    /// # Errors
    /// [`LayoutError::Truncated`].
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], LayoutError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(LayoutError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes `LP(x)` of at most `max` bytes.
    ///
    /// # Errors
    /// [`LayoutError::FieldTooLong`] before anything is read if the prefix exceeds `max`;
    /// [`LayoutError::Truncated`].
    pub fn lp(&mut self, max: usize) -> Result<&'a [u8], LayoutError> {
        let len = usize::try_from(self.u32()?).map_err(|_| LayoutError::FieldTooLong)?;
        if len > max {
            return Err(LayoutError::FieldTooLong);
        }
        self.take(len)
    }

    /// Bytes not yet taken.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left, as the last field.
    #[must_use]
    pub const fn into_rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the layout.
    ///
    /// # Errors
    /// [`LayoutError::TrailingBytes`] if anything is left.
    pub const fn finish(self) -> Result<(), LayoutError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LayoutError::TrailingBytes) }
    }
}

impl core::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reader").field("remaining", &self.rest.len()).finish()
    }
}

/// Appends `0x80 00…` until `bytes` has `target` bytes (ISO/IEC 7816-4).
///
/// # Panics
/// If `bytes` leaves no room for the marker; callers choose `target` from the length.
pub(crate) fn pad(bytes: &mut Vec<u8>, target: usize) {
    assert!(bytes.len() < target, "the padding marker always fits the chosen class");
    bytes.push(0x80);
    bytes.resize(target, 0);
}

/// The length of the content before `0x80 00…`; `None` if there is no marker.
///
/// Runs on authenticated bytes only, so its timing tells nothing to a network attacker.
pub(crate) fn unpadded_len(bytes: &[u8]) -> Option<usize> {
    let marker = bytes.iter().rposition(|&byte| byte != 0)?;
    (bytes.get(marker) == Some(&0x80)).then_some(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_may_remain() {
        let mut w = Writer::default();
        w.u8(1).u16(0x0203).u32(0x0405_0607).u64(0x0809_0A0B_0C0D_0E0F).bytes(&[9, 9]).lp(b"abc");
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(0x0203));
        assert_eq!(r.u32(), Ok(0x0405_0607));
        assert_eq!(r.u64(), Ok(0x0809_0A0B_0C0D_0E0F));
        assert_eq!(r.array(), Ok([9, 9]));
        assert_eq!(r.remaining(), 7);
        assert_eq!(r.lp(3), Ok(&b"abc"[..]));
        assert_eq!(r.finish(), Ok(()));
        assert_eq!(Reader::new(&bytes).finish(), Err(LayoutError::TrailingBytes));
    }

    #[test]
    fn a_length_over_its_bound_is_refused_before_the_bytes_are_looked_at() {
        let claim = u32::MAX.to_be_bytes();
        assert_eq!(Reader::new(&claim).lp(16), Err(LayoutError::FieldTooLong));
        assert_eq!(Reader::new(&[0, 0, 0, 4, 1]).lp(16), Err(LayoutError::Truncated));
        assert_eq!(Reader::new(&[1]).u16(), Err(LayoutError::Truncated));
    }

    #[test]
    fn padding_round_trips_for_content_that_ends_like_padding() {
        for content in [&b""[..], b"x", &[0x80], &[0x80, 0, 0], &[0; 5]] {
            let mut bytes = content.to_vec();
            pad(&mut bytes, 16);
            assert_eq!(bytes.len(), 16);
            assert_eq!(unpadded_len(&bytes), Some(content.len()));
        }
        assert_eq!(unpadded_len(&[0; 8]), None);
        assert_eq!(unpadded_len(&[1, 0]), None);
    }
}
