//! The machine itself: virtio devices, our own stack on them, the console's ports as streams.
//!
//! One thread does everything but wait for its end. All devices raise one interrupt vector, which
//! moves one word: the reactor waits for that.

pub use super::hypervisor::is_word as is_of_host;
use super::links::Links;
use super::{Machine, uhyve};
use crate::args::Aside;
use crate::config::{Config, Network};
use client::error::no_entropy;
use client::sink::{Input, Output};
use client::{Cause, Error, Exit, Stage};
use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::io::{AssertAsync, empty};
use spin::Mutex;
use stack::smol::{self, Idle, Stack, SystemClock};
use stack::vsock::{Absent, HEAD, PacketDevice, Sockets, Vsock};
use stack::{Multihomed, Net};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use virtio_net::console::LINE;
use virtio_net::fw_cfg;
use virtio_net::mmio::{self, Slot};
use virtio_net::platform::Interrupts;
use virtio_net::ring0::{Mmio, Ring0};
use virtio_net::transport::AnyTransport;
use virtio_net::{Console, Devices, Lines, NetDevice, Port, PortError, Rng, SetupError};

type Transport = AnyTransport<Ring0>;
/// A network device of this machine.
pub type Device = NetDevice<Ring0, Transport>;

/// The port that carries the payload out.
const STDOUT: &str = "mimic.stdout";
/// The port that carries input in.
const STDIN: &str = "mimic.stdin";
/// The port that carries out how far the payload is, where somebody wants to know.
const PROGRESS: &str = "mimic.progress";
/// Octets of the program's stack.
const STACK: usize = 1 << 20;
/// How exactly it is known what memory is left, in octets.
const SPARE: usize = 256 * 1024;
/// How long a device may take for what devices do at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// The files `opt/mimic/NAME` of QEMU's fw_cfg, for the argument `NAME`; uhyve's where that runs the machine.
pub fn asides() -> Vec<Aside> {
    let Ok(mut ring0) = Ring0::new() else { return Vec::new() };
    if ring0.is_uhyve() {
        return uhyve::asides();
    }
    let files = fw_cfg::files(&mut ring0, "opt/mimic/");
    files.into_iter().map(|file| (file.name, file.octets)).collect()
}

/// The places that those words tell.
fn slots() -> Vec<Slot> {
    let words = std::env::args_os().filter_map(|word| word.into_string().ok());
    let read = |word: String| match word.strip_prefix(mmio::WORD)?.parse() {
        Ok(slot) => Some(slot),
        Err(error) => {
            log::warn!("not used: {word}: {error}");
            None
        }
    };
    words.filter_map(read).collect()
}

/// Standard error: the serial console.
pub fn stderr() -> io::Stderr {
    io::stderr()
}

/// Brings the devices up and runs `main` on them.
///
/// In a thread of its own: the first one has taken the keys of its hash maps before the pool had a
/// seed, and what peers say goes into such maps.
pub fn run<F: Future<Output = u8>>(config: &Config, main: impl FnOnce(Machine) -> F + Send) -> u8 {
    let boot = hermit::uptime();
    if let Some(time) = config.run.time {
        hermit::set_time_of_day(time);
    }
    let parts = match set_up(config) {
        Ok(parts) => parts,
        Err(Failure { text, exit }) => {
            eprintln!("error: {text}");
            return exit.code();
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, || serve(parts, boot, main)) {
            // a panic ends the machine, so that a thread which ends has an exit code
            Ok(thread) => thread.join().unwrap_or(Exit::Software.code()),
            Err(error) => {
                eprintln!("error: no memory for the program's stack: {error}");
                Exit::Software.code()
            }
        }
    })
}

