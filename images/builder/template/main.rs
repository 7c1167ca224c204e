//! Sends one line to wherever the URI leads, and prints the line that comes back.

use client::{Error, sink};
use kernel_app::{Application, Call};

struct Lines;

impl Application for Lines {
    async fn speak(&self, mut call: Call<'_>) -> Result<(), Error> {
        let mut line = call.config.bytes.send.clone().unwrap_or_else(|| b"hello".to_vec());
        line.push(b'\n');
        call.flow.write_all(&line).await.map_err(|error| call.failed(&error))?;
        call.flow.flush().await.map_err(|error| call.failed(&error))?;
        let mut octets = [0; 512];
        loop {
            let len = call.flow.read(&mut octets).await.map_err(|error| call.failed(&error))?;
            let end = octets[..len].iter().position(|octet| *octet == b'\n');
            sink::write(call.stdout, &octets[..end.map_or(len, |at| at + 1)]).await?;
            if len == 0 || end.is_some() {
                return Ok(());
            }
        }
    }
}

fn main() {
    kernel_app::boot(&Lines);
}
