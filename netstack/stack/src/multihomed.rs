//! Several networks as one [`Net`]: each destination goes by way of the one that leads to it.
//!
//! ```text
//!   destination ─► on a link of ours? the longest prefix ─► a default router? the first network ─►
//!                  an address of that family? the first network ─► the first network
//! ```
//!
//! Name servers and the other lists of a [`Configuration`] are those of the first network, then
//! those of the others. A UDP or raw IP socket is one on each network that had an address when it
//! was opened. **Not** implemented: routes other than these, moving a connection to another network.

use core::future::{Future as _, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;

use crate::{
    BoxFuture, Cidr, Configuration, Datagram, Error, Instant, IpVersion, Net, RawIp, Received,
    TcpStream,
};

/// Networks in order of preference, at least one, on one clock.
pub struct Multihomed {
    nets: Vec<Arc<dyn Net>>,
}

impl Multihomed {
    /// `first` is preferred where no other is nearer.
    pub fn new(first: Arc<dyn Net>, others: impl IntoIterator<Item = Arc<dyn Net>>) -> Self {
        Self { nets: core::iter::once(first).chain(others).collect() }
    }

    /// The network that leads to `destination`.
    fn toward(&self, destination: IpAddr) -> &Arc<dyn Net> {
        &self.nets[toward(&self.nets, destination)]
    }
}

/// The index of the one of `nets` that leads to `destination` now.
fn toward(nets: &[Arc<dyn Net>], destination: IpAddr) -> usize {
    let configurations: Vec<_> = nets.iter().map(|net| net.configuration()).collect();
    choose(&configurations, destination)
}

/// The index of the network that leads to `destination`.
fn choose(networks: &[Configuration], destination: IpAddr) -> usize {
    let family = IpVersion::of(destination);
    let near = |network: &Configuration| {
        let prefixes = network.addresses.iter().filter(|cidr| contains(**cidr, destination));
        prefixes.map(|cidr| cidr.prefix_len()).max()
    };
    let nearest = networks.iter().filter_map(near).max();
    let routes = |network: &Configuration| {
        network.has(family) && network.gateways.iter().any(|it| IpVersion::of(*it) == family)
    };
    let place = |fits: &dyn Fn(&Configuration) -> bool| networks.iter().position(fits);
    nearest
        .and_then(|len| place(&|network| near(network) == Some(len)))
        .or_else(|| place(&routes))
        .or_else(|| place(&|network| network.has(family)))
        .unwrap_or(0)
}

/// Whether `address` is in the network of `cidr`.
fn contains(cidr: Cidr, address: IpAddr) -> bool {
    let len = u32::from(cidr.prefix_len());
    match (cidr.addr(), address) {
        (IpAddr::V4(own), IpAddr::V4(address)) => {
            (own.to_bits() ^ address.to_bits()).leading_zeros() >= len
        }
        (IpAddr::V6(own), IpAddr::V6(address)) => {
            (own.to_bits() ^ address.to_bits()).leading_zeros() >= len
        }
        _ => false,
    }
}

/// All that the networks say, the first one's first; MTU and Ethernet address are the first one's.
fn merged(networks: impl IntoIterator<Item = Configuration>) -> Configuration {
    let mut networks = networks.into_iter();
    let mut all = networks.next().unwrap_or_default();
    for network in networks {
        join(&mut all.addresses, network.addresses);
        join(&mut all.duplicates, network.duplicates);
        join(&mut all.gateways, network.gateways);
        join(&mut all.dns_servers, network.dns_servers);
        join(&mut all.search_domains, network.search_domains);
        join(&mut all.pending, network.pending);
        all.domain = all.domain.or(network.domain);
        all.dhcp_server = all.dhcp_server.or(network.dhcp_server);
    }
    all
}

fn join<T: PartialEq>(all: &mut Vec<T>, more: Vec<T>) {
    for thing in more {
        if !all.contains(&thing) {
            all.push(thing);
        }
    }
}

impl Net for Multihomed {
    fn now(&self) -> Instant {
        self.nets[0].now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.nets[0].sleep(duration)
    }

    fn configuration(&self) -> Configuration {
        merged(self.nets.iter().map(|net| net.configuration()))
    }

    /// Completes with the first network, or with another one when the first has nothing to wait for:
    /// else what is meant for the first would leave by the other. Then with IPv4 everywhere, as far as it may come.
    fn ready(&self) -> BoxFuture<'static, Result<Configuration, Error>> {
        let nets = self.nets.clone();
        Box::pin(async move {
            let mut first = Some(nets[0].ready());
            let mut others = pin!(any_ready(&nets[1..]));
            let mut over = pin!(configured(&*nets[0]));
            let (mut failure, mut other, mut is_over) = (None, None, false);
            poll_fn(|cx| {
                match first.as_mut().map(|ready| ready.as_mut().poll(cx)) {
                    Some(Poll::Ready(Ok(_))) => return Poll::Ready(Ok(())),
                    Some(Poll::Ready(Err(error))) => (first, failure) = (None, Some(error)),
                    _ => {}
                }
                if other.is_none()
                    && let Poll::Ready(is_ready) = others.as_mut().poll(cx)
                {
                    other = Some(is_ready);
                }
                is_over = is_over || failure.is_some() || over.as_mut().poll(cx).is_ready();
                match (other, failure.take_if(|_| other == Some(false))) {
                    (_, Some(error)) => Poll::Ready(Err(error)),
                    (Some(true), _) if is_over => Poll::Ready(Ok(())),
                    _ => Poll::Pending,
                }
            })
            .await?;
            // what is on a network's own link is known by its address: until then it would leave by another
            for net in &nets {
                addressed(&**net).await;
            }
            Ok(merged(nets.iter().map(|net| net.configuration())))
        })
    }

    fn changed(&self, known: Configuration) -> BoxFuture<'static, Configuration> {
        let nets = self.nets.clone();
        Box::pin(async move {
            loop {
                let parts: Vec<_> = nets.iter().map(|net| net.configuration()).collect();
                let mut waits: Vec<_> =
                    nets.iter().zip(parts.clone()).map(|(net, part)| net.changed(part)).collect();
                let all = merged(parts);
                if all != known {
                    return all;
                }
                poll_fn(|cx| {
                    match waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready()) {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
            }
        })
    }

    fn tcp_connect(
        &self,
        remote: SocketAddr,
    ) -> BoxFuture<'static, Result<Box<dyn TcpStream>, Error>> {
        self.toward(remote.ip()).tcp_connect(remote)
    }

    fn udp_bind(
        &self,
        local_port: Option<u16>,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn Datagram>, Error>> {
        let nets = self.nets.clone();
        Box::pin(async move {
            let sockets = open(&nets, |net| net.udp_bind(local_port, family)).await?;
            Ok(Box::new(Several { nets, sockets }) as Box<dyn Datagram>)
        })
    }

    fn raw_open(
        &self,
        protocol: u8,
        family: IpVersion,
    ) -> BoxFuture<'static, Result<Box<dyn RawIp>, Error>> {
        let nets = self.nets.clone();
        Box::pin(async move {
            let sockets = open(&nets, |net| net.raw_open(protocol, family)).await?;
            Ok(Box::new(Several { nets, sockets }) as Box<dyn RawIp>)
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        let nets = self.nets.clone();
        Box::pin(async move {
            for net in nets {
                net.settle().await;
            }
        })
    }
}

/// Whether one becomes ready; `false` when none can.
async fn any_ready(nets: &[Arc<dyn Net>]) -> bool {
    let mut waits: Vec<_> = nets.iter().map(|net| net.ready()).collect();
    poll_fn(|cx| {
        let mut is_ready = false;
        waits.retain_mut(|wait| match wait.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                is_ready |= outcome.is_ok();
                false
            }
            Poll::Pending => true,
        });
        if is_ready || waits.is_empty() { Poll::Ready(is_ready) } else { Poll::Pending }
    })
    .await
}

