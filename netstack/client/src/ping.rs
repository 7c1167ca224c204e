//! Echo requests over a raw flow, and a line each, as `ping` prints them.

use crate::deadline::within;
use crate::error::{Cause, Error, Stage};
use crate::flow::raw;
use crate::sink::{self, Output};
use crate::trace::Trace;
use core::future::poll_fn;
use core::time::Duration;
use mimic::Flow as _;
use proto::icmp::{Echo, Version};
use stack::Net;
use std::net::IpAddr;
use std::sync::Arc;

/// Octets of data in a request, as `ping` sends them.
const DATA: usize = 56;
/// Between two requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many requests, and how long the answer to one is waited for.
pub struct Options {
    /// Requests, at least one.
    pub count: u16,
    /// For each answer.
    pub wait: Duration,
    /// Tells this run's requests from others'.
    pub identifier: u16,
}

/// Sends the requests, prints a line for each answer and the statistics. No answer at all is a failure.
pub async fn ping(
    net: &Arc<dyn Net>,
    mut flow: raw::Flow,
    options: &Options,
    output: &mut Output,
    trace: &Trace,
) -> Result<(), Error> {
    let peer = flow.peer();
    let fail = |cause| Error { stage: Stage::Exchange, target: peer.to_string(), cause };
    let version = match peer {
        IpAddr::V4(_) => Version::V4,
        IpAddr::V6(_) => Version::V6,
    };
    let identifier = flow.echo_identifier().unwrap_or(options.identifier);
    let data: Vec<u8> = (0..DATA as u8).collect();
    sink::write(output, format!("PING {peer}: {DATA} data octets\n").as_bytes()).await?;
    let mut times: Vec<Duration> = Vec::new();
    for sequence in 1..=options.count {
        let start = net.now();
        let request = Echo { identifier, sequence, data: &data }.emit(version);
        poll_fn(|cx| flow.poll_write(cx, &request))
            .await
            .map_err(|error| fail(Cause::of(&error)))?;
        trace.sent(request.len());
        let answer = async {
            let mut buf = vec![0; 65_535];
            loop {
                let received = poll_fn(|cx| flow.poll_recv(cx, &mut buf)).await?;
                let reply = Echo::parse_reply(&buf[..received.len], version);
                if reply.is_some_and(|echo| {
                    echo.identifier == identifier && echo.sequence == sequence && echo.data == data
                }) {
                    return Ok::<_, mimic::flow::Error>(received);
                }
            }
        };
        let line = match within(&**net, options.wait, answer).await {
            Some(received) => {
                let received = received.map_err(|error| fail(Cause::of(&error)))?;
                let time = net.now() - start;
                trace.received(net.now(), received.len);
                times.push(time);
                let hops =
                    received.hop_limit.map(|hops| format!(" ttl={hops}")).unwrap_or_default();
                format!(
                    "{} octets from {peer}: icmp_seq={sequence}{hops} time={:.3} ms\n",
                    received.len,
                    milliseconds(time)
                )
            }
            None => format!("no answer from {peer}: icmp_seq={sequence}\n"),
        };
        sink::write(output, line.as_bytes()).await?;
        sink::flush(output).await?;
        if sequence < options.count {
            net.sleep(INTERVAL.saturating_sub(net.now() - start)).await;
        }
    }
    sink::write(output, statistics(options.count, &times).as_bytes()).await?;
    sink::flush(output).await?;
    match times.is_empty() {
        false => Ok(()),
        true => Err(fail(Cause::Limit { limit: "wait", after: options.wait })),
    }
}

fn statistics(sent: u16, times: &[Duration]) -> String {
    let lost = (usize::from(sent) - times.len()) * 100 / usize::from(sent);
    let mut text = format!("{sent} sent, {} answered, {lost}% lost\n", times.len());
    if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max()) {
        let mean = times.iter().sum::<Duration>() / times.len() as u32;
        text += &format!(
            "round trip min/avg/max = {:.3}/{:.3}/{:.3} ms\n",
            milliseconds(*least),
            milliseconds(mean),
            milliseconds(*most)
        );
    }
    text
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_read_as_pings() {
        let times = [Duration::from_micros(500), Duration::from_micros(1500)];
        assert_eq!(
            statistics(4, &times),
            "4 sent, 2 answered, 50% lost\nround trip min/avg/max = 0.500/1.000/1.500 ms\n"
        );
        assert_eq!(statistics(1, &[]), "1 sent, 0 answered, 100% lost\n");
    }
}
