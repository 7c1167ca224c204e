//! The tutorial's ping-pong as an image: it says `ping` and wants to hear `pong`, over whichever flow the URI
//! names. Adding TLS to it took no line here: one more protocol was registered.
#![forbid(unsafe_code)]

use client::{Cause, Error, Stage, sink};
use kernel_app::{Application, Call};

struct PingPong;

const ROUNDS: usize = 3;

impl Application for PingPong {
    async fn speak(&self, mut call: Call<'_>) -> Result<(), Error> {
        for round in 1..=ROUNDS {
            call.flow.write_all(b"ping\n").await.map_err(|error| call.failed(&error))?;
            let mut answer = [0; 5];
            let mut len = 0;
            while len < answer.len() {
                match call
                    .flow
                    .read(&mut answer[len..])
                    .await
                    .map_err(|error| call.failed(&error))?
                {
                    0 => break,
                    octets => len += octets,
                }
            }
            if answer != *b"pong\n" {
                let cause =
                    Cause::Malformed(format!("`{}` is no pong", answer[..len].escape_ascii()));
                return Err(Error {
                    stage: Stage::Exchange,
                    target: call.target.to_string(),
                    cause,
                });
            }
            sink::write(call.stdout, format!("{round}: pong over {}\n", call.flow).as_bytes())
                .await?;
        }
        call.flow.close().await.map_err(|error| call.failed(&error))
    }
}

fn main() {
    kernel_app::boot(&PingPong);
}
