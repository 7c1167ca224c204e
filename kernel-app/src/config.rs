//! What a boot is to do: the checked values that the boot words name.
//!
//! Written by the table of [`crate::args`], read by everything behind it. Defaults stand here and nowhere
//! else.

use client::dns;
use client::options;
use core::time::Duration;
use happy_eyeballs::Family;
use log::LevelFilter;
use proto::authenticator::Authenticator;
use proto::target::{Scheme, Target};
use stack::Cidr;
use stack::smol::{self, Ipv4, Ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything that the boot words say.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to reach; `None` only with `--help` and `--version`.
    pub target: Option<Target>,
    /// How the machine's own stack is configured.
    pub network: Network,
    /// Further networks, each on a device of its own, with their names.
    pub networks: Vec<(String, Network)>,
    /// How names are resolved.
    pub dns: dns::Options,
    /// How families and addresses are raced.
    pub race: happy_eyeballs::Config,
    /// How long anything may take.
    pub limits: Limits,
    /// How an SSH server is known, and what is run there.
    pub ssh: options::Ssh,
    /// How a TLS peer is spoken to and known.
    pub tls: options::Tls,
    /// The proxy that everything over TCP goes through.
    pub proxy: Option<Target>,
    /// How a proxy that is reached by TLS is known; empty: by the bundled roots. What is given for the target says
    /// nothing of it.
    pub proxy_authenticators: Vec<Authenticator>,
    /// The request that an HTTP target gets.
    pub http: options::Http,
    /// What is done at a git repository.
    pub git: options::Git,
    /// What is said on a flow of plain octets.
    pub bytes: Bytes,
    /// What is printed, and where.
    pub run: Run,
    /// The arguments that say all this, as they were given.
    pub given: Vec<Given>,
}

/// One argument that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its value as it may be shown: a secret one's is not; `None` where it takes none.
    pub value: Option<String>,
    /// The image brought it; the user did not.
    pub own: bool,
}

/// How the machine's own stack is configured. Host sockets pass all of it over but which family alone
/// is used.
#[derive(Debug, Clone)]
pub struct Network {
    /// A static address and its prefix length.
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// The default router of the static address.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// Whether to ask a DHCP server; always known behind the arguments, which ask where there is no static address.
    pub dhcp: Option<bool>,
    /// A static IPv6 address and its prefix length.
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// The default router beside the static IPv6 address, preferred to those that advertise themselves.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// Whether routers are asked for and believed: addresses, default routers, name servers.
    pub accept_router_advertisements: bool,
    /// The Ethernet address, in place of the device's own.
    pub mac: Option<[u8; 6]>,
    /// The largest IP packet in octets, where it is to be smaller than the device's.
    pub mtu: Option<u16>,
    /// Which of several network devices serves, from 0.
    pub interface: usize,
    /// The name told to a DHCP server.
    pub hostname: Option<String>,
    /// Which family of addresses alone is used, if only one.
    pub only: Option<Family>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            ipv4: None,
            ipv4_gateway: None,
            dhcp: None,
            ipv6: None,
            ipv6_gateway: None,
            accept_router_advertisements: true,
            mac: None,
            mtu: None,
            interface: 0,
            hostname: None,
            only: None,
        }
    }
}

impl Config {
    /// Which family alone is used, if that is the same one on all networks.
    pub fn only(&self) -> Option<Family> {
        let only = self.network.only;
        only.filter(|_| self.networks.iter().all(|(_, network)| network.only == only))
    }
}