/// Completes when nothing of `net` is pending.
async fn configured(net: &dyn Net) {
    let mut configuration = net.configuration();
    while !configuration.pending.is_empty() {
        configuration = net.changed(configuration).await;
    }
}

/// Completes when `net` has an address of IPv4, or will have none.
async fn addressed(net: &dyn Net) {
    let mut configuration = net.configuration();
    while !configuration.has(IpVersion::V4) && configuration.pending.contains(&IpVersion::V4) {
        configuration = net.changed(configuration).await;
    }
}

/// A socket on each network that can have one, at least on one.
async fn open<T: ?Sized>(
    nets: &[Arc<dyn Net>],
    open: impl Fn(&dyn Net) -> BoxFuture<'static, Result<Box<T>, Error>>,
) -> Result<Vec<Result<Box<T>, Error>>, Error> {
    let mut sockets = Vec::new();
    for net in nets {
        sockets.push(open(&**net).await);
    }
    match sockets.iter().position(Result::is_ok) {
        Some(_) => Ok(sockets),
        None => Err(sockets.swap_remove(0).err().expect("there is a network, and it failed")),
    }
}

/// Sockets of one kind, a network each, or why there is none.
struct Several<T: ?Sized> {
    nets: Vec<Arc<dyn Net>>,
    sockets: Vec<Result<Box<T>, Error>>,
}

