//! What a boot is to do: the checked values that the boot words name.
//!
//! Written by the table of [`crate::args`], read by everything behind it. Defaults stand here and nowhere
//! else.

use client::dns;
use client::options;
use core::time::Duration;
use happy_eyeballs::Family;
use log::LevelFilter;
use proto::target::Target;
use std::net::Ipv4Addr;

/// Everything that the boot words say.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to reach; `None` only with `--help` and `--version`.
    pub target: Option<Target>,
    /// How the machine's own stack is configured.
    pub network: Network,
    /// How names are resolved.
    pub dns: dns::Options,
    /// How families and addresses are raced.
    pub race: happy_eyeballs::Config,
    /// How long anything may take.
    pub limits: Limits,
    /// How a TLS peer is spoken to and known.
    pub tls: options::Tls,
    /// The request that an HTTP target gets.
    pub http: options::Http,
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
    pub name: &'static str,
    /// Its value as it may be shown: a secret one's is not; `None` where it takes none.
    pub value: Option<String>,
}

/// How the machine's own stack is configured. Host sockets pass all of it over.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// A static address and its prefix length.
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// The default router of the static address.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// Whether to ask a DHCP server; always known behind the arguments, which ask where there is no static address.
    pub dhcp: Option<bool>,
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
    /// Print how the flow was found.
    pub explain: bool,
    /// Parse, plan, print; connect to nothing.
    pub check: bool,
    /// Print the report as one JSON object at the end.
    pub report_json: bool,
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

impl Default for Config {
    fn default() -> Self {
        Self {
            target: None,
            network: Network::default(),
            dns: dns::Options::default(),
            race: happy_eyeballs::Config::default(),
            limits: Limits {
                whole: None,
                connect: Duration::from_secs(30),
                handshake: Duration::from_secs(10),
                idle: None,
            },
            tls: options::Tls::default(),
            http: options::Http::default(),
            bytes: Bytes { send: None, wait: Duration::from_secs(2), count: 4 },
            run: Run {
                level: LevelFilter::Warn,
                levels: Vec::new(),
                delay: Duration::ZERO,
                explain: false,
                check: false,
                report_json: false,
                output: Output::Stdout,
                help: false,
                version: false,
            },
            given: Vec::new(),
        }
    }
}
