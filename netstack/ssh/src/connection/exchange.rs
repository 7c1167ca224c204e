//! Key exchange (RFC 4253 §7), strict where the server can (OpenSSH's PROTOCOL §1.9).
//!
//! ```text
//!  Idle ─ours or theirs─► Offered ─KEXINIT─► Keying ─KEX_ECDH_REPLY, first time─► Judging ─accepted─┐
//!   ▲                                          └──────────── later ─────────────────────────────────┤
//!   └──────────────────────── NEWKEYS ◄─ Switching ◄─── our NEWKEYS ────────────────────────────────┘
//! ```

use super::{Connection, Stage, Traffic};
use crate::algorithm::{self, Agreement};
use crate::error::Error;
use crate::event::Event;
use crate::exchange::{Direction, Keys, Private, Secret, Transcript};
use crate::hostkey::HostKey;
use crate::message;
use crate::version;
use crate::wire::{Fields, Message};
use std::sync::Arc;

/// Where a key exchange is.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(super) enum Exchange {
    /// None is under way.
    Idle,
    /// Our KEXINIT is sent.
    Offered { ours: Vec<u8> },
    /// Our half of the secret is sent.
    Keying(Box<Keying>),
    /// The owner judges the host key.
    Judging { fresh: Box<Fresh>, host_key: HostKey },
    /// We use the new keys; the server's NEWKEYS is awaited.
    Switching { incoming: Box<Keys>, agreement: Agreement },
}

#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(super) struct Keying {
    agreement: Agreement,
    private: Arc<Private>,
    public: Vec<u8>,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// The server guessed wrong what would be agreed on: its next packet means nothing.
    ignores_next: bool,
}

/// Keys that are not in use yet.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(super) struct Fresh {
    agreement: Agreement,
    outgoing: Keys,
    incoming: Keys,
}

impl Connection {
    /// Sends our KEXINIT: with it an exchange begins.
    pub(super) fn offer(&mut self) -> Result<(), Error> {
        let mut cookie = [0; 16];
        (self.random.0)(&mut cookie).map_err(|_| Error::NoRandomness)?;
        let ours = algorithm::offer(&self.config.algorithms, cookie, self.session.is_empty());
        self.seal(&[&ours]);
        self.keys_since = self.now;
        self.exchange = Exchange::Offered { ours };
        Ok(())
    }

    pub(super) fn rekey_if_due(&mut self) -> Result<(), Error> {
        let is_worn = |it: &Traffic| {
            it.octets >= self.config.rekey_octets || it.packets >= super::REKEY_PACKETS
        };
        let is_due = self.traffic.iter().any(is_worn)
            || self.now >= self.keys_since.saturating_add(self.config.rekey_after);
        match (&self.stage, &self.exchange) {
            (Stage::Open, Exchange::Idle) if is_due => self.offer(),
            _ => Ok(()),
        }
    }

    /// Takes a packet that belongs to a key exchange (true), or refuses one that may not come in the middle of it.
    pub(super) fn handle_exchange(&mut self, payload: &[u8]) -> Result<bool, Error> {
        let message = Fields::of(payload)?.message();
        let is_first = self.session.is_empty();
        // the first exchange is not done both ways
        let is_strict = self.is_strict && self.agreement.is_none();
        match (message, &mut self.exchange) {
            (message::DISCONNECT, _) => Ok(false),
            (message::KEXINIT, Exchange::Idle) => {
                self.offer()?;
                self.handle_kexinit(payload)?;
                Ok(true)
            }
            (message::KEXINIT, Exchange::Offered { .. }) => {
                self.handle_kexinit(payload)?;
                Ok(true)
            }
            (message::KEX_ECDH_INIT..=message::KEX_LAST, Exchange::Keying(keying))
                if keying.ignores_next =>
            {
                keying.ignores_next = false;
                Ok(true)
            }
            (message::KEX_ECDH_REPLY, Exchange::Keying(_)) => {
                self.handle_reply(payload)?;
                Ok(true)
            }
            (message::NEWKEYS, Exchange::Switching { .. }) => {
                self.handle_newkeys(payload)?;
                Ok(true)
            }
            (message::KEXINIT..=message::KEX_LAST, _) => Err(Error::Unexpected { message }),
            // the server has not heard of our offer yet, and goes on
            (_, Exchange::Idle) => Ok(false),
            (_, Exchange::Offered { .. }) if !is_first => Ok(false),
            // RFC 4253 §7.1 allows these all the time, the strict exchange only after the first
            (message::IGNORE | message::UNIMPLEMENTED | message::DEBUG, _) => match is_strict {
                true => Err(Error::StrictKeyExchange { message }),
                false => Ok(false),
            },
            _ if is_strict => Err(Error::StrictKeyExchange { message }),
            _ => Err(Error::Unexpected { message }),
        }
    }

