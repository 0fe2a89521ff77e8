//! The one codec of everything on the wire and in the stores.
//!
//! A value is a version byte followed by bincode 2 (standard configuration: little-endian
//! variable-length integers). bincode is unmaintained (RUSTSEC-2025-0141), so its name appears
//! in this module only, and replacing it is a change of this file.
//!
//! # Invariants
//! * The length of the input is compared with [`Wire::LIMIT`] before anything is decoded, and
//!   no claimed length inside it may exceed [`CLAIM_LIMIT`]: nothing large is ever allocated
//!   for a small input.
//! * Trailing bytes, an unknown version and a short input are errors.
//! * bincode accepts non-canonical integers, so nothing is ever signed or hashed through a
//!   re-encoding; what is signed has a fixed layout in `crypto`.
//!
//! Spec: `docs/protocol/wire.md` §2.

use serde::{Serialize, de::DeserializeOwned};

/// No length inside an encoded value may claim more than this, whatever its type's limit.
pub const CLAIM_LIMIT: usize = 1 << 20;

/// A type with a place on the wire or in a store.
pub trait Wire: Serialize + DeserializeOwned {
    /// The first byte of the encoding. Enum variants are append-only within a version.
    const VERSION: u8 = 1;
    /// The longest encoding in bytes, the version byte included.
    const LIMIT: usize;
}

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than the type allows.
    #[error("longer than its limit")]
    TooLong,
    /// The first byte names a version that this build does not know.
    #[error("unknown version {0}")]
    UnknownVersion(u8),
    /// No value of the type starts like this, or it ends too early.
    #[error("malformed")]
    Malformed,
    /// A whole value, and then more.
    #[error("trailing bytes")]
    Trailing,
}

/// Why a value cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoding would exceed [`Wire::LIMIT`], so no receiver would take it.
    #[error("longer than its limit")]
    TooLong,
    /// The value's own `Serialize` refused.
    #[error("cannot be serialised")]
    Unserialisable,
}

/// Room for most values, so that few are moved while they are encoded.
const FIRST_ROOM: usize = 512;

/// Encodes `value`.
///
/// # Errors
/// [`EncodeError::TooLong`] when the result would exceed [`Wire::LIMIT`].
pub fn encode<T: Wire>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(FIRST_ROOM.min(T::LIMIT));
    bytes.push(T::VERSION);
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .map_err(|_| EncodeError::Unserialisable)?;
    if bytes.len() > T::LIMIT {
        return Err(EncodeError::TooLong);
    }
    Ok(bytes)
}

/// Decodes exactly one value.
///
/// # Errors
/// A [`DecodeError`] for anything that is not exactly one value of a known version.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > T::LIMIT {
        return Err(DecodeError::TooLong);
    }
    let (version, body) = bytes.split_first().ok_or(DecodeError::Malformed)?;
    if *version != T::VERSION {
        return Err(DecodeError::UnknownVersion(*version));
    }
    let config = bincode::config::standard().with_limit::<CLAIM_LIMIT>();
    let (value, used) =
        bincode::serde::decode_from_slice(body, config).map_err(|_| DecodeError::Malformed)?;
    if used != body.len() {
        return Err(DecodeError::Trailing);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Words(Vec<String>),
        Pair(u64, Option<[u8; 16]>),
    }

    impl Wire for Sample {
        const LIMIT: usize = 256;
    }

    #[test]
    fn claims_beyond_the_input_are_refused_without_allocating() {
        // Words with 2^50 entries, then words with one string of 2^50 bytes.
        for hostile in [
            [&[1u8, 0, 253][..], &(1u64 << 50).to_le_bytes()].concat(),
            [&[1u8, 0, 1, 253][..], &(1u64 << 50).to_le_bytes()].concat(),
        ] {
            assert_eq!(decode::<Sample>(&hostile), Err(DecodeError::Malformed));
        }
    }

    #[test]
    fn a_value_over_its_limit_is_not_encoded() {
        let long = Sample::Words(vec!["x".repeat(300)]);
        assert_eq!(encode(&long), Err(EncodeError::TooLong));
    }

    #[test]
    fn version_truncation_and_trailing_bytes_are_told_apart() {
        let good = encode(&Sample::Pair(7, Some([3; 16]))).expect("small");
        assert_eq!(decode::<Sample>(&[]), Err(DecodeError::Malformed));
        let mut other = good.clone();
        other[0] = 9;
        assert_eq!(decode::<Sample>(&other), Err(DecodeError::UnknownVersion(9)));
        for cut in 1..good.len() {
            assert_eq!(decode::<Sample>(&good[..cut]), Err(DecodeError::Malformed));
        }
        let mut more = good;
        more.push(0);
        assert_eq!(decode::<Sample>(&more), Err(DecodeError::Trailing));
        assert_eq!(decode::<Sample>(&[1; 300]), Err(DecodeError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Sample>(&bytes);
        }
    }
}
