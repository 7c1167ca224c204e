//! One question to one server in datagrams: a port and an identifier of its own, repetition, and patience with forgers.

use super::fault::Fault;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use futures_lite::future;
use proto::dns::{Answer, Error, Mismatch, Query};
use stack::{Instant, IpVersion, Net};
use std::net::SocketAddr;

/// How long to wait before the question is sent again; twice as long each further time.
pub const FIRST_REPEAT: Duration = Duration::from_secs(1);
/// How often it is sent at most.
pub const MAX_SENDS: u32 = 4;
/// After so many datagrams that do not answer it, the question is given up here: somebody guesses at its answer, and TCP
/// is not to be guessed at.
pub const MAX_STRANGE: u32 = 32;

/// The largest answer that is read. We ask for less, but servers older than EDNS know only their own limits.
const LARGEST_ANSWER: usize = 4096;

/// Asks until there is an answer; it ends by being dropped where there is none. `strange` counts what was passed over.
pub async fn ask(
    net: &dyn Net,
    server: SocketAddr,
    query: &Query,
    strange: &AtomicU32,
) -> Result<Answer, Fault> {
    let socket = net.udp_bind(None, IpVersion::of(server.ip())).await.map_err(Fault::Net)?;
    let question = query.octets();
    let mut buf = vec![0; LARGEST_ANSWER];
    let mut passed_over = 0;
    let mut sent = 0;
    let mut next = net.now();
    loop {
        if net.now() >= next {
            socket.send_to(&question, server).await.map_err(Fault::Net)?;
            sent += 1;
            next = match sent {
                MAX_SENDS => Instant::FAR,
                _ => net.now() + FIRST_REPEAT * (1 << (sent - 1)),
            };
        }
        let received = async { Some(socket.recv_from(&mut buf).await) };
        let time = async {
            net.sleep(next - net.now()).await;
            None
        };
        let Some(received) = future::or(received, time).await else { continue };
        let (len, from) = received.map_err(Fault::Net)?;
        if from == server {
            match query.read(&buf[..len]) {
                // its forgers must begin anew with the next port and identifier
                Err(error @ Error::Foreign(Mismatch::Spelling)) => {
                    return Err(Fault::Answer(error));
                }
                Err(Error::Foreign(_)) => {}
                answer => return answer.map_err(Fault::Answer),
            }
        }
        strange.fetch_add(1, Ordering::Relaxed);
        passed_over += 1;
        if passed_over >= MAX_STRANGE {
            return Err(Fault::Forged);
        }
    }
}
