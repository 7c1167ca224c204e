use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use mimic::{Flow, Protocol, Shutdown, flow};

/// In the place of TLS: octets go over any other protocol, each changed by a mask.
pub struct Masked<P>(pub P);

pub struct MaskedEndpoint<E> {
    pub below: Arc<E>,
    pub mask: u8,
}

impl<P: Protocol> Protocol for Masked<P> {
    type Endpoint = MaskedEndpoint<P::Endpoint>;
    type Flow = MaskedFlow<P::Flow>;
    type Error = P::Error;

    async fn connect(&self, endpoint: Arc<Self::Endpoint>) -> Result<Self::Flow, P::Error> {
        let below = self.0.connect(Arc::clone(&endpoint.below)).await?;
        Ok(MaskedFlow { below, mask: endpoint.mask })
    }

    fn describe(endpoint: &Self::Endpoint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        P::describe(&endpoint.below, f)
    }
}

pub struct MaskedFlow<F> {
    pub below: F,
    pub mask: u8,
}

impl<F: Flow> Flow for MaskedFlow<F> {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, flow::Error>> {
        let polled = self.below.poll_read(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            buf[..count].iter_mut().for_each(|octet| *octet ^= self.mask);
        }
        polled
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, flow::Error>> {
        let masked: Vec<u8> = buf.iter().map(|octet| octet ^ self.mask).collect();
        self.below.poll_write(cx, &masked)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        self.below.poll_flush(cx)
    }

    fn poll_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        how: Shutdown,
    ) -> Poll<Result<(), flow::Error>> {
        self.below.poll_shutdown(cx, how)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), flow::Error>> {
        self.below.poll_close(cx)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("masked over ")?;
        self.below.describe(f)
    }
}
