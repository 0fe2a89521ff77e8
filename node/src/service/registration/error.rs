//! Why a registration step failed, in words for the person.

use protocol::registration::wire::{CODE_DIGITS, RegisterRefusal};

use crate::service::error::{ErrorKind, Refusal};

/// Why a registration step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Not an address of a relay.
    #[error("That is not a relay's address. It looks like /dns4/relay.example/tcp/443/p2p/12D3….")]
    RelayAddress,
    /// No relay was given, and none is configured.
    #[error("Which relay? Give its address, or set one in the configuration.")]
    NoRelay,
    /// The relay did not answer.
    #[error("The relay does not answer. Check its address and your connection, then try again.")]
    RelayUnreachable,
    /// The relay's answer makes no sense.
    #[error("The relay answered something that is no answer. It may run another version.")]
    Unexpected,
    /// Too long, empty, or not what it should be.
    #[error("That is not a valid e-mail address or telephone number.")]
    InvalidIdentifier,
    /// This relay cannot reach that kind of address.
    #[error("This relay cannot send codes to that kind of address. Try the other kind.")]
    KindNotServed,
    /// This relay sends no texts to that country.
    #[error(
        "This relay sends no texts to numbers of that country. Try an e-mail address, or ask its operator."
    )]
    CountryNotServed,
    /// Not six digits.
    #[error("A code has {CODE_DIGITS} digits.")]
    MalformedCode,
    /// The wrong code.
    #[error("That is not the code. You have {attempts_left} more tries.")]
    WrongCode {
        /// Tries left.
        attempts_left: u8,
    },
    /// Used up.
    #[error("That was not the code, and there are no more tries. Ask for a new code.")]
    TooManyAttempts,
    /// Expired, or unknown to the relay.
    #[error("This code has expired. Ask for a new one.")]
    ChallengeExpired,
    /// Wait.
    #[error("Too soon: wait {} s and try again.", retry_ms.div_ceil(1000))]
    TooSoon {
        /// Milliseconds.
        retry_ms: u32,
    },
    /// The operator does not serve this account, or that address.
    #[error(
        "The relay's operator has suspended this account, or one with this address. Ask them, or use another relay."
    )]
    Suspended,
    /// Its queues are erased, and it is not.
    #[error(
        "What waited for you there is deleted. The account is suspended, so the relay keeps its key and a hash of its \
         address; only its operator can erase those."
    )]
    KeptSuspended,
    /// It was asked to erase, and did not say that it had.
    #[error(
        "The relay did not answer in time. It may have erased your account; try again, which does no harm."
    )]
    ErasureUnsure,
    /// The relay could not send it.
    #[error("The relay could not send the code. Check the address, or try again later.")]
    SendFailed,
    /// The relay refused for another reason.
    #[error("The relay refused. Try again later, or ask its operator.")]
    Refused,
}

impl Refusal for RegistrationError {
    fn code(&self) -> &'static str {
        match self {
            Self::RelayAddress => "invalid_relay",
            Self::NoRelay => "no_relay",
            Self::RelayUnreachable => "relay_unreachable",
            Self::Unexpected => "relay_unexpected",
            Self::InvalidIdentifier => "invalid_identifier",
            Self::KindNotServed => "kind_not_served",
            Self::CountryNotServed => "country_not_served",
            Self::MalformedCode => "malformed_code",
            Self::WrongCode { .. } => "wrong_code",
            Self::TooManyAttempts => "too_many_attempts",
            Self::ChallengeExpired => "challenge_expired",
            Self::TooSoon { .. } => "too_soon",
            Self::SendFailed => "send_failed",
            Self::Suspended => "suspended",
            Self::KeptSuspended => "kept_suspended",
            Self::ErasureUnsure => "erasure_unsure",
            Self::Refused => "relay_refused",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::RelayUnreachable | Self::Unexpected | Self::SendFailed | Self::Refused => {
                ErrorKind::Unavailable
            }
            Self::Suspended | Self::KeptSuspended => ErrorKind::Forbidden,
            Self::ErasureUnsure => ErrorKind::Unavailable,
            Self::TooSoon { retry_ms } => {
                ErrorKind::TooMany { retry_after_seconds: u64::from(retry_ms.div_ceil(1000)) }
            }
            _ => ErrorKind::Invalid,
        }
    }
}

impl From<RegisterRefusal> for RegistrationError {
    fn from(refusal: RegisterRefusal) -> Self {
        match refusal {
            RegisterRefusal::InvalidIdentifier => Self::InvalidIdentifier,
            RegisterRefusal::KindNotServed => Self::KindNotServed,
            RegisterRefusal::CountryNotServed => Self::CountryNotServed,
            RegisterRefusal::WrongCode { attempts_left: 0 } => Self::TooManyAttempts,
            RegisterRefusal::WrongCode { attempts_left } => Self::WrongCode { attempts_left },
            RegisterRefusal::NoChallenge => Self::ChallengeExpired,
            RegisterRefusal::TooSoon { retry_ms } => Self::TooSoon { retry_ms },
            RegisterRefusal::SendFailed => Self::SendFailed,
            RegisterRefusal::Suspended => Self::Suspended,
            RegisterRefusal::WrongProof
            | RegisterRefusal::NotRenewable
            | RegisterRefusal::Displaced { .. }
            | RegisterRefusal::Unavailable => Self::Refused,
        }
    }
}
