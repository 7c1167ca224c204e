//! Servers that let anybody in, run any command, and then do one thing that no server should: the peers of tests over real
//! connections, behind the first key exchange.

use super::{Options, Server};
use crate::WINDOW;
use crate::key::PrivateKey;
use crate::message;
use crate::wire::{Fields, Message};

/// The server's number of the one channel.
const CHANNEL: u32 = 3;
/// Octets of one message of many.
const PIECE: usize = 16 * 1024;
/// Such messages at once.
const PIECES: usize = 16;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Words for the user without end, in place of letting them in.
    Banners,
    /// Messages that mean nothing, without end, once the command runs.
    Ignore,
    /// More of the command's output than the window allows.
    Window,
    /// Another host key in the second key exchange.
    OtherKey,
    /// A second key exchange that it begins and leaves there.
    HalfExchange,
    /// One key exchange after the other.
    Exchanges,
}

/// One connection's server.
pub struct Hostile {
    server: Server,
    fault: Fault,
    /// It has come to its fault.
    began: bool,
}

impl Hostile {
    /// The server of that name.
    pub fn named(name: &str) -> Option<Self> {
        let fault = match name {
            "ssh-banner-flood" => Fault::Banners,
            "ssh-ignore-flood" => Fault::Ignore,
            "ssh-window" => Fault::Window,
            "ssh-rekey-other-key" => Fault::OtherKey,
            "ssh-rekey-silent" => Fault::HalfExchange,
            "ssh-rekey-flood" => Fault::Exchanges,
            _ => return None,
        };
        Some(Self { server: Server::new(Options::new()), fault, began: false })
    }

    /// Takes what the client sent.
    pub fn handle(&mut self, octets: &[u8]) {
        let before = self.server.exchanges;
        self.server.handle(octets);
        if self.fault == Fault::Exchanges && self.began && self.server.exchanges > before {
            self.server.offer();
        }
        for payload in core::mem::take(&mut self.server.received) {
            self.answer(&payload);
        }
    }

    /// What is to be sent now. Where [`has_more`](Self::has_more) says so there is more each time.
    pub fn output(&mut self) -> Vec<u8> {
        if self.has_more() {
            let message = match self.fault {
                Fault::Banners => {
                    Message::new(message::USERAUTH_BANNER).string("more\n").string("")
                }
                _ => Message::new(message::IGNORE).string([0; PIECE]),
            };
            let payload = message.done();
            (0..PIECES).for_each(|_| self.server.send(&payload));
        }
        core::mem::take(&mut self.server.out)
    }

    /// It sends without end.
    pub fn has_more(&self) -> bool {
        self.began && matches!(self.fault, Fault::Banners | Fault::Ignore)
    }

    fn answer(&mut self, payload: &[u8]) {
        let accept = Message::new(message::SERVICE_ACCEPT).string("ssh-userauth");
        match payload.first() {
            Some(&message::SERVICE_REQUEST) => self.server.send(&accept.done()),
            Some(&message::USERAUTH_REQUEST) if self.fault == Fault::Banners => self.began = true,
            Some(&message::USERAUTH_REQUEST) => self.server.send(&[message::USERAUTH_SUCCESS]),
            Some(&message::CHANNEL_OPEN) => {
                let client = self.client_channel(payload);
                let confirmation = Message::new(message::CHANNEL_OPEN_CONFIRMATION).uint32(client);
                self.server
                    .send(&confirmation.uint32(CHANNEL).uint32(WINDOW).uint32(PIECE as u32).done());
            }
            Some(&message::CHANNEL_REQUEST) if !self.began => self.begin(),
            _ => {}
        }
    }

    /// The client's number of the channel that it opens.
    fn client_channel(&self, payload: &[u8]) -> u32 {
        let fields = Fields::of(payload).and_then(|mut fields| {
            fields.string()?;
            fields.uint32()
        });
        fields.unwrap_or_default()
    }

    /// The command was asked for; this crate's channels are counted from 0.
    fn begin(&mut self) {
        self.began = true;
        if self.fault == Fault::Window {
            // before the client knows that the command runs, so that nobody reads
            let data = Message::new(message::CHANNEL_DATA).uint32(0).string([0; PIECE]).done();
            (0..=WINDOW as usize / PIECE).for_each(|_| self.server.send(&data));
        }
        self.server.send(&Message::new(message::CHANNEL_SUCCESS).uint32(0).done());
        match self.fault {
            Fault::OtherKey => {
                let other = PrivateKey::from_ed25519(&[8; 32]).expect("a seed is 32 octets");
                self.server.options.host_key = other.into();
                self.server.offer();
            }
            Fault::HalfExchange => {
                self.server.offer();
                self.server.hesitates = true;
            }
            Fault::Exchanges => self.server.offer(),
            Fault::Banners | Fault::Ignore | Fault::Window => {}
        }
    }
}
