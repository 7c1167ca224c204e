//! A scheme of one's own: `fifo:///tmp/pipe` speaks over the named pipes `/tmp/pipe.in` (read) and `/tmp/pipe.out`
//! (written). On a Unix host: `mkfifo /tmp/pipe.in /tmp/pipe.out`, then
//! `cargo run -p kernel-app --example fifo -- fifo:///tmp/pipe`.

use blocking::Unblock;
use client::flows::Flows;
use kernel_app::{Application, Call, Program};
use mimic::flow::{FromIo, Joined};
use mimic::{Ctx, Protocol, Registry};
use proto::target::{Scheme, Target};
use std::{fs::File, io, sync::Arc};

struct Fifo;

impl Protocol for Fifo {
    type Endpoint = String;
    type Flow = FromIo<Joined<Unblock<File>, Unblock<File>>>;
    type Error = io::Error;

    async fn connect(&self, path: Arc<String>) -> io::Result<Self::Flow> {
        let (input, output) = (format!("{path}.in"), format!("{path}.out"));
        let output = blocking::unblock(move || File::options().write(true).open(output)).await?;
        let input = blocking::unblock(move || File::open(input)).await?;
        let pipes = Joined(Unblock::new(input), Unblock::new(output));
        Ok(FromIo::new(pipes, format!("fifo {path}")))
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
