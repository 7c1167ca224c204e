//! Plain octets over a flow: ours out, then its end, the peer's in until theirs; both at once.

use crate::deadline::within_some;
use crate::error::{Cause, Error, Stage};
use crate::sink::{self, Input, Output};
use crate::trace::{Payload, Trace};
use core::time::Duration;
use futures_lite::future;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use mimic::BoxFlow;
use stack::Net;
use std::sync::Arc;

/// Octets moved at once.
const CHUNK: usize = 64 * 1024;

/// Both directions until the peer's end of file.
///
/// Our end of file goes to the peer as soon as `input` ends (a half-close); a peer that ends first ends the exchange.
pub async fn exchange(
    net: &Arc<dyn Net>,
    flow: BoxFlow,
    mut input: Input,
    output: &mut Output,
    idle: Option<Duration>,
    trace: &Trace,
) -> Result<(), Error> {
    let target = flow.to_string();
    let fail = |cause| Error { stage: Stage::Exchange, target: target.clone(), cause };
    let (mut reader, mut writer) = futures_lite::io::split(flow);
    let send = async {
        let mut buf = vec![0; CHUNK];
        loop {
            let len = match input.read(&mut buf).await {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) => return Err(fail(Cause::Output(format!("standard input: {error}")))),
            };
            writer.write_all(&buf[..len]).await.map_err(|error| fail(Cause::of(&error)))?;
            writer.flush().await.map_err(|error| fail(Cause::of(&error)))?;
            trace.sent(len);
        }
        writer.close().await.map_err(|error| fail(Cause::of(&error)))?;
        future::pending().await
    };
    let receive = async {
        trace.expect(net.now(), Payload::default());
        let mut buf = vec![0; CHUNK];
        loop {
            let len = match within_some(&**net, idle, reader.read(&mut buf)).await {
                Some(read) => read.map_err(|error| fail(Cause::of(&error)))?,
                None => {
                    return Err(fail(Cause::Limit {
                        limit: "idle-timeout",
                        after: idle.unwrap_or_default(),
                    }));
                }
            };
            if len == 0 {
                return sink::flush(output).await;
            }
            sink::write(output, &buf[..len]).await?;
            trace.received(net.now(), len);
        }
    };
    // the peer's word first: what it said before an error of ours is printed
    future::or(receive, send).await
}
