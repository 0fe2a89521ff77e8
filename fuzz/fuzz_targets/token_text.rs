//! Token texts: no panic, and what is accepted is canonical up to case and white space.

#![no_main]

use crypto::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = Token::parse(text) {
        assert!(token.to_text().eq_ignore_ascii_case(text.trim()));
    }
});
