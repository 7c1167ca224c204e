//! A client, hosts with scripted servers, and the zone `test`.

use crate::dialer::Dialer;
use crate::dns::{Options, Resolver};
use crate::error::Error;
use crate::trace::Trace;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use proto::dns::{Data, Kind};
use simple_dns::rdata::{A, AAAA, CNAME, HTTPS, RData, SOA, SVCB};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use stack::sim::{Host, Link, Network};
use stack::{Instant, IpVersion, Net};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The network, its client at 10.0.0.1 and its servers at 10.0.0.53 and onward.
pub struct World {
    pub network: Network,
    pub client: Arc<dyn Net>,
    pub hosts: Vec<Host>,
    pub trace: Trace,
}

/// How many questions a server was asked.
#[derive(Clone, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    pub fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a server says to a question, the count of those before it given; any number of messages.
pub type Script = dyn Fn(&Packet<'_>, usize) -> Vec<Vec<u8>> + Send + Sync;

impl World {
    pub fn new() -> Self {
        let mut network = Network::new(7);
        let client = network.host("10.0.0.1/24", Link::default());
        let address = |index: u8| format!("10.0.0.{}/24", 53 + index);
        let hosts = (0..3).map(|index| network.host(&address(index), Link::default())).collect();
        let hosts: Vec<Host> = hosts;
        network.set_limit(Duration::from_secs(60));
        let client: Arc<dyn Net> = Arc::new(client.net);
        let mut world = Self { network, client, hosts, trace: Trace::default() };
        world.meet();
        world
    }

    /// Lets the hosts learn each other's hardware addresses, which is not what is timed here.
    fn meet(&mut self) {
        let client = self.client.clone();
        let greet = async {
            let socket = client.udp_bind(None, IpVersion::V4).await.unwrap();
            for last in 53..56 {
                let host = SocketAddr::from(([10, 0, 0, last], 9));
                socket.send_to(b"hello", host).await.unwrap();
                client.sleep(Duration::from_secs(2)).await;
            }
        };
        self.network.run(greet).unwrap();
    }

    /// A server of datagrams on host `index`.
    pub fn udp(
        &mut self,
        index: usize,
        script: impl Fn(&Packet<'_>, usize) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Count {
        let count = Count::default();
        let (counted, net) = (count.clone(), self.hosts[index].net.clone());
        self.network.spawn(async move {
            let socket = net.udp_bind(Some(53), IpVersion::V4).await.unwrap();
            let mut buf = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut buf).await {
                let query = Packet::parse(&buf[..len]).unwrap();
                for reply in script(&query, counted.next()) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        count
    }

    /// A server of TCP on host `index` that answers one question after the other.
    pub fn tcp(
        &mut self,
        index: usize,
        script: impl Fn(&Packet<'_>, usize) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Count {
        let count = Count::default();
        let (counted, script) = (count.clone(), Arc::new(script));
        let host = self.hosts[index].clone();
        self.network.serve(&host, 53, move |stream| {
            let (counted, script) = (counted.clone(), script.clone());
            async move {
                let _ = answer(stream, &*script, &counted).await;
            }
        });
        count
    }

    /// With that list of servers and nothing else changed.
    pub fn resolver(&self, servers: &str) -> Resolver {
        Resolver::new(self.options(servers))
    }

    pub fn options(&self, servers: &str) -> Options {
        let servers = servers.split(' ').map(|word| word.parse().unwrap()).collect();
        Options { servers, ..Options::default() }
    }

    pub fn ask(&mut self, resolver: &Resolver, name: &str, kind: Kind) -> Result<Data, Error> {
        let query = resolver.query(&self.client, name, kind, &self.trace);
        self.network.run(query).unwrap()
    }

    /// What every flow over TCP connects by.
    pub fn dialer(&self, resolver: &Resolver) -> Dialer {
        Dialer {
            net: self.client.clone(),
            race: happy_eyeballs::Config::default(),
            only: None,
            memory: Arc::default(),
            resolver: resolver.clone(),
            limit: Duration::from_secs(30),
            trace: self.trace.clone(),
        }
    }

    /// The addresses of a name, or the error, in words; and how long it took.
    pub fn a(&mut self, resolver: &Resolver, name: &str) -> (String, Duration) {
        let start = self.network.now();
        let answer = self.ask(resolver, name, Kind::A);
        let text = match answer {
            Ok(data) => crate::dns::words(&data),
            Err(error) => error.to_string(),
        };
        (text, self.network.now() - start)
    }

    /// What the report says of all questions so far.
    pub fn told(&self) -> String {
        self.trace.steps().iter().map(|step| format!("{step}\n")).collect()
    }

    /// Lets the scripts run on.
    pub fn pass(&mut self, time: Duration) {
        self.network.run_for(time).unwrap();
    }

    pub fn now(&self) -> Duration {
        self.network.now() - Instant::ZERO
    }
}

/// Reads questions and writes what the script says, until the peer closes.
pub async fn answer(
    mut stream: impl futures_lite::AsyncRead + futures_lite::AsyncWrite + Unpin,
    script: &Script,
    count: &Count,
) -> io::Result<()> {
    while let Some(message) = read(&mut stream).await? {
        let query = Packet::parse(&message).unwrap();
        for reply in script(&query, count.next()) {
            write(&mut stream, &reply).await?;
        }
    }
    Ok(())
}

/// One message with its length in front; `None` at the end.
pub async fn read(
    stream: &mut (impl futures_lite::AsyncRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 2];
    if stream.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..]).await?;
    let mut message = vec![0; u16::from_be_bytes(prefix).into()];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

pub async fn write(
    stream: &mut (impl futures_lite::AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let len = u16::try_from(message.len()).unwrap();
    stream.write_all(&[&len.to_be_bytes(), message].concat()).await?;
    stream.flush().await
}

/// What a good server of the zone `test` says: `web` has addresses of both kinds, `nN` the address 10.1.0.N (TTL 60),
/// `four` only an IPv4 one, `alias` leads to `web` in the answer and `away` to it outside, `loop` to itself by way of
/// `pool`, `svc` leads HTTPS to port 8443 of `web`; nothing else exists.
pub fn zone(query: &Packet<'_>, _: usize) -> Vec<Vec<u8>> {
    let question = &query.questions[0];
    let (name, kind) = (question.qname.to_string().to_ascii_lowercase(), question.qtype);
    let mut packet = query.clone().into_reply();
    packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
    let mut add = |owner: &str, data: RData<'static>| {
        let owner = Name::new(owner).unwrap().into_owned();
        packet.answers.push(ResourceRecord::new(owner, CLASS::IN, 60, data));
    };
    let (v4, v6) = (kind == QTYPE::TYPE(TYPE::A), kind == QTYPE::TYPE(TYPE::AAAA));
    let mut exists = true;
    let number = name.strip_prefix('n').and_then(|name| name.strip_suffix(".test"));
    match (name.as_str(), number.and_then(|number| number.parse::<u16>().ok())) {
        ("web.test", _) if v4 => add("web.test", a([10, 0, 0, 80])),
        ("web.test", _) if v6 => add("web.test", RData::AAAA(AAAA { address: 0x2001_0db8 << 96 })),
        ("four.test", _) if v4 => add("four.test", a([10, 0, 0, 4])),
        ("web.test" | "four.test", _) => {}
        ("alias.test", _) => {
            add("alias.test", cname("web.test"));
            if v4 {
                add("web.test", a([10, 0, 0, 80]));
            }
        }
        ("away.test", _) => add("away.test", cname("web.test")),
        ("svc.test", _) if kind == QTYPE::TYPE(TYPE::HTTPS) => {
            let mut binding = SVCB::new(1, Name::new_unchecked("web.test"));
            binding.set_port(8443);
            add("svc.test", RData::HTTPS(HTTPS(binding)));
        }
        ("svc.test", _) => {}
        ("loop.test", _) => add("loop.test", cname("pool.test")),
        ("pool.test", _) => add("pool.test", cname("loop.test")),
        (_, Some(number)) => {
            let [high, low] = number.to_be_bytes();
            add(&name, a([10, 1, high, low]));
        }
        _ => exists = false,
    }
    if !exists {
        *packet.rcode_mut() = RCODE::NameError;
    }
    if packet.answers.is_empty() {
        let name = Name::new_unchecked("ns.test");
        let (mname, rname) = (name.clone(), name);
        let soa = SOA { mname, rname, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 30 };
        let zone = Name::new_unchecked("test");
        packet.name_servers.push(ResourceRecord::new(zone, CLASS::IN, 60, RData::SOA(soa)));
    }
    vec![packet.build_bytes_vec().unwrap()]
}

/// What [`zone`] says, with a code in place of an answer.
pub fn code(query: &Packet<'_>, code: RCODE) -> Vec<Vec<u8>> {
    let mut packet = query.clone().into_reply();
    *packet.rcode_mut() = code;
    vec![packet.build_bytes_vec().unwrap()]
}

pub fn a(address: [u8; 4]) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes(address) })
}

fn cname(name: &'static str) -> RData<'static> {
    RData::CNAME(CNAME(Name::new_unchecked(name)))
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// No answer at all.
pub fn silence(_: &Packet<'_>, _: usize) -> Vec<Vec<u8>> {
    Vec::new()
}