fn serve<F: Future<Output = u8>>(
    parts: Parts,
    boot: Duration,
    main: impl FnOnce(Machine) -> F,
) -> u8 {
    let Parts { stacks, names, sockets, idle, streams } = parts;
    let mut nets = stacks.iter().map(|stack| Arc::new(stack.clone()) as Arc<dyn Net>);
    let first = nets.next().expect("there is always the first network");
    let networks: Vec<_> = names.into_iter().zip(nets).collect();
    let net = match networks.is_empty() {
        true => first,
        false => {
            let others = networks.iter().map(|(_, net)| net.clone());
            Arc::new(Multihomed::new(first, others))
        }
    };
    let is_uhyve = Ring0::new().is_ok_and(|ring0| ring0.is_uhyve());
    let (stdin, stdout) = match &streams {
        Some(streams) => (streams.input(), streams.output()),
        None if is_uhyve => (uhyve::input(net.clone()), uhyve::output()),
        None => (Box::new(empty()) as Input, Box::new(AssertAsync::new(io::stdout())) as Output),
    };
    let progress = streams.as_ref().and_then(Streams::progress);
    let stderr = Box::new(stderr());
    let vsock: Arc<dyn Vsock> = match &sockets {
        Some(sockets) => Arc::new(sockets.clone()),
        None => Arc::new(Absent),
    };
    let boot = Some(boot);
    let memory = Some(spare());
    let machine = Machine { net, vsock, networks, stdin, stdout, stderr, progress, memory, boot };
    let mut links = Links::new(&stacks, idle.observe());
    let service = || {
        streams.as_ref().map(Streams::wake);
        idle.again.set(links.look(&stacks, idle.observe()));
        sockets.as_ref().is_some_and(Sockets::poll)
    };
    let code = smol::block_on(&stacks, &idle, service, main(machine));
    // what the end did not wait for
    streams.as_ref().map(Streams::wake);
    code
}

/// Octets of memory that are left in one piece, which at the start is nearly all of it: asked for, and given back. The
/// kernel has mapped them already, so that this costs nothing.
fn spare() -> u64 {
    let (mut there, mut beyond) = (0, usize::MAX / 4);
    while beyond - there > SPARE {
        let middle = there + (beyond - there) / 2;
        let mut room = Vec::<u8>::new();
        let is_there = room.try_reserve_exact(middle).is_ok();
        // a compiler may leave out what nobody uses, and take it for granted
        core::hint::black_box(&room);
        match is_there {
            true => there = middle,
            false => beyond = middle,
        }
    }
    there as u64
}

/// Ends the machine.
pub fn exit(code: u8) -> ! {
    uhyve::ended();
    hermit::exit(code.into())
}

/// A machine that is ready.
struct Parts {
    /// The first network's, then those of the further ones.
    stacks: Vec<Stack<Device>>,
    /// Of the further networks.
    names: Vec<String>,
    /// Over the socket device, if there is one.
    sockets: Option<Sockets<Packets>>,
    idle: Interrupt,
    /// None where the machine has no such ports: then the serial console takes the output.
    streams: Option<Streams>,
}

/// Why there is no machine to run on.
struct Failure {
    text: String,
    exit: Exit,
}

impl Failure {
    fn new(exit: Exit, text: impl ToString) -> Self {
        Self { text: text.to_string(), exit }
    }
}

fn set_up(config: &Config) -> Result<Parts, Failure> {
    let ring0 = Ring0::new().map_err(|error| Failure::new(Exit::Software, error))?;
    let machine = virtio_net::Machine::new(ring0, &Kernel);
    let Devices { nets, rng, console, vsock, lines, skipped } = machine.discover(&slots());
    for device in &skipped {
        match device.error {
            // the disk that it was booted from, a balloon, a display
            SetupError::UnsupportedType(_) => log::info!("not used: {device}"),
            _ => log::warn!("not used: {device}"),
        }
    }
    let idle = Interrupt { word: machine.word(), lines, again: Cell::new(None) };
    if let Some(rng) = rng {
        seed(rng, &idle);
    }
    let mut nets: Vec<_> = nets.into_iter().map(Some).collect();
    let clock = SystemClock::new();
    let device = choose(&mut nets, config, &config.network, "interface")?;
    let mut stacks = vec![start(device, &config.network, clock)?];
    for (name, network) in &config.networks {
        let device = choose(&mut nets, config, network, &format!("{name}-interface"))?;
        stacks.push(start(device, network, clock)?);
    }
    let sockets = match vsock {
        Some(vsock) if has_entropy(config)? => {
            let mut random = [0; 4];
            hermit::entropy::fill(&mut random).map_err(|text| Failure::new(Exit::Connect, text))?;
            Some(Sockets::new(Packets(vsock), u32::from_ne_bytes(random)))
        }
        _ => None,
    };
    let names = config.networks.iter().map(|(name, _)| name.clone()).collect();
    let streams = console.and_then(|console| Streams::new(console, &idle));
    Ok(Parts { stacks, names, sockets, idle, streams })
}