    fn handle_kexinit(&mut self, payload: &[u8]) -> Result<(), Error> {
        let Exchange::Offered { ours } = &mut self.exchange else {
            return Err(Error::Unexpected { message: message::KEXINIT });
        };
        let ours = core::mem::take(ours);
        let answer = algorithm::agree(&self.config.algorithms, payload)?;
        if self.session.is_empty() {
            self.is_strict = answer.is_strict;
            self.host_key_kinds = answer.kinds;
            // its number is 0, now that it is counted: nothing may have come before it
            if self.is_strict && self.opener.sequence() != 1 {
                return Err(Error::StrictKeyExchange { message: message::KEXINIT });
            }
        }
        if !self.is_strict
            && let Some(algorithm) = algorithm::unsafe_without_strict(&answer.agreement)
        {
            return Err(Error::Unsafe { algorithm });
        }
        let private = Private::draw(answer.agreement.key_exchange, &mut self.random.0)?;
        let public = private.public();
        let init = Message::new(message::KEX_ECDH_INIT).string(&public).done();
        self.seal(&[&init]);
        self.exchange = Exchange::Keying(Box::new(Keying {
            agreement: answer.agreement,
            private: Arc::new(private),
            public,
            ours,
            theirs: payload.to_vec(),
            ignores_next: answer.ignores_next,
        }));
        Ok(())
    }

    fn handle_reply(&mut self, payload: &[u8]) -> Result<(), Error> {
        let Exchange::Keying(keying) = &self.exchange else {
            return Err(Error::Unexpected { message: message::KEX_ECDH_REPLY });
        };
        let Keying { agreement, private, public, ours, theirs, .. } = &**keying;
        let mut fields = Fields::of(payload)?;
        let host_key = fields.string()?;
        let server_public = fields.string()?;
        let signature = fields.string()?;
        let secret: Secret = private.agree(server_public)?;
        let transcript = Transcript {
            client_version: version::OURS.as_bytes(),
            server_version: &self.server_version,
            client_kexinit: ours,
            server_kexinit: theirs,
            host_key,
            client_public: public,
            server_public,
        };
        let method = agreement.key_exchange;
        let hash = transcript.hash(method, &secret);
        let host_key = HostKey::verify(host_key, agreement.host_key, signature, &hash)?;
        if !fields.rest().is_empty() {
            return Err(fields.malformed());
        }
        if self.session.is_empty() {
            self.session = hash.clone();
        }
        let keys = |sealing, direction| {
            Keys::derive(method, sealing, direction, &secret, &hash, &self.session)
        };
        let fresh = Box::new(Fresh {
            agreement: *agreement,
            outgoing: keys(agreement.outgoing, Direction::ToServer),
            incoming: keys(agreement.incoming, Direction::ToClient),
        });
        match &self.host_key {
            None => {
                self.events.push_back(Event::HostKey(host_key.clone()));
                self.exchange = Exchange::Judging { fresh, host_key };
                Ok(())
            }
            Some(accepted) if *accepted == host_key => {
                self.switch(*fresh);
                Ok(())
            }
            Some(_) => Err(Error::HostKeyChanged),
        }
    }

    /// The host key is the right one.
    pub(super) fn accept_key(&mut self) -> Result<(), Error> {
        match core::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Judging { fresh, host_key } => {
                self.host_key = Some(host_key);
                self.switch(*fresh);
                self.stage = Stage::Service;
                self.send(Message::new(message::SERVICE_REQUEST).string("ssh-userauth").done())
            }
            other => {
                self.exchange = other;
                Ok(())
            }
        }
    }

    /// From here on we use the new keys.
    fn switch(&mut self, fresh: Fresh) {
        let Fresh { agreement, outgoing, incoming } = fresh;
        self.seal(&[&[message::NEWKEYS]]);
        self.sealer.rekey(&outgoing, self.is_strict);
        self.traffic[super::OUTGOING] = Traffic::default();
        self.exchange = Exchange::Switching { incoming: Box::new(incoming), agreement };
    }

    fn handle_newkeys(&mut self, payload: &[u8]) -> Result<(), Error> {
        match core::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Switching { incoming, agreement } if payload.len() == 1 => {
                self.opener.rekey(&incoming, self.is_strict);
                self.traffic[super::INCOMING] = Traffic::default();
                self.keys_since = self.now;
                self.agreement = Some(agreement);
                self.events.push_back(Event::Agreed(agreement));
                Ok(())
            }
            _ => Err(Error::Malformed { message: message::NEWKEYS }),
        }
    }
}
