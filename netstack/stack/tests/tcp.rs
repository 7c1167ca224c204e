//! TCP over the simulated wire.
#![allow(clippy::unwrap_used)] // tests

mod hosts;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use hosts::{echo, pair, pattern, remote};
use stack::sim::{Link, Network};
use stack::{Error, Net, Unreachable};

/// Sends `len` octets to an echo server and compares what comes back. Returns virtual seconds.
fn echo_over(seed: u64, link: Link, buffer: usize, len: usize) -> f64 {
    let case = format!("seed {seed}, {link:?}, buffers {buffer}, {len} octets");
    let mut network = Network::new(seed);
    let mut config = network.config("10.0.0.1/24");
    config.tcp.receive_buffer = buffer;
    config.tcp.send_buffer = buffer;
    let server = network.host_with(config, link.clone()).unwrap();
    let mut config = network.config("10.0.0.2/24");
    config.tcp.receive_buffer = buffer;
    config.tcp.send_buffer = buffer;
    let client = network.host_with(config, link).unwrap();
    network.serve(&server, 7, echo);

    let data = pattern(len, seed);
    let sent = data.clone();
    let answer = network.run(async {
        // Three lost ARP exchanges in a row make the peer unreachable.
        let stream = loop {
            match client.net.tcp_connect(remote(7)).await {
                Err(Error::Unreachable(Unreachable::NoNeighbor(_))) => {}
                result => break result?,
            }
        };
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let mut answer = Vec::new();
        let write = async {
            writer.write_all(&sent).await?;
            writer.close().await
        };
        let read = async { reader.read_to_end(&mut answer).await };
        futures_lite::future::try_zip(write, read).await?;
        Ok::<_, std::io::Error>(answer)
    });
    let answer = answer.unwrap().unwrap_or_else(|error| panic!("{error}: {case}"));
    assert!(answer == data, "{} of {} octets, or others", answer.len(), data.len());
    network.run_for(Duration::from_secs(200)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0), "nothing stays behind");
    network.now().as_micros() as f64 / 1e6
}

#[test]
fn data_is_exact_whatever_the_wire_does() {
    let ms = Duration::from_millis;
    for loss in [0.0, 0.01, 0.1] {
        for latency in [0, 5, 50] {
            for buffer in [4096, 65536, 262_144] {
                let seed = (loss * 100.0) as u64 + latency * 7 + buffer as u64;
                echo_over(seed, Link::new(ms(latency), loss), buffer, 100_000);
            }
        }
    }
}

#[test]
fn reordering_duplication_and_corruption() {
    let link = Link::new(Duration::from_millis(5), 0.02);
    for seed in 0..10 {
        echo_over(seed, link.clone().jitter(Duration::from_millis(20)), 65536, 200_000);
        echo_over(seed, link.clone().duplicate(0.1), 65536, 200_000);
        echo_over(seed, link.clone().corrupt(0.02), 65536, 200_000);
    }
}

#[test]
fn a_mebibyte_over_a_bad_wire() {
    let link = Link::new(Duration::from_millis(10), 0.03)
        .jitter(Duration::from_millis(10))
        .duplicate(0.02)
        .corrupt(0.01);
    echo_over(99, link, 262_144, 1 << 20);
}

#[test]
fn segmentation_offload() {
    echo_over(1, Link::default().offload(), 262_144, 1 << 20);
    echo_over(2, Link::new(Duration::from_millis(2), 0.02).offload(), 262_144, 1 << 20);
}

#[test]
fn a_narrow_link_with_a_short_queue() {
    echo_over(5, Link::default().bandwidth(1_000_000, 20_000), 262_144, 300_000);
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let run = |seed| {
        let (mut network, server, client) = pair(seed, Link::new(Duration::from_millis(3), 0.05));
        network.start_capture();
        network.serve(&server, 7, echo);
        network
            .run(async {
                let mut stream = client.net.tcp_connect(remote(7)).await.unwrap();
                stream.write_all(&[7; 20_000]).await.unwrap();
                stream.close().await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
            })
            .unwrap();
        network.capture()
    };
    assert!(run(3) == run(3));
    assert!(run(3) != run(4));
}

