//! An output that keeps nothing of a payload but its size and SHA-256.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_io::AsyncWrite;
use sha2::{Digest as _, Sha256};
use spin::Mutex;
use std::io;
use std::sync::Arc;

/// Counts and hashes what is written. Clones share the sums.
#[derive(Clone, Default)]
pub struct Discard(Arc<Mutex<(u64, Sha256)>>);

impl AsyncWrite for Discard {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (size, hash) = &mut *self.0.lock();
        *size += buf.len() as u64;
        hash.update(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// `6 octets, SHA-256 5891b5b5…`
impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, hash) = self.0.lock().clone();
        write!(f, "{size} octets, SHA-256 ")?;
        hash.finalize().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::AsyncWriteExt as _;

    #[test]
    fn sums_what_is_written() {
        let discard = Discard::default();
        let mut output = discard.clone();
        futures_lite::future::block_on(async {
            output.write_all(b"hel").await.unwrap();
            output.write_all(b"lo\n").await.unwrap();
        });
        assert_eq!(
            discard.to_string(),
            "6 octets, SHA-256 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
        );
    }
}
