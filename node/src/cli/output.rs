//! What a command prints: data on standard output, everything else on standard error.
//!
//! # Invariants
//! * What other people wrote never reaches the terminal as it is: control characters, escape
//!   sequences and direction overrides are shown as marks.
//! * `--json` prints the API's own objects; `NO_COLOR` and pipes get no escape sequence.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::error::CliError;

/// Where a command's output goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    /// Whether to print JSON.
    pub(super) json: bool,
    /// Whether escape sequences may be used.
    pub(super) colour: bool,
}

impl Out {
    /// As flags and environment say.
    pub(super) fn new(json: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !no_colour && io::stdout().is_terminal() }
    }

    /// One line of text.
    pub(super) fn line(self, text: impl AsRef<str>) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_ref().as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// One object as JSON on one line.
    pub(super) fn object<T: Serialize>(self, value: &T) -> Result<(), CliError> {
        let text =
            serde_json::to_string(value).map_err(|error| CliError::Failed(error.to_string()))?;
        self.line(text)
    }

    /// An object as JSON when that is asked for, otherwise text.
    pub(super) fn show<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        if self.json { self.object(value) } else { self.line(text(value)) }
    }

    /// Something for the person that is not data.
    pub(super) fn note(self, text: &str) {
        if !self.json {
            // Nobody to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// What someone else wrote, fit for a terminal. Line breaks stay; their lines are indented.
pub(super) fn foreign(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { mark(c) })
        .collect::<String>()
        .replace('\n', "\n    ")
}

/// The same on one line, for names.
pub(super) fn foreign_name(text: &str) -> String {
    text.chars().map(mark).collect()
}

fn mark(c: char) -> char {
    match c {
        // Direction overrides and isolates, and marks that change nothing visible but the order.
        '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{061c}' => '\u{fffd}',
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The beginning of an id: enough to tell apart, and what commands accept.
pub(super) fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// `2026-11-22 10:00Z` of an RFC 3339 time, which is UTC as all of the API's are.
pub(super) fn minute(time: &str) -> String {
    time.get(..16).map_or_else(|| time.to_owned(), |minute| minute.replace('T', " ") + "Z")
}

/// Rows with columns of equal width.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_sequence_of_someone_else_reaches_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2Jhi\r\u{202e}gnp.exe\u{9b}31m\0";
        for clean in [foreign(hostile), foreign_name(hostile)] {
            assert!(!clean.chars().any(|c| c.is_control() || c == '\u{202e}'), "{clean:?}");
            assert!(clean.contains("hi"));
        }
        assert_eq!(foreign("a\nb"), "a\n    b");
        assert!(!foreign_name("a\nb").contains('\n'));
    }

    #[test]
    fn a_table_lines_up_by_characters() {
        let rows =
            vec![vec!["é".to_owned(), "x".to_owned()], vec!["long".to_owned(), "y".to_owned()]];
        assert_eq!(table(&rows), "é     x\nlong  y");
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn short_forms_survive_short_input() {
        assert_eq!(short("abc"), "abc");
        assert_eq!(short("0123456789abcdef"), "0123456789");
        assert_eq!(minute("2026-11-22T10:00:00.000Z"), "2026-11-22 10:00Z");
        assert_eq!(minute("soon"), "soon");
    }
}