#[test]
fn half_close_both_ways() {
    let (mut network, server, client) = pair(1, Link::default());
    // Answers only after the client's FIN.
    network.serve(&server, 1, |mut stream| async move {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        request.reverse();
        stream.write_all(&request).await.unwrap();
    });
    // Sends and closes at once, then reads.
    let received = Arc::new(Mutex::new(Vec::new()));
    let place = received.clone();
    network.serve(&server, 2, move |mut stream| {
        let place = place.clone();
        async move {
            stream.write_all(b"first").await.unwrap();
            stream.close().await.unwrap();
            assert_eq!(Error::from_io(stream.write_all(b"late").await.unwrap_err()), Error::Closed);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            *place.lock().unwrap() = rest;
        }
    });
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.write_all(b"abc").await.unwrap();
            stream.close().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "cba");

            let mut stream = client.net.tcp_connect(remote(2)).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "first");
            client.net.sleep(Duration::from_secs(100)).await;
            stream.write_all(b"after their FIN").await.unwrap();
            stream.close().await.unwrap();
            client.net.sleep(Duration::from_secs(1)).await;
        })
        .unwrap();
    assert_eq!(*received.lock().unwrap(), b"after their FIN");
}

#[test]
fn octets_read_late_survive_time_wait() {
    // smoltcp forgets unread octets when TIME-WAIT ends, ten seconds after both have closed.
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 1, |mut stream| async move {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        stream.write_all(&pattern(50_000, 1)).await.unwrap();
    });
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            stream.close().await.unwrap();
            client.net.sleep(Duration::from_secs(60)).await;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer == pattern(50_000, 1));
            assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0, "end of file stays");
        })
        .unwrap();
}

#[test]
fn backpressure_holds_the_sender() {
    let (mut network, server, client) = pair(1, Link::default());
    network.serve(&server, 1, |mut stream| async move {
        // Reads nothing for a minute, then everything.
        std::future::pending::<()>().await;
        let _ = stream.read(&mut [0; 1]).await;
    });
    let accepted = network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(1)).await.unwrap();
            let mut accepted = 0;
            loop {
                let write = async { stream.write(&[0; 10_000]).await.unwrap() };
                let pause = async {
                    client.net.sleep(Duration::from_secs(30)).await;
                    0
                };
                match futures_lite::future::or(write, pause).await {
                    0 => break accepted,
                    n => accepted += n,
                }
            }
        })
        .unwrap();
    // The receiver's buffer and the sender's; a scaled window may fall short by its unit.
    let room = 256 * 1024 + 128 * 1024;
    assert!((room - 16..=room).contains(&accepted), "{accepted}");
}

#[test]
fn an_idle_connection_lives() {
    // smoltcp's time limit would end it: it counts from the last segment, due or not.
    let (mut network, server, client) = pair(1, Link::default());
    network.set_limit(Duration::from_secs(100_000));
    network.serve(&server, 7, echo);
    network
        .run(async {
            let mut stream = client.net.tcp_connect(remote(7)).await.unwrap();
            for _ in 0..3 {
                let mut answer = [0; 4];
                stream.write_all(b"ping").await.unwrap();
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"ping");
                client.net.sleep(Duration::from_secs(10_000)).await;
            }
        })
        .unwrap();
}

#[test]
fn many_connections_at_once() {
    let (mut network, server, client) = pair(8, Link::new(Duration::from_millis(5), 0.02));
    network.serve(&server, 7, echo);
    let executor = async_executor::LocalExecutor::new();
    let tasks: Vec<_> = (0..40u64)
        .map(|i| {
            let net = client.net.clone();
            executor.spawn(async move {
                net.sleep(Duration::from_millis(i * 20)).await;
                let mut stream = net.tcp_connect(remote(7)).await.unwrap();
                let data = pattern(5000, i);
                stream.write_all(&data).await.unwrap();
                stream.close().await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                assert!(answer == data);
            })
        })
        .collect();
    network
        .run(executor.run(async {
            for task in tasks {
                task.await;
            }
        }))
        .unwrap();
    network.run_for(Duration::from_secs(200)).unwrap();
    assert_eq!((client.net.sockets(), server.net.sockets()), (0, 0));
}
