//! A server made of arbitrary octets: what the fuzz targets run, and a short form of it with every `cargo test`.
//!
//! The promises: no panic; the first error stays; neither output nor events nor what is kept of channels grows beyond its limit.

use super::{Options, Server, counting};
use crate::message;
use crate::wire::Message;
use crate::{ChannelId, Config, Connection, Error, Event, Exec, Stream, WINDOW};
use core::cell::RefCell;
use core::time::Duration;

/// Octets beyond which output must not grow, whatever a server says: twice what is held back at.
const MAX_OUTPUT: usize = 2 << 20;

/// From where on the server is arbitrary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Behind the first key exchange.
    Encrypted,
    /// With the user known and a command running.
    Running,
    /// The same, in the middle of a key exchange that the client began; the first octet is where in it.
    Rekeying,
}

/// Arbitrary octets in place of all that a server says; the first is how many come at once.
pub fn clear(octets: &[u8]) {
    let Some((&step, octets)) = octets.split_first() else { return };
    let mut client = client();
    for chunk in octets.chunks(usize::from(step).max(1)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let used = client.handle_input(Duration::ZERO, rest);
            while let Some(event) = client.poll_event() {
                if let Event::HostKey(_) = event {
                    let _ = client.accept_host_key(Duration::ZERO);
                }
            }
            assert!(client.poll_output().len() < MAX_OUTPUT);
            client.handle_sent(usize::MAX);
            match used {
                Ok(used) => rest = &rest[used..],
                Err(error) => return ended(&mut client, &error),
            }
        }
    }
}

