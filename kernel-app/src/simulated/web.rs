//! The HTTP client as somebody's own program uses it, over the simulated wire: connections are counted, and time is
//! the wire's.

use super::peers::World;
use super::{Left, Silent, boot_as};
use crate::{Application, Call, Config, HttpConnector};
use client::http::{Client, offer};
use client::{Error, sink};
use core::time::Duration;
use futures_lite::StreamExt as _;
use futures_lite::stream;
use proto::target::Target;

/// Asks `count` times for the target, `at_once` at a time; prints how often the answer was `hello`.
struct Many {
    count: usize,
    at_once: bool,
}

impl Application for Many {
    fn protocols(&self, config: &Config, _: &Target) -> Vec<String> {
        offer(config.http.version).iter().map(ToString::to_string).collect()
    }

    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        let connector = HttpConnector::new(call.connector, call.flows);
        let client = Client::new(call.net, &connector, call.trace)
            .with_version(call.config.http.version)
            .with_flow(call.target, connector.connected(call.flow));
        let one = async || {
            let mut response = client.get(call.target).await?;
            response.body.collect(100).await
        };
        let mut right = 0;
        if self.at_once {
            let mut all = core::pin::pin!(together((0..self.count).map(|_| one()).collect()));
            while let Some(answer) = all.next().await {
                right += usize::from(answer? == b"hello\n");
            }
        } else {
            for _ in 0..self.count {
                right += usize::from(one().await? == b"hello\n");
            }
        }
        client.close().await;
        sink::write(call.stdout, right.to_string().as_bytes()).await
    }
}

/// All of `futures` at once, their outputs as they come.
fn together<F: Future>(futures: Vec<F>) -> impl stream::Stream<Item = F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    stream::poll_fn(move |cx| {
        if futures.is_empty() {
            return core::task::Poll::Ready(None);
        }
        for index in 0..futures.len() {
            if let core::task::Poll::Ready(output) = futures[index].as_mut().poll(cx) {
                drop(futures.swap_remove(index));
                return core::task::Poll::Ready(Some(output));
            }
        }
        core::task::Poll::Pending
    })
}

fn many(line: &str, count: usize, at_once: bool) -> (Left, usize) {
    let mut world = World::new();
    let line = world.fill(line);
    let words = proto_words(&line);
    let left = boot_as(&Many { count, at_once }, &mut world, words, Vec::new(), Box::new(Silent));
    (left.unwrap(), world.connections())
}

fn proto_words(line: &str) -> Vec<String> {
    line.split(' ').map(String::from).collect()
}

#[test]
fn a_hundred_requests_cost_one_handshake() {
    for line in [
        "http://{web}/hello",
        "http://{web}/chunked",
        "https://{web-tls}/hello --tls-authenticator={trust}",
        "https://{h2-hello-tls}/ --tls-authenticator={trust}",
        "http://{h2-hello}/ --http=2",
    ] {
        let (left, connections) = many(line, 100, false);
        assert_eq!(
            (left.stdout.as_slice(), connections),
            (&b"100"[..], 1),
            "{line}: {}",
            left.stderr
        );
    }
}

#[test]
fn fifty_streams_share_one_connection() {
    // that one answers nobody before it has fifty requests
    for line in
        ["https://{h2-barrier-tls}/ --tls-authenticator={trust}", "http://{h2-barrier}/ --http=2"]
    {
        let (left, connections) = many(line, 50, true);
        assert_eq!(
            (left.stdout.as_slice(), connections),
            (&b"50"[..], 1),
            "{line}: {}",
            left.stderr
        );
    }
}

#[test]
fn one_origin_gets_six_connections_of_one_at_a_time() {
    let (left, connections) = many("http://{web}/hello", 50, true);
    assert_eq!((left.stdout.as_slice(), connections), (&b"50"[..], 6), "{}", left.stderr);
}

#[test]
fn a_connection_that_has_ended_is_opened_anew() {
    for line in ["http://{web}/last", "http://{web}/until-end"] {
        let (left, connections) = many(line, 5, false);
        assert_eq!(
            (left.stdout.as_slice(), connections),
            (&b"5"[..], 5),
            "{line}: {}",
            left.stderr
        );
    }
    let (left, connections) = many("http://{h2-goaway-late}/ --http=2", 5, false);
    assert_eq!((left.stdout.as_slice(), connections), (&b"5"[..], 5), "{}", left.stderr);
}

