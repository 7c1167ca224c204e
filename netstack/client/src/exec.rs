//! A command at an SSH server: standard input to it, its two streams to ours, its end as our end.

use crate::deadline::within_some;
use crate::error::{Cause, Error, Stage};
use crate::flow::ssh::{Exit, Flow, Received, Stream};
use crate::sink::{self, Input, Output};
use crate::trace::{Payload, Trace};
use core::future::poll_fn;
use core::time::Duration;
use futures_lite::AsyncReadExt as _;
use futures_lite::future;
use mimic::{Flow as _, Shutdown};
use spin::Mutex;
use stack::Net;
use std::io::Write;
use std::sync::Arc;

/// Octets moved at once.
const CHUNK: usize = 64 * 1024;

/// Both directions until the command's end.
///
/// # Errors
/// [`Cause::RemoteStatus`] for an exit status that is not 0, [`Cause::RemoteEnd`] for a signal (128 and its number, as shells
/// have it) and where the server says nothing (255, as OpenSSH's client has it).
pub async fn exchange(
    net: &Arc<dyn Net>,
    flow: Flow,
    mut input: Input,
    (output, errors): (&mut Output, &mut (dyn Write + Send)),
    idle: Option<Duration>,
    trace: &Trace,
) -> Result<(), Error> {
    let target = flow.name().to_string();
    let fail = |cause| Error { stage: Stage::Exchange, target: target.clone(), cause };
    let unprinted = |error: std::io::Error| fail(Cause::Output(format!("standard error: {error}")));
    errors.write_all(flow.banners().as_bytes()).map_err(unprinted)?;
    // held only while one of the two is polled
    let flow = Mutex::new(flow);
    let send = async {
        let mut buf = vec![0; CHUNK];
        loop {
            let len = match input.read(&mut buf).await {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) => return Err(fail(Cause::Output(format!("standard input: {error}")))),
            };
            let mut rest = &buf[..len];
            while !rest.is_empty() {
                match poll_fn(|cx| flow.lock().poll_write(cx, rest)).await {
                    Ok(written) => rest = &rest[written..],
                    // a command need not read all of its input; what else went wrong its output says
                    Err(_) => return future::pending().await,
                }
            }
            trace.sent(len);
        }
        let _ = poll_fn(|cx| flow.lock().poll_shutdown(cx, Shutdown::Write)).await;
        future::pending().await
    };
    let receive = async {
        trace.expect(net.now(), Payload::default());
        let mut buf = vec![0; CHUNK];
        loop {
            let received = poll_fn(|cx| flow.lock().poll_receive(cx, &mut buf));
            let received = match within_some(&**net, idle, received).await {
                Some(received) => received.map_err(|error| fail(Cause::of(&error)))?,
                None => {
                    let after = idle.unwrap_or_default();
                    return Err(fail(Cause::Limit { limit: "idle-timeout", after }));
                }
            };
            match received {
                Received::Data(Stream::Stdout, len) => {
                    trace.received(net.now(), len);
                    sink::write(output, &buf[..len]).await?;
                }
                Received::Data(Stream::Stderr, len) => {
                    errors.write_all(&buf[..len]).map_err(unprinted)?;
                }
                Received::Closed(exit) => {
                    sink::flush(output).await?;
                    return outcome(exit).map_err(fail);
                }
            }
        }
    };
    let done = future::or(receive, send).await;
    // a goodbye, as far as it can still be said
    let _ = poll_fn(|cx| flow.lock().poll_close(cx)).await;
    done
}

/// What our end is to be.
fn outcome(exit: Option<Exit>) -> Result<(), Cause> {
    match exit {
        Some(Exit::Status(0)) => Ok(()),
        Some(Exit::Status(status)) => match u8::try_from(status) {
            Ok(status) => Err(Cause::RemoteStatus(status)),
            Err(_) => Err(Cause::RemoteEnd {
                code: UNKNOWN,
                text: format!("the command ended with exit status {status}"),
            }),
        },
        Some(Exit::Signal { ref name, .. }) => {
            let number = SIGNALS.iter().find(|(known, _)| known == name);
            let code = number.map_or(UNKNOWN, |(_, number)| 128 + number);
            let how = exit.map(|exit| exit.to_string()).unwrap_or_default();
            Err(Cause::RemoteEnd { code, text: format!("the command ended by {how}") })
        }
        None => Err(Cause::RemoteEnd {
            code: UNKNOWN,
            text: "the command ended, the server does not say how".into(),
        }),
    }
}

/// The exit code where there is no better one.
const UNKNOWN: u8 = 255;

/// The signals of RFC 4254 §6.10 by their numbers on Linux.
const SIGNALS: [(&str, u8); 13] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("ABRT", 6),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_exit_codes() {
        let signal = |name: &str| Exit::Signal {
            name: name.into(),
            core_dumped: false,
            message: String::new(),
        };
        for (exit, code) in [
            (Some(Exit::Status(0)), 0),
            (Some(Exit::Status(3)), 3),
            (Some(Exit::Status(255)), 255),
            (Some(Exit::Status(256)), 255),
            (Some(signal("TERM")), 143),
            (Some(signal("KILL")), 137),
            (Some(signal("SAK@example")), 255),
            (None, 255),
        ] {
            let error = outcome(exit.clone()).err();
            let got =
                error.map(|cause| Error { stage: Stage::Exchange, target: String::new(), cause });
            assert_eq!(got.map_or(0, |error| error.exit().code()), code, "{exit:?}");
        }
    }
}
