//! Any pair of [`Wire`] types as a libp2p request-response codec.
//!
//! One message is a length (u32, big-endian) and as many bytes of [`protocol::wire::encode`].
//!
//! # Invariants
//! * The length is compared with [`Wire::LIMIT`] before anything is allocated, and the buffer
//!   then grows with the bytes that really arrive: a claim alone costs [`FIRST_ALLOCATION`].
//! * A message that is short, too long or undecodable is an error of its stream; libp2p resets
//!   that stream and keeps the connection. What follows a message is never looked at.
//!
//! It knows nothing of what the messages mean. Spec: `docs/protocol/wire.md` §2.

use std::io::{Error, ErrorKind, Result};
use std::marker::PhantomData;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use protocol::wire::{self, Wire};

/// Most bytes allocated for a message before its first byte has arrived.
pub const FIRST_ALLOCATION: usize = 8 * 1024;

/// Bytes of the length in front of a message.
const LENGTH_BYTES: usize = 4;

/// The codec of one request-response protocol.
pub struct WireCodec<Req, Resp>(PhantomData<fn() -> (Req, Resp)>);

impl<Req, Resp> Default for WireCodec<Req, Resp> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req, Resp> Clone for WireCodec<Req, Resp> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<Req, Resp> std::fmt::Debug for WireCodec<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireCodec")
    }
}

impl<Req, Resp> request_response::Codec for WireCodec<Req, Resp>
where
    Req: Wire + Send + 'static,
    Resp: Wire + Send + 'static,
{
    type Protocol = StreamProtocol;
    type Request = Req;
    type Response = Resp;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Req>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Resp>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, value: Req) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, value).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, value: Resp) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, value).await
    }
}

/// Reads exactly one value.
///
/// # Errors
/// `InvalidData` for a claim over the limit or bytes that are no value; `UnexpectedEof` for a
/// short message; whatever the stream itself reports.
pub async fn read<V: Wire, T: AsyncRead + Unpin + Send>(io: &mut T) -> Result<V> {
    let mut length = [0u8; LENGTH_BYTES];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > V::LIMIT {
        return Err(Error::new(ErrorKind::InvalidData, wire::DecodeError::TooLong));
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_ALLOCATION));
    let arrived = io.take(length as u64).read_to_end(&mut bytes).await?;
    if arrived != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    wire::decode(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Writes one value, length first.
///
/// # Errors
/// `InvalidInput` for a value over its limit; whatever the stream itself reports.
pub async fn write<V, T>(io: &mut T, value: V) -> Result<()>
where
    V: Wire + Send,
    T: AsyncWrite + Unpin + Send,
{
    let bytes = wire::encode(&value).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    drop(value);
    let length = u32::try_from(bytes.len())
        .map_err(|_| Error::new(ErrorKind::InvalidInput, wire::EncodeError::TooLong))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(&bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use protocol::mailbox::wire::MailboxRequest;

    #[tokio::test]
    async fn a_message_survives_the_wire() {
        let mut bytes = Vec::new();
        write(&mut bytes, MailboxRequest::Hello).await.expect("a vector takes everything");
        assert_eq!(&bytes[..4], (bytes.len() as u32 - 4).to_be_bytes());
        let back: MailboxRequest = read(&mut Cursor::new(bytes)).await.expect("as written");
        assert!(back == MailboxRequest::Hello);
    }

    #[tokio::test]
    async fn a_claim_over_the_limit_is_refused_before_its_bytes_are_read() {
        let claim = (MailboxRequest::LIMIT as u32 + 1).to_be_bytes();
        let mut io = Cursor::new(claim.to_vec());
        let error = read::<MailboxRequest, _>(&mut io).await.expect_err("over the limit");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_short_message_and_a_message_with_more_inside_are_refused() {
        let mut bytes = Vec::new();
        write(&mut bytes, MailboxRequest::Hello).await.expect("a vector takes everything");
        let short = bytes[..bytes.len() - 1].to_vec();
        let error = read::<MailboxRequest, _>(&mut Cursor::new(short)).await.expect_err("short");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        bytes.push(0);
        bytes[3] += 1;
        let error = read::<MailboxRequest, _>(&mut Cursor::new(bytes)).await.expect_err("trailing");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
