//! Messages over a flow that keeps their bounds: one a line of input, answers until nothing more comes.

use crate::deadline::within;
use crate::error::{Cause, Error, Stage};
use crate::sink::{self, Input, Output};
use crate::trace::{Payload, Trace};
use core::time::Duration;
use futures_lite::future;
use futures_lite::io::{AsyncBufReadExt as _, BufReader};
use mimic::BoxFlow;
use stack::Net;
use std::sync::Arc;

/// What is sent.
pub enum Messages {
    /// One message a line, without the line's end. A flow takes no empty message: an empty line sends none.
    Lines(Input),
    /// One message.
    One(Vec<u8>),
}

/// The largest payload of an IP packet.
const LARGEST: usize = 65_535;

/// Sends the messages and writes every answer out as it comes, until `wait` has passed without one after the last
/// message was sent.
pub async fn exchange(
    net: &Arc<dyn Net>,
    flow: BoxFlow,
    messages: Messages,
    output: &mut Output,
    wait: Duration,
    trace: &Trace,
) -> Result<(), Error> {
    let target = flow.to_string();
    let fail = |error: &(dyn core::error::Error + 'static)| Error {
        stage: Stage::Exchange,
        target: target.clone(),
        cause: Cause::of(error),
    };
    let (mut reader, mut writer) = futures_lite::io::split(flow);
    let all_sent = core::cell::Cell::new(false);
    let send = async {
        use futures_lite::AsyncWriteExt as _;
        match messages {
            Messages::One(message) => {
                trace.sent(writer.write(&message).await.map_err(|error| fail(&error))?);
            }
            Messages::Lines(input) => {
                let mut input = BufReader::new(input);
                let mut line = Vec::new();
                while input.read_until(b'\n', &mut line).await.map_err(|error| fail(&error))? > 0 {
                    let message = line.strip_suffix(b"\n").unwrap_or(&line);
                    trace.sent(writer.write(message).await.map_err(|error| fail(&error))?);
                    line.clear();
                }
            }
        }
        all_sent.set(true);
        future::pending::<Result<(), Error>>().await
    };
    let receive = async {
        use futures_lite::AsyncReadExt as _;
        trace.expect(net.now(), Payload::default());
        let mut buf = vec![0; LARGEST];
        loop {
            match within(&**net, wait, reader.read(&mut buf)).await {
                Some(Ok(0)) => break,
                Some(Ok(len)) => {
                    sink::write(output, &buf[..len]).await?;
                    sink::flush(output).await?;
                    trace.received(net.now(), len);
                }
                Some(Err(error)) => return Err(fail(&error)),
                None if all_sent.get() => break,
                None => {}
            }
        }
        Ok(())
    };
    future::or(receive, send).await
}
