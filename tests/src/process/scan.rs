//! Looking for what must not be there: in files and recordings, in every form that bytes take
//! when somebody prints them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};

/// Shortest thing that is looked for, in bytes: what is shorter appears by chance.
const SHORTEST: usize = 8;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What, by its name.
    pub what: String,
    /// In which form.
    pub form: &'static str,
    /// Where.
    pub place: String,
}

/// One form of something planted.
#[derive(Debug)]
struct Needle {
    what: String,
    form: &'static str,
    bytes: Vec<u8>,
}

/// Finds planted bytes.
#[derive(Debug, Default)]
pub struct Scanner {
    /// By their first bytes.
    needles: BTreeMap<[u8; SHORTEST], Vec<Needle>>,
    /// Whether a needle begins with these two bytes.
    begins: Vec<bool>,
}

impl Scanner {
    /// Looks for `bytes` as they are, in hexadecimal, base32, base64, and as a list of numbers.
    pub fn plant(&mut self, what: &str, bytes: &[u8]) {
        assert!(bytes.len() >= SHORTEST, "{what} is too short to be found by purpose");
        self.add(what, "as it is", bytes.to_vec());
        self.add(what, "hex", HEXLOWER.encode(bytes).into_bytes());
        self.add(what, "hex", HEXUPPER.encode(bytes).into_bytes());
        let list: Vec<String> = bytes.iter().take(24).map(u8::to_string).collect();
        self.add(what, "numbers", list.join(", ").into_bytes());
        self.encoded(what, "base32", bytes, (&BASE32_NOPAD, 5, 8));
        self.encoded(what, "base64", bytes, (&BASE64_NOPAD, 3, 4));
        self.encoded(what, "base64url", bytes, (&BASE64URL_NOPAD, 3, 4));
    }

    /// Everything found in `bytes`.
    #[must_use]
    pub fn bytes(&self, place: &str, bytes: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.needles.is_empty() {
            return findings;
        }
        for (at, window) in bytes.windows(SHORTEST).enumerate() {
            if !self.begins[first_two(window)] {
                continue;
            }
            let key = <&[u8; SHORTEST]>::try_from(window).ok();
            let Some(candidates) = key.and_then(|key| self.needles.get(key)) else { continue };
            for Needle { what, form, bytes: needle } in candidates {
                if bytes[at..].starts_with(needle) {
                    findings.push(Finding { what: what.clone(), form, place: place.to_owned() });
                }
            }
        }
        findings.sort();
        findings.dedup();
        findings
    }

    /// Everything found in a file, or in the files under a folder, except in those whose path
    /// ends in one of `except`. Names of files are looked through as well.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn files(&self, path: &Path, except: &[&str]) -> anyhow::Result<Vec<Finding>> {
        if except.iter().any(|end| path.ends_with(end)) {
            return Ok(Vec::new());
        }
        let place = path.display().to_string();
        let mut findings = self.bytes(&place, place.as_bytes());
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                findings.extend(self.files(&entry?.path(), except)?);
            }
        } else {
            findings.extend(self.bytes(&place, &fs::read(path)?));
        }
        Ok(findings)
    }

    /// The encoded form depends on where in a longer encoding the bytes begin, and shares its
    /// first and last character with their neighbours.
    fn encoded(
        &mut self,
        what: &str,
        form: &'static str,
        bytes: &[u8],
        (encoding, group, characters): (&Encoding, usize, usize),
    ) {
        let bits = group * 8 / characters;
        for offset in 0..group {
            let mut shifted = vec![0; offset];
            shifted.extend_from_slice(bytes);
            let text = encoding.encode(&shifted).into_bytes();
            let (from, to) = ((offset * 8).div_ceil(bits), shifted.len() * 8 / bits);
            self.add(what, form, text[from..to].to_vec());
        }
    }

    fn add(&mut self, what: &str, form: &'static str, needle: Vec<u8>) {
        let key: [u8; SHORTEST] =
            needle[..SHORTEST].try_into().expect("every form is longer than the bytes");
        self.begins.resize(1 << 16, false);
        self.begins[first_two(&needle)] = true;
        self.needles.entry(key).or_default().push(Needle {
            what: what.to_owned(),
            form,
            bytes: needle,
        });
    }
}

fn first_two(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_is_found_in_every_form_and_nowhere_else() {
        let secret: Vec<u8> = (0u8..32).map(|n| 200 ^ n.wrapping_mul(37)).collect();
        let mut scanner = Scanner::default();
        scanner.plant("secret", &secret);
        for pad in 0..6 {
            let mut around = vec![0x61; pad];
            around.extend_from_slice(&secret);
            around.extend_from_slice(&[0x7a; 5]);
            let forms: [(&str, Vec<u8>); 7] = [
                ("as it is", around.clone()),
                ("hex", HEXLOWER.encode(&around).into_bytes()),
                ("hex", HEXUPPER.encode(&around).into_bytes()),
                ("numbers", format!("{around:?}").into_bytes()),
                ("base32", BASE32_NOPAD.encode(&around).into_bytes()),
                ("base64", BASE64_NOPAD.encode(&around).into_bytes()),
                ("base64url", BASE64URL_NOPAD.encode(&around).into_bytes()),
            ];
            for (form, text) in forms {
                let found = scanner.bytes("here", &text);
                assert!(found.iter().any(|finding| finding.form == form), "{form} at {pad}");
            }
        }
        let other: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
        assert!(scanner.bytes("here", &other).is_empty());
    }

    #[test]
    fn files_are_looked_through_with_their_names_but_for_the_exceptions() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut scanner = Scanner::default();
        scanner.plant("name", b"Quarzfels");
        fs::create_dir(folder.path().join("run")).expect("ours");
        fs::write(folder.path().join("run/token"), b"\0Quarzfels\0").expect("ours");
        fs::write(folder.path().join("of-Quarzfels"), b"nothing").expect("ours");
        assert_eq!(scanner.files(folder.path(), &[]).expect("readable").len(), 2);
        assert_eq!(scanner.files(folder.path(), &["run/token"]).expect("readable").len(), 1);
    }
}
