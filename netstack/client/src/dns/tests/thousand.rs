//! A thousand names at once over one connection, whatever it is.

use super::world::*;
use crate::dns::Resolver;
use crate::dns::pipeline::MAX_OUTSTANDING;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use futures_lite::{AsyncRead, AsyncWrite, FutureExt as _};
use proto::dns::{Data, Kind};
use simple_dns::Packet;
use spin::Mutex;
use stack::Net;
use std::sync::Arc;

/// A server that waits until nothing more is asked, and then answers the last question first.
#[derive(Clone)]
pub struct Patient {
    net: Arc<dyn Net>,
    seen: Arc<Mutex<Seen>>,
}

/// What it saw.
#[derive(Default)]
struct Seen {
    connections: usize,
    questions: usize,
    most: usize,
}

impl Patient {
    /// On the first host of the world.
    pub fn new(world: &World) -> Self {
        Self { net: Arc::new(world.hosts[0].net.clone()), seen: Arc::default() }
    }

    /// Serves one connection.
    pub async fn answer(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        self.seen.lock().connections += 1;
        while let Some(batch) = self.batch(&mut stream).await {
            {
                let mut seen = self.seen.lock();
                seen.questions += batch.len();
                seen.most = seen.most.max(batch.len());
            }
            for message in batch.iter().rev() {
                let reply = zone(&Packet::parse(message).unwrap(), 0).remove(0);
                if write(&mut stream, &reply).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn batch(&self, stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<Vec<u8>>> {
        let mut batch = vec![read(stream).await.ok()??];
        loop {
            let more = async { Some(read(stream).await) };
            let pause = async {
                self.net.sleep(Duration::from_millis(5)).await;
                None
            };
            match more.or(pause).await {
                Some(message) => batch.push(message.ok()??),
                None => return Some(batch),
            }
        }
    }

    /// All names at once, over one connection of few questions at a time.
    pub fn is_asked_a_thousand(&self, world: &mut World, resolver: &Resolver) {
        let names: Vec<String> = (0..1000).map(|index| format!("n{index}.test")).collect();
        let mut asking: Vec<_> = names
            .iter()
            .map(|name| Some(Box::pin(resolver.query(&world.client, name, Kind::A, &world.trace))))
            .collect();
        let mut answers = vec![None; names.len()];
        let all = poll_fn(|cx| {
            for (asking, answer) in asking.iter_mut().zip(&mut answers) {
                if let Some(future) = asking
                    && let Poll::Ready(done) = future.as_mut().poll(cx)
                {
                    *answer = Some(done.unwrap());
                    *asking = None;
                }
            }
            if asking.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        });
        world.network.run(all).unwrap();
        for (index, answer) in answers.into_iter().enumerate() {
            let address = ip(&format!("10.1.{}.{}", index / 256, index % 256));
            assert_eq!(answer, Some(Data::Addresses(vec![address])));
        }
        let seen = self.seen.lock();
        assert_eq!((seen.connections, seen.questions), (1, 1000));
        assert!((2..=MAX_OUTSTANDING).contains(&seen.most), "{}", seen.most);
        assert!(seen.most < 64, "{}", seen.most);
    }
}