impl<T: ?Sized> Several<T> {
    fn toward(&self, destination: IpAddr) -> Result<&T, Error> {
        let socket = &self.sockets[toward(&self.nets, destination)];
        socket.as_deref().map_err(Clone::clone)
    }

    fn open(&self) -> impl Iterator<Item = &T> {
        self.sockets.iter().filter_map(|socket| socket.as_deref().ok())
    }
}

/// The first that is ready.
fn first<T>(polls: impl Iterator<Item = Poll<T>>) -> Poll<T> {
    let mut polls = polls;
    polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
}

impl Datagram for Several<dyn Datagram> {
    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        remote: SocketAddr,
    ) -> Poll<Result<(), Error>> {
        match self.toward(remote.ip()) {
            Ok(socket) => socket.poll_send_to(cx, payload, remote),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr), Error>> {
        first(self.open().map(|socket| socket.poll_recv_from(cx, buf)))
    }

    fn local_addr(&self) -> SocketAddr {
        self.open().next().expect("one is open").local_addr()
    }
}

impl RawIp for Several<dyn RawIp> {
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        dst: IpAddr,
    ) -> Poll<Result<(), Error>> {
        match self.toward(dst) {
            Ok(socket) => socket.poll_send(cx, payload, dst),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<Received, Error>> {
        first(self.open().map(|socket| socket.poll_recv(cx, buf)))
    }

    fn echo_identifier(&self) -> Option<u16> {
        self.open().find_map(RawIp::echo_identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(addresses: &[&str], gateways: &[&str]) -> Configuration {
        let cidr = |text: &&str| {
            let (addr, len) = text.split_once('/').expect("a prefix");
            let (addr, len) = (addr.parse().expect("an address"), len.parse().expect("a length"));
            Cidr::new(addr, len).expect("a prefix of its family")
        };
        Configuration {
            addresses: addresses.iter().map(cidr).collect(),
            gateways: gateways.iter().map(|text| text.parse().expect("an address")).collect(),
            ..Configuration::default()
        }
    }

    #[test]
    fn each_destination_has_its_network() {
        let networks = [
            network(&["10.0.0.5/8", "fe80::5/64"], &["10.0.0.1"]),
            network(&["10.9.0.5/24", "2001:db8::5/64", "fe80::6/64"], &["10.9.0.1", "fe80::1"]),
            network(&["192.168.1.5/24"], &[]),
        ];
        for (destination, expected) in [
            ("10.1.2.3", 0),
            ("10.9.0.9", 1),
            ("10.9.1.9", 0),
            ("192.168.1.1", 2),
            ("192.0.2.1", 0),
            ("2001:db8::9", 1),
            ("2001:db8:1::9", 1),
            ("fe80::9", 0),
        ] {
            let destination = destination.parse().expect("an address");
            assert_eq!(choose(&networks, destination), expected, "{destination}");
        }
        let far = "192.0.2.1".parse().expect("an address");
        assert_eq!(choose(&[network(&[], &[]), network(&["10.9.0.5/24"], &[])], far), 1);
        assert_eq!(choose(&[network(&[], &[]), network(&[], &[])], far), 0);
    }
}