/// Asks for the target, reads a piece of its content, and then asks for something else again and again.
struct Busy {
    other: Target,
}

impl Application for Busy {
    async fn speak(&self, call: Call<'_>) -> Result<(), Error> {
        let connector = HttpConnector::new(call.connector, call.flows);
        let client = Client::new(call.net, &connector, call.trace)
            .with_version(call.config.http.version)
            .with_flow(call.target, connector.connected(call.flow));
        let mut unread = client.get(call.target).await?;
        unread.body.chunk().await?;
        for _ in 0..50 {
            call.net.sleep(Duration::from_millis(10)).await;
            let mut response = client.get(&self.other).await?;
            response.body.collect(100).await?;
        }
        sink::write(call.stdout, b"done").await
    }
}

#[test]
fn a_content_that_nobody_reads_stays_with_the_server() {
    // what is below may hold: buffers of the stack and of the machinery; or a window, too
    for (line, other, most) in [
        ("http://{web}/flood", "http://{web-other}/hello", 2 << 20),
        ("http://{h2-data-flood}/ --http=2", "http://{h2-hello}/", 6 << 20),
    ] {
        let mut world = World::new();
        let line = world.fill(line);
        let busy = Busy { other: world.fill(other).parse().unwrap() };
        let left =
            boot_as(&busy, &mut world, proto_words(&line), Vec::new(), Box::new(Silent)).unwrap();
        assert_eq!(left.stdout, b"done", "{}", left.stderr);
        let flooded = world.flooded();
        assert!((64 << 10..most).contains(&flooded), "{line}: {flooded} octets");
    }
}

/// What `line` ends with, and the milliseconds that it took.
fn timed(line: &str) -> (u8, String, u128) {
    let mut world = World::new();
    let words = proto_words(&world.fill(line));
    let left = super::boot(&mut world, words, Box::new(Silent)).unwrap();
    (left.exit, left.stderr, (world.network.now() - stack::Instant::ZERO).as_millis())
}

#[test]
fn each_stage_has_its_limit() {
    let mut wrong = String::new();
    for (line, limit, least, most) in [
        ("http://192.0.2.9/ --connect-timeout=3s", "--connect-timeout", 3_000, 3_600),
        ("https://{silent}/ --handshake-timeout=3s", "--handshake-timeout", 3_000, 3_600),
        (
            "http://{web}/hello --proxy=http://{proxy-mute} --handshake-timeout=3s",
            "--handshake-timeout",
            3_000,
            3_600,
        ),
        // the first octet
        ("http://{web}/mute --idle-timeout=3s", "--idle-timeout", 3_000, 3_600),
        ("http://{h2-mute}/ --http=2 --idle-timeout=3s", "--idle-timeout", 3_000, 3_600),
        // between two: those that come put it off
        ("http://{web}/stall --idle-timeout=3s", "--idle-timeout", 3_000, 3_600),
        ("http://{web}/drip-head --idle-timeout=3s --timeout=20s", "--timeout=", 20_000, 20_600),
        ("http://{web}/drip --idle-timeout=3s --timeout=20s", "--timeout=", 20_000, 20_600),
        // the content on its way out
        ("http://{web}/length -d @- -H Expect: --idle-timeout=3s", "--idle-timeout", 3_000, 3_600),
        ("http://{web}/hello --timeout=5s -d @-", "--timeout=", 5_000, 5_600),
    ] {
        let (exit, stderr, took) = timed(line);
        let named = stderr.contains(limit.trim_end_matches('='));
        if exit != 75 || !named || !(least..most).contains(&took) {
            wrong += &format!("{line}: exit code {exit} after {took} ms: {stderr}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_second_is_waited_for_a_100() {
    let (_, _, took) = timed("http://{web}/slow-to-agree -d @- --timeout=9s");
    // standard input never ends here
    assert_eq!(took / 1000, 9);
    let mut world = World::new();
    let line = world.fill("http://{web}/slow-to-agree -d @-");
    let input = Box::new(futures_lite::io::Cursor::new("words"));
    let left = super::boot(&mut world, proto_words(&line), input).unwrap();
    let took = (world.network.now() - stack::Instant::ZERO).as_millis();
    assert_eq!((left.exit, left.stdout.as_slice()), (0, &b"hello\n"[..]), "{}", left.stderr);
    assert!((1000..1600).contains(&took), "{took} ms");
}