/// The device that is to serve a network, which `argument` says. None without a source of randomness: ports and sequence numbers are
/// drawn from the kernel's pool, and nothing is sent that could be guessed.
fn choose(
    nets: &mut [Option<Device>],
    config: &Config,
    network: &Network,
    argument: &str,
) -> Result<Option<Device>, Failure> {
    let (count, wanted) = (nets.len(), network.interface);
    if count == 0 {
        return Ok(None);
    }
    if wanted >= count {
        let text = format!("--{argument}={wanted}: the network devices are 0 to {}", count - 1);
        return Err(Failure::new(Exit::Usage, text));
    }
    if !has_entropy(config)? {
        return Ok(None);
    }
    let device = nets[wanted].take();
    if device.as_ref().is_some_and(|device| !device.link_up()) {
        log::warn!("the link of network device {wanted} is down");
    }
    Ok(device)
}

/// Whether there is a source of randomness; it may lack only where nothing is to be connected to.
fn has_entropy(config: &Config) -> Result<bool, Failure> {
    let ready = hermit::entropy::is_ready();
    match &config.target {
        Some(target) if !ready && !config.run.check => {
            let (stage, target) = (Stage::Network, target.to_string());
            let error = Error { stage, target, cause: Cause::Unable(no_entropy()) };
            Err(Failure::new(error.exit(), error))
        }
        _ => Ok(ready),
    }
}

fn start(
    device: Option<Device>,
    network: &Network,
    clock: SystemClock,
) -> Result<Stack<Device>, Failure> {
    let own = device.as_ref().map(NetDevice::mac);
    // Without a device no address is used.
    let mac = network.mac.or(own).unwrap_or([2, 0, 0, 0, 0, 0]);
    let random = |octets: &mut [u8]| {
        // Without a pool there is no device, and what is drawn goes nowhere.
        let _ = hermit::entropy::fill(octets);
    };
    let mut stack = smol::Config::new(mac, Box::new(random));
    let mtu = device.as_ref().map_or(usize::MAX, NetDevice::mtu);
    network.configure(&mut stack, mtu).map_err(|text| Failure::new(Exit::Usage, text))?;
    Stack::new(stack, device, clock).map_err(|error| Failure::new(Exit::Usage, error))
}

/// Has the entropy device add to the kernel's pool. The pool may have other sources, so that a
/// device that gives nothing is only noted.
fn seed(mut rng: Rng<Ring0, Transport>, idle: &Interrupt) {
    let mut octets = [0; 48];
    let deadline = Instant::now() + PATIENCE;
    match idle.until(deadline, || rng.poll_fill(&mut octets)) {
        Some(Ok(filled)) => hermit::entropy::add(&octets[..filled]),
        Some(Err(error)) => log::warn!("{error}"),
        None => log::warn!("the entropy device does not answer"),
    }
    octets.fill(0);
}

/// The socket device, as the stack wants it.
struct Packets(virtio_net::Vsock<Ring0, Transport>);

impl PacketDevice for Packets {
    fn cid(&self) -> u64 {
        self.0.cid()
    }

    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> bool {
        self.0.receive(take)
    }

    fn capacity(&self) -> usize {
        virtio_net::Vsock::<Ring0, Transport>::PACKET - HEAD
    }

    fn can_send(&mut self) -> bool {
        self.0.can_send()
    }

    fn send(&mut self, head: &[u8], payload: &[u8]) {
        self.0.send(head, payload);
    }

    fn announce(&mut self) {
        self.0.announce();
    }

    fn arm(&mut self, writes: bool) -> bool {
        self.0.arm(writes)
    }

    fn is_idle(&mut self) -> bool {
        self.0.is_idle()
    }

    fn has_lost(&mut self) -> bool {
        self.0.has_lost()
    }
}

/// The kernel's side of interrupts.
struct Kernel;

impl Interrupts for Kernel {
    fn watch(&self, vector: u8) -> &'static AtomicU32 {
        hermit::interrupt::watch(vector)
    }
}

/// Waiting for any device.
struct Interrupt {
    word: &'static AtomicU32,
    lines: Lines<Mmio>,
    /// When there is something to do again, even if no device says so.
    again: Cell<Option<Instant>>,
}

impl Interrupt {
    /// Calls `poll` until it is ready, and waits between; `None` when time is up.
    fn until<T>(&self, deadline: Instant, mut poll: impl FnMut() -> Poll<T>) -> Option<T> {
        loop {
            let seen = self.observe();
            if let Poll::Ready(output) = poll() {
                return Some(output);
            }
            match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return None,
                rest => self.wait(seen, Some(rest)),
            }
        }
    }
}

impl Idle for Interrupt {
    fn observe(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }

    fn wait(&self, seen: u32, timeout: Option<Duration>) {
        let again = self.again.get().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.into_iter().chain(again).min();
        // A line that was up may have hidden an edge: look at all devices again.
        if !self.lines.acknowledge() {
            hermit::interrupt::wait(self.word, seen, timeout);
        }
    }
}

/// The console's ports, and the tasks that wait for them.
#[derive(Clone)]
struct Streams(Arc<Mutex<Shared>>);

struct Shared {
    console: Console<Ring0, Transport>,
    stdin: Option<Port>,
    reader: Option<Waker>,
    /// The payload's port and the one for progress.
    writers: [Option<Writing>; 2],
}

/// A port that is written to, and who waits for that.
struct Writing {
    port: Port,
    waker: Option<Waker>,
}

const PAYLOAD: usize = 0;
const EVENTS: usize = 1;
// an event is never torn
const _: () = assert!(progress::LONGEST <= LINE);

impl Streams {
    /// The ports, if the device announces one for the output.
    fn new(mut console: Console<Ring0, Transport>, idle: &Interrupt) -> Option<Self> {
        // They are announced in their order on the device: nothing is known of the input's until
        // then, and one for progress stands before it. A device need have neither.
        let deadline = Instant::now() + PATIENCE;
        idle.until(deadline, || {
            let all = console.find(STDIN).is_some() && console.find(STDOUT).is_some();
            if all || console.is_settled() { Poll::Ready(()) } else { Poll::Pending }
        });
        let (stdin, stdout) = (console.find(STDIN), console.find(STDOUT)?);
        if let Err(error) = console.open_output(stdout) {
            log::warn!("no payload port: {error}");
            return None;
        }
        let progress = console.find(PROGRESS).filter(|port| {
            let opened = console.open_lines(*port);
            opened.inspect_err(|error| log::warn!("no progress port: {error}")).is_ok()
        });
        let writers =
            [Some(stdout), progress].map(|port| Some(Writing { port: port?, waker: None }));
        let shared = Shared { console, stdin, reader: None, writers };
        Some(Self(Arc::new(Mutex::new(shared))))
    }

    fn input(&self) -> Input {
        match self.0.lock().stdin {
            Some(port) => Box::new(Stdin { streams: self.clone(), port, open: false }),
            None => Box::new(empty()),
        }
    }

    fn output(&self) -> Output {
        Box::new(Writer(self.clone(), PAYLOAD))
    }

    fn progress(&self) -> Option<Output> {
        self.0.lock().writers[EVENTS].as_ref()?;
        Some(Box::new(Writer(self.clone(), EVENTS)))
    }

    /// Has the device write what tasks have written, and wakes those for which there is something to do.
    fn wake(&self) {
        let mut shared = self.0.lock();
        let Shared { console, stdin, reader, writers } = &mut *shared;
        console.announce();
        let reader = stdin.filter(|port| console.can_read(*port)).and_then(|_| reader.take());
        let [payload, events] = writers.each_mut().map(|writing| {
            let Writing { port, waker } = writing.as_mut()?;
            waker.take_if(|_| console.can_write(*port))
        });
        drop(shared);
        [reader, payload, events].into_iter().flatten().for_each(Waker::wake);
    }
}

/// Standard input. The host is told that someone reads with the first read.
struct Stdin {
    streams: Streams,
    port: Port,
    open: bool,
}

impl AsyncRead for Stdin {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let (streams, port) = (self.streams.clone(), self.port);
        let mut shared = streams.0.lock();
        if !self.open {
            shared.console.open_input(port).map_err(io::Error::other)?;
            self.open = true;
        }
        let polled = shared.console.read(port, octets);
        if polled.is_pending() {
            shared.reader = Some(cx.waker().clone());
        }
        polled.map_err(to_io)
    }
}

/// One of the ports that are written to.
struct Writer(Streams, usize);

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |console, port| console.write(port, octets))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Console::flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl Writer {
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Console<Ring0, Transport>, Port) -> Poll<Result<T, PortError>>,
    ) -> Poll<io::Result<T>> {
        let Shared { console, writers, .. } = &mut *self.0.0.lock();
        let writing = writers[self.1].as_mut().expect("writers are made for ports that are there");
        let polled = act(console, writing.port);
        if polled.is_pending() {
            writing.waker = Some(cx.waker().clone());
        }
        polled.map_err(to_io)
    }
}

fn to_io(error: PortError) -> io::Error {
    match error {
        PortError::Closed => io::Error::new(io::ErrorKind::BrokenPipe, error),
        error => io::Error::other(error),
    }
}