impl Network {
    /// Puts it into the configuration of a stack, on a device that carries IP packets of up to `mtu`
    /// octets.
    ///
    /// # Errors
    /// What is wrong with an address.
    pub fn configure(&self, stack: &mut smol::Config, mtu: usize) -> Result<(), String> {
        let cidr = |address: IpAddr, prefix| {
            Cidr::new(address, prefix).ok_or_else(|| format!("{address} has no prefix /{prefix}"))
        };
        stack.mtu = self.mtu.map(usize::from);
        stack.ipv4 = match self.ipv4 {
            _ if self.only == Some(Family::V6) => Ipv4::Off,
            Some((address, prefix)) => {
                let address = cidr(address.into(), prefix)?;
                Ipv4::Static { address, gateway: self.ipv4_gateway }
            }
            None if self.dhcp == Some(true) => Ipv4::Dhcp { hostname: self.hostname.clone() },
            None => Ipv4::Off,
        };
        // RFC 8200 §5: there is no IPv6 over smaller packets
        let room = stack.mtu.unwrap_or(mtu) >= MIN_IPV6_MTU;
        stack.ipv6 = match self.ipv6 {
            _ if self.only == Some(Family::V4) => Ipv6::Off,
            Some((address, prefix)) => {
                let address = cidr(address.into(), prefix)?;
                Ipv6::Static { address, gateway: self.ipv6_gateway }
            }
            None if room => Ipv6::Auto,
            None => Ipv6::Off,
        };
        stack.accept_router_advertisements = self.accept_router_advertisements;
        Ok(())
    }
}

/// Octets of the largest packet that every IPv6 link carries.
const MIN_IPV6_MTU: usize = 1280;

/// How long anything may take; `None`: as long as it wants.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The whole run.
    pub whole: Option<Duration>,
    /// From the start to a connection, DHCP and DNS included.
    pub connect: Duration,
    /// A handshake above the connection.
    pub handshake: Duration,
    /// Between two octets from the peer.
    pub idle: Option<Duration>,
}

/// What is said on a flow of plain octets.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// What to send, in place of standard input.
    pub send: Option<Vec<u8>>,
    /// How long to wait for (more) answers where nothing else ends them.
    pub wait: Duration,
    /// How many echo requests.
    pub count: u16,
}

/// What is printed, and where.
#[derive(Debug, Clone)]
pub struct Run {
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// Sources with a level of their own.
    pub levels: Vec<(String, LevelFilter)>,
    /// How long to wait before the start.
    pub delay: Duration,
    /// The time of day at the start, since 1970, in place of what the machine's clock says.
    pub time: Option<Duration>,
    /// Print how the flow was found.
    pub explain: bool,
    /// Parse, plan, print; connect to nothing.
    pub check: bool,
    /// Print the report as one JSON object at the end.
    pub report_json: bool,
    /// Whether what takes long may say how far it is.
    pub progress: bool,
    /// Where the payload goes.
    pub output: Output,
    /// Print the arguments.
    pub help: bool,
    /// Print the version.
    pub version: bool,
}

/// Where the payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Nowhere; its size and SHA-256 are printed.
    Discard,
    /// To standard output.
    Stdout,
}

impl Config {
    /// What boot words say, the program's own name not among them.
    ///
    /// # Errors
    /// The line that a user is told.
    pub fn from_words(words: Vec<String>) -> Result<Self, String> {
        crate::args::parse(words, Vec::new()).map_err(|error| error.to_string())
    }
}

impl Config {
    /// What is done at a git repository; `None` where the target is none. What can be something else is one only
    /// where `--git` says so.
    pub fn git_action(&self) -> Option<options::GitAction> {
        let scheme = self.target.as_ref().map(|target| &target.scheme);
        match (scheme, self.git.action) {
            (Some(Scheme::Git), action) => Some(action.unwrap_or_default()),
            (Some(Scheme::Scp), action) if self.ssh.exec.is_none() => {
                Some(action.unwrap_or_default())
            }
            (_, action) => action,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target: None,
            network: Network::default(),
            networks: Vec::new(),
            dns: dns::Options::default(),
            race: happy_eyeballs::Config::default(),
            limits: Limits {
                whole: None,
                connect: Duration::from_secs(30),
                handshake: Duration::from_secs(10),
                idle: None,
            },
            ssh: options::Ssh::default(),
            tls: options::Tls::default(),
            proxy: None,
            proxy_authenticators: Vec::new(),
            http: options::Http::default(),
            git: options::Git::default(),
            bytes: Bytes { send: None, wait: Duration::from_secs(2), count: 4 },
            run: Run {
                level: LevelFilter::Warn,
                levels: Vec::new(),
                delay: Duration::ZERO,
                time: None,
                explain: false,
                check: false,
                report_json: false,
                progress: true,
                output: Output::Stdout,
                help: false,
                version: false,
            },
            given: Vec::new(),
        }
    }
}
