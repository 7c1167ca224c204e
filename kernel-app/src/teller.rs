//! Tells how far the payload is, to whoever shows it: lines of the crate `progress`.

use client::deadline::within;
use client::sink::Output;
use client::trace::Trace;
use core::convert::Infallible;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_io::AsyncWrite as _;
use futures_lite::AsyncWriteExt as _;
use progress::{Event, INTERVAL, Pace};
use spin::Mutex;
use stack::{Instant, Net};
use std::sync::Arc;

/// How long the last event may wait for who takes it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Hands events out while the payload flows. None of them is waited for but the last one.
pub struct Teller(Arc<Mutex<Telling>>);

struct Telling {
    pace: Pace,
    /// Where the lines go; none where nobody looks, and after the end.
    output: Option<Output>,
    /// Who tells what could not be told at once.
    keeper: Option<Waker>,
}

impl Teller {
    /// Tells `output`, if there is one.
    pub fn new(output: Option<Output>) -> Self {
        Self(Arc::new(Mutex::new(Telling { pace: Pace::default(), output, keeper: None })))
    }

    /// Tells of every payload that `trace` sees.
    pub fn watch(&self, trace: &Trace) {
        if self.0.lock().output.is_none() {
            return;
        }
        let telling = self.0.clone();
        trace.watch(Box::new(move |now, payload| {
            let mut telling = telling.lock();
            let now = now - Instant::ZERO;
            let event = telling.pace.handle_octets(now, payload.octets, payload.total);
            telling.tell(event);
            if telling.pace.is_behind() {
                telling.keeper.take().into_iter().for_each(Waker::wake);
            }
        }));
    }

    /// Tells what came last before a pause, as long as it is polled.
    pub async fn keep(&self, net: &dyn Net) -> Infallible {
        loop {
            poll_fn(|cx| {
                let mut telling = self.0.lock();
                telling.keeper = Some(cx.waker().clone());
                if telling.pace.is_behind() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            net.sleep(INTERVAL).await;
            let mut telling = self.0.lock();
            let event = telling.pace.handle_time(net.now() - Instant::ZERO);
            telling.tell(event);
        }
    }

    /// Tells that nothing more comes; later calls do nothing.
    pub async fn end(&self, net: &dyn Net) {
        let (event, output) = {
            let mut telling = self.0.lock();
            (telling.pace.end(), telling.output.take())
        };
        let (Some(event), Some(mut output)) = (event, output) else { return };
        let told = async {
            output.write_all(&line(event)).await?;
            output.flush().await
        };
        match within(net, PATIENCE, told).await {
            Some(Ok(())) => {}
            Some(Err(error)) => log::debug!("nobody shows the progress: {error}"),
            None => log::debug!("nobody shows the progress within {PATIENCE:?}"),
        }
    }
}

impl Telling {
    fn tell(&mut self, event: Option<Event>) {
        if let (Some(event), Some(output)) = (event, &mut self.output) {
            let mut context = Context::from_waker(Waker::noop());
            // what finds no room, or nobody there, is left out
            let _ = Pin::new(output).poll_write(&mut context, &line(event));
        }
    }
}

fn line(event: Event) -> Vec<u8> {
    format!("{event}\n").into_bytes()
}
