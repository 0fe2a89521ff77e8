//! Binary tokens: no panic, and what is accepted has one encoding.

#![no_main]

use crypto::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = Token::decode(data) {
        assert_eq!(token.as_bytes(), data);
    }
});