/// Arbitrary messages, well sealed, among calls of the owner: each is one octet that says what, one that says how much, and that.
pub fn session(begin: Begin, octets: &[u8]) {
    thread_local! {
        /// Worlds to go on from: a key exchange takes longer than all that a run does.
        static WORLDS: RefCell<Vec<((Begin, u8), World)>> = const { RefCell::new(Vec::new()) };
    }
    let (place, mut rest) = match octets.split_first() {
        Some((place, rest)) if begin == Begin::Rekeying => (place % PLACES, rest),
        _ => (0, octets),
    };
    let mut world = WORLDS.with_borrow_mut(|worlds| {
        if let Some((_, world)) = worlds.iter().find(|(at, _)| *at == (begin, place)) {
            return world.clone();
        }
        let world = World::at(begin, place).expect("the scripted server does all right");
        worlds.push(((begin, place), world.clone()));
        world
    });
    while let Some((&[what, len], after)) = rest.split_first_chunk::<2>() {
        let (data, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        if let Err(error) = world.act(what, data) {
            return ended(&mut world.client, &error);
        }
    }
}

/// Messages of the server in a key exchange: its offer, its half of the secret, its new keys; and none of them yet.
const PLACES: u8 = 4;

#[derive(Clone)]
struct World {
    client: Connection,
    server: Server,
    now: Duration,
    channel: ChannelId,
}

impl World {
    /// The world at `begin`, from where on the server's part of key exchanges is done one message at a time; `place` of them have
    /// been.
    fn at(begin: Begin, place: u8) -> Option<Self> {
        let (client, server) = (client(), Server::new(Options::new()));
        let mut world = Self { client, server, now: Duration::ZERO, channel: ChannelId(0) };
        world.begin(begin)?;
        for _ in 0..place {
            world.server.release();
            world.run().ok()?;
        }
        Some(world)
    }

    fn begin(&mut self, begin: Begin) -> Option<()> {
        self.run().ok()?;
        self.server.hesitates = true;
        if begin == Begin::Encrypted {
            return Some(());
        }
        self.say(Message::new(message::SERVICE_ACCEPT).string("ssh-userauth")).ok()?;
        self.say(Message::new(message::USERAUTH_SUCCESS)).ok()?;
        let id = self.client.exec(Exec::default())?;
        self.channel = id;
        self.run().ok()?;
        let confirmation = Message::new(message::CHANNEL_OPEN_CONFIRMATION).uint32(id.0).uint32(0);
        self.say(confirmation.uint32(WINDOW).uint32(1 << 15)).ok()?;
        self.say(Message::new(message::CHANNEL_SUCCESS).uint32(id.0)).ok()?;
        if begin == Begin::Rekeying {
            self.client.rekey(self.now).ok()?;
            self.run().ok()?;
        }
        Some(())
    }

    fn act(&mut self, what: u8, data: &[u8]) -> Result<(), Error> {
        let id = self.channel;
        match what % 16 {
            0 => {
                self.client.exec(Exec { command: data.to_vec(), ..Exec::default() });
            }
            1 => {
                self.client.write(id, data);
            }
            2 => {
                self.client.read(id, Stream::Stdout, &mut [0; 300]);
                self.client.read(id, Stream::Stderr, &mut [0; 300]);
            }
            3 => self.client.finish(id),
            4 => self.client.close(id),
            5 => self.client.rekey(self.now)?,
            6 => self.server.offer(),
            7 => {
                self.now += Duration::from_secs(data.len() as u64);
                self.client.handle_timeout(self.now)?;
            }
            8 => self.server.out.extend_from_slice(data),
            15 => self.server.release(),
            // a message to the channel, without the fuzzer having to find its number
            9..12 if !data.is_empty() => {
                let number = message::CHANNEL_OPEN_CONFIRMATION + data[0] % 10;
                self.server.send(&Message::new(number).uint32(id.0).octets(&data[1..]).done());
            }
            _ if !data.is_empty() => self.server.send(data),
            _ => {}
        }
        self.run()
    }

    fn say(&mut self, message: Message) -> Result<(), Error> {
        self.server.send(&message.done());
        self.run()
    }

    /// All that there is, both ways, until nothing moves.
    fn run(&mut self) -> Result<(), Error> {
        for _ in 0..8 {
            let out = self.client.poll_output().to_vec();
            assert!(out.len() < MAX_OUTPUT);
            self.client.handle_sent(out.len());
            self.server.handle(&out);
            self.server.received.clear();
            let input = core::mem::take(&mut self.server.out);
            let mut rest = input.as_slice();
            loop {
                let used = self.client.handle_input(self.now, rest)?;
                rest = &rest[used..];
                let mut events = 0;
                while let Some(event) = self.client.poll_event() {
                    events += 1;
                    if let Event::HostKey(_) = event {
                        self.client.accept_host_key(self.now)?;
                    }
                }
                if used == 0 && events == 0 {
                    break;
                }
            }
            if out.is_empty() && input.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

fn client() -> Connection {
    let config = Config { user: "me".into(), rekey_octets: 1 << 16, ..Config::default() };
    Connection::new(config, counting(), Duration::ZERO).expect("it counts")
}

/// The error stays, whatever is tried.
fn ended(client: &mut Connection, error: &Error) {
    assert_eq!(client.error(), Some(error));
    assert_eq!(client.handle_input(Duration::MAX, b"x").as_ref(), Err(error));
    assert_eq!(client.handle_timeout(Duration::MAX).as_ref(), Err(error));
    assert_eq!(client.exec(Exec::default()), None);
    assert_eq!(client.poll_timeout(), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets that often mean something.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        (0..len)
            .map(|_| match next() % 4 {
                0 => 0,
                1 => (next() % 16) as u8,
                2 => (next() % 101) as u8,
                _ => next() as u8,
            })
            .collect()
    }

    #[test]
    fn arbitrary_servers_end_or_are_borne() {
        for seed in 0..2000 {
            clear(&noise(seed, 200));
            clear(&[b"\xffSSH-2.0-x\r\n", &noise(seed, 200)[..]].concat());
        }
        for seed in 0..300 {
            for begin in [Begin::Encrypted, Begin::Running, Begin::Rekeying] {
                session(begin, &noise(seed, 300));
            }
        }
    }
}
