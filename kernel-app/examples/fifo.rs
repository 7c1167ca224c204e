//! A scheme of one's own: `fifo:///tmp/pipe` speaks over the named pipes `/tmp/pipe.in` (read) and `/tmp/pipe.out`
//! (written). On a Unix host: `mkfifo /tmp/pipe.in /tmp/pipe.out`, then
//! `cargo run -p kernel-app --example fifo -- fifo:///tmp/pipe`.

use blocking::Unblock;
use client::flows::Flows;
use futures_lite::{AsyncRead, AsyncWrite, io};
use kernel_app::{Application, Call, Program};
use mimic::{Ctx, Protocol, Registry, flow::FromIo};
use proto::target::{Scheme, Target};
use std::{fs::File, pin::Pin, sync::Arc, task::Context, task::Poll};

struct Fifo;
struct Pipes(Unblock<File>, Unblock<File>);

impl Protocol for Fifo {
    type Endpoint = String;
    type Flow = FromIo<Pipes>;
    type Error = io::Error;

    async fn connect(&self, path: Arc<String>) -> io::Result<FromIo<Pipes>> {
        let (input, output) = (format!("{path}.in"), format!("{path}.out"));
        let output = blocking::unblock(move || File::options().write(true).open(output)).await?;
        let input = blocking::unblock(move || File::open(input)).await?;
        Ok(FromIo::new(Pipes(Unblock::new(input), Unblock::new(output)), format!("fifo {path}")))
    }
}

struct WithFifo;

impl Application for WithFifo {
    fn configure(&self, registry: &mut Registry, _: &Flows, ctx: Ctx, target: &Target) -> Ctx {
        let fifo = registry.register("fifo", None, Fifo);
        match &target.scheme {
            Scheme::Other(name) if name == "fifo" => ctx.add(fifo.endpoint(), target.path.clone()),
            _ => ctx,
        }
    }

    async fn speak(&self, call: Call<'_>) -> Result<(), client::Error> {
        Program.speak(call).await
    }
}

fn main() {
    kernel_app::boot(&WithFifo);
}

impl AsyncRead for Pipes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_close(cx)
    }
}
