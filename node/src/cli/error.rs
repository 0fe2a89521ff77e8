//! Why a command did not do what it was asked, and with which exit code it says so.

use std::{fmt, io};

use crate::api::dto::Problem;

/// A command's failure. Its sentence may name somebody, so `Debug` leaves it out.
pub(super) enum CliError {
    /// It went wrong.
    Failed(String),
    /// It was asked wrongly.
    Usage(String),
    /// No node answers.
    Unreachable(String),
    /// The node refused.
    Refused(Box<Problem>),
    /// Nothing by that name.
    NotFound(String),
    /// The node did not answer in time.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
    /// Whoever read the output went away: not a failure.
    PipeClosed,
}

impl fmt::Debug for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CliError({})", self.code())
    }
}

impl CliError {
    /// Exit code: 0 ok, 1 failure, 2 usage, 3 node unreachable, 4 locked or unauthenticated,
    /// 5 not found, 6 timeout, 130 interrupted.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::PipeClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused(problem) => match (problem.status, problem.code.as_str()) {
                (401 | 423, _) => 4,
                (404, _) => 5,
                (_, "timeout") => 6,
                _ => 1,
            },
            Self::NotFound(_) => 5,
            Self::TimedOut => 6,
            Self::Interrupted => 130,
        }
    }

    /// The stable name that `--json` shows.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Failed(_) => "failed",
            Self::Usage(_) => "usage",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(problem) => &problem.code,
            Self::NotFound(_) => "not_found",
            Self::TimedOut => "timeout",
            Self::Interrupted => "interrupted",
            Self::PipeClosed => "pipe_closed",
        }
    }

    /// The sentence to show; `None` when there is nothing to say.
    pub(super) fn sentence(&self) -> Option<&str> {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::Unreachable(text)
            | Self::NotFound(text) => Some(text),
            Self::Refused(problem) => Some(&problem.detail),
            Self::TimedOut => {
                Some("The node did not answer in time. Try again, or look with “kith doctor”.")
            }
            Self::Interrupted | Self::PipeClosed => None,
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<crate::config::ConfigError> for CliError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> CliError {
        CliError::Refused(Box::new(Problem {
            kind: String::new(),
            title: String::new(),
            status,
            detail: "No.".to_owned(),
            code: code.to_owned(),
            request_id: String::new(),
        }))
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(refused(401, "unauthenticated").exit_code(), 4);
        assert_eq!(refused(423, "locked").exit_code(), 4);
        assert_eq!(refused(404, "not_found").exit_code(), 5);
        assert_eq!(refused(503, "timeout").exit_code(), 6);
        assert_eq!(refused(422, "wrong_code").exit_code(), 1);
        assert_eq!(CliError::Usage(String::new()).exit_code(), 2);
        assert_eq!(CliError::Unreachable(String::new()).exit_code(), 3);
        assert_eq!(CliError::Interrupted.exit_code(), 130);
    }

    #[test]
    fn debug_shows_the_code_of_a_failure_and_not_its_sentence() {
        let error = CliError::NotFound("nasturtium".to_owned());
        assert_eq!(format!("{error:?}"), "CliError(not_found)");
    }

    #[test]
    fn a_closed_pipe_is_silent_success() {
        let closed = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((closed.exit_code(), closed.sentence()), (0, None));
    }
}
