//! Whole connections against the scripted server.

use super::*;
use crate::algorithm::{Cipher, KeyExchange, Mac, SignatureAlgorithm};
use crate::channel::WINDOW;
use crate::event::Exit;
use crate::key::PrivateKey;
use crate::server::{Options, Place, Server, counting};

mod hostile;
mod session;

/// A client and a server, and what the client has told.
struct Pair {
    client: Connection,
    server: Server,
    now: Duration,
    events: Vec<Event>,
    /// Accept the host key.
    trusts: bool,
}

impl Pair {
    fn new(options: Options) -> Self {
        Self::with(options, Config { user: "me".into(), ..Config::default() })
    }

    fn with(options: Options, config: Config) -> Self {
        let client = Connection::new(config, counting(), Duration::ZERO).unwrap();
        let server = Server::new(options);
        Self { client, server, now: Duration::ZERO, events: Vec::new(), trusts: true }
    }

    /// Both sides' octets to the other, `step` at a time, until nothing moves.
    fn run_by(&mut self, step: usize) -> Result<(), Error> {
        loop {
            let out = self.client.poll_output();
            let mut moved = out.len();
            self.server.handle(out);
            self.client.handle_sent(moved);
            let input = core::mem::take(&mut self.server.out);
            moved += input.len();
            let mut rest = input.as_slice();
            loop {
                let used = self.client.handle_input(self.now, &rest[..step.min(rest.len())])?;
                rest = &rest[used..];
                let mut did = used > 0;
                while let Some(event) = self.client.poll_event() {
                    did = true;
                    if let (Event::HostKey(_), true) = (&event, self.trusts) {
                        self.client.accept_host_key(self.now)?;
                    }
                    self.events.push(event);
                }
                if !did {
                    break;
                }
            }
            self.server.out.splice(0..0, rest.iter().copied());
            if moved == 0 || !rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        self.run_by(usize::MAX)
    }

    fn say(&mut self, message: Message) -> Result<(), Error> {
        self.server.send(&message.done());
        self.run()
    }

    fn heard(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.server.received)
    }

    fn told(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// Up to a user who is known.
    fn authenticated(&mut self) {
        self.run().unwrap();
        assert_eq!(
            self.heard(),
            [Message::new(message::SERVICE_REQUEST).string("ssh-userauth").done()]
        );
        self.say(Message::new(message::SERVICE_ACCEPT).string("ssh-userauth")).unwrap();
        self.say(Message::new(message::USERAUTH_SUCCESS)).unwrap();
        assert_eq!(self.heard().len(), 1);
        assert!(self.told().contains(&Event::Authenticated("none")));
    }

    /// A command that runs, the server's window being `window`.
    fn exec(&mut self, window: u32) -> ChannelId {
        let id = self.client.exec(Exec { command: b"cat".to_vec(), ..Exec::default() }).unwrap();
        self.run().unwrap();
        let open = Message::new(message::CHANNEL_OPEN).string("session");
        assert_eq!(self.heard(), [open.uint32(id.0).uint32(WINDOW).uint32(64 * 1024).done()]);
        let confirmation =
            Message::new(message::CHANNEL_OPEN_CONFIRMATION).uint32(id.0).uint32(REMOTE);
        self.say(confirmation.uint32(window).uint32(1000)).unwrap();
        let request = on(message::CHANNEL_REQUEST).string("exec").boolean(true).string("cat");
        assert_eq!(self.heard(), [request.done()]);
        self.say(Message::new(message::CHANNEL_SUCCESS).uint32(id.0)).unwrap();
        assert_eq!(self.told(), [Event::Started(id)]);
        id
    }

    fn read(&mut self, id: ChannelId, stream: Stream) -> Option<Vec<u8>> {
        let mut buf = vec![0; WINDOW as usize];
        let len = self.client.read(id, stream, &mut buf)?;
        buf.truncate(len);
        Some(buf)
    }
}

/// The server's number of the channel.
const REMOTE: u32 = 77;

/// A message to the server's side of the channel.
fn on(number: u8) -> Message {
    Message::new(number).uint32(REMOTE)
}

/// A message to the client's side.
fn to(number: u8, id: ChannelId) -> Message {
    Message::new(number).uint32(id.0)
}

fn open() -> Pair {
    let mut pair = Pair::new(Options::new());
    pair.authenticated();
    pair
}
