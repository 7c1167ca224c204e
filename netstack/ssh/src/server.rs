//! A server that says what a test wants it to say: the peer of this crate's tests and fuzz targets, and of tests of whole
//! programs. Not for use: it knows nobody, and its randomness is none.

pub mod hostile;
#[cfg(any(test, fuzzing))]
pub mod script;

use crate::algorithm::{Algorithms, Cipher, KeyExchange, Mac, SignatureAlgorithm, agree, proposal};
use crate::exchange::{Direction, Keys, Private, Secret, Transcript};
use crate::key::PrivateKey;
use crate::message;
use crate::packet::{Opened, Opener, Sealer};
use crate::wire::{Fields, Message};
use crate::{NoRandomness, Random, Source};
use graviola::hashing::{Hash as _, HashContext as _, Sha256};
use graviola::key_agreement::{mlkem768, x25519};
use std::collections::VecDeque;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Octets that count: the same in every run.
pub fn counting() -> Random {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    Box::new(move |octets| {
        for octet in octets {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *octet = state as u8;
        }
        Ok::<_, NoRandomness>(())
    })
}

/// What a server is like.
#[derive(Clone)]
pub struct Options {
    /// The only algorithms that it offers.
    pub algorithms: Algorithms,
    /// It marks strict key exchange.
    pub is_strict: bool,
    /// Its host key.
    pub host_key: Arc<PrivateKey>,
    /// Its first line, without its end.
    pub version: &'static str,
    /// What it slips in.
    pub injected: Vec<(Place, Vec<u8>)>,
    /// Its signatures are for something else.
    pub lies: bool,
}

/// Places for packets that do not belong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before its KEXINIT.
    Start,
    /// After it.
    Offered,
    /// After its half of the secret.
    Replied,
}

impl Options {
    /// A strict server with one algorithm of each kind.
    pub fn new() -> Self {
        Self {
            algorithms: Algorithms {
                key_exchanges: vec![KeyExchange::Curve25519],
                host_keys: vec![SignatureAlgorithm::Ed25519],
                ciphers: vec![Cipher::Aes128Gcm],
                macs: vec![Mac::HmacSha256],
            },
            is_strict: true,
            host_key: Arc::new(PrivateKey::from_ed25519(&[7; 32]).expect("a seed is 32 octets")),
            version: "SSH-2.0-test",
            injected: Vec::new(),
            lies: false,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// A server that goes through key exchanges by itself and keeps what else it is told.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub struct Server {
    options: Options,
    random: Source,
    sealer: Sealer,
    opener: Opener,
    input: Vec<u8>,
    /// What it sends.
    pub out: Vec<u8>,
    /// Messages for its owner to answer.
    pub received: Vec<Vec<u8>>,
    version: Option<Vec<u8>>,
    ours: Option<Vec<u8>>,
    theirs: Vec<u8>,
    session: Vec<u8>,
    incoming: Option<Keys>,
    /// Key exchanges done.
    pub exchanges: usize,
    /// Its part of key exchanges waits for [`release`](Server::release).
    pub hesitates: bool,
    held: VecDeque<Part>,
}

/// What a key exchange makes a server do.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
enum Part {
    Send(Vec<u8>),
    Switch(Keys),
}

impl Server {
    /// A server at its start.
    pub fn new(options: Options) -> Self {
        let out = format!("{}\r\n", options.version).into_bytes();
        let mut server = Self {
            options,
            random: Source(counting()),
            sealer: Sealer::clear(),
            opener: Opener::clear(),
            input: Vec::new(),
            out,
            received: Vec::new(),
            version: None,
            ours: None,
            theirs: Vec::new(),
            session: Vec::new(),
            incoming: None,
            exchanges: 0,
            hesitates: false,
            held: VecDeque::new(),
        };
        server.inject(Place::Start);
        server.offer();
        server
    }

    /// Sends a message.
    pub fn send(&mut self, payload: &[u8]) {
        self.sealer.seal(&mut self.out, &[payload]);
    }

    /// Begins a key exchange.
    pub fn offer(&mut self) {
        // written out, so that a client which knows it by another name fails
        let strict = "kex-strict-s-v00@openssh.com";
        let marks: &[_] = if self.options.is_strict { &[strict] } else { &[] };
        let ours = proposal(&self.options.algorithms, [9; 16], marks);
        self.ours = Some(ours.clone());
        self.part(Part::Send(ours));
        self.inject(Place::Offered);
    }

    /// Sends the next message of a key exchange that was held back.
    pub fn release(&mut self) {
        if let Some(part) = self.held.pop_front() {
            self.act(part);
        }
        // its own NEWKEYS and the keys are one
        if let Some(Part::Switch(_)) = self.held.front() {
            self.release();
        }
    }

    fn part(&mut self, part: Part) {
        match self.hesitates {
            true => self.held.push_back(part),
            false => self.act(part),
        }
    }

    fn act(&mut self, part: Part) {
        match part {
            Part::Send(payload) => self.send(&payload),
            Part::Switch(keys) => self.sealer.rekey(&keys, self.options.is_strict),
        }
    }

    /// Takes what the client sent; what makes no sense to it is passed over.
    pub fn handle(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        if self.version.is_none() {
            let Some(end) = self.input.iter().position(|&octet| octet == b'\n') else { return };
            self.version = Some(self.input[..end - 1].to_vec());
            self.input.drain(..=end);
        }
        while let Ok(Opened::Packet { payload, total, .. }) = self.opener.open(&mut self.input) {
            let payload = self.input[payload].to_vec();
            self.input.drain(..total);
            self.handle_packet(payload);
        }
    }

    fn handle_packet(&mut self, payload: Vec<u8>) {
        match payload[0] {
            message::KEXINIT => {
                if self.ours.is_none() {
                    self.offer();
                }
                self.theirs = payload;
            }
            message::KEX_ECDH_INIT => self.reply(&payload),
            message::NEWKEYS => {
                let Some(keys) = self.incoming.take() else { return };
                self.opener.rekey(&keys, self.options.is_strict);
                self.exchanges += 1;
            }
            _ => self.received.push(payload),
        }
    }

    fn reply(&mut self, payload: &[u8]) {
        let client_public = Fields::of(payload).and_then(|mut it| it.string());
        let agreed = agree(&self.options.algorithms, &self.theirs);
        let (Ok(client_public), Ok(agreed), Some(ours)) = (client_public, agreed, self.ours.take())
        else {
            return;
        };
        let mut agreement = agreed.agreement;
        // the directions are the client's
        core::mem::swap(&mut agreement.outgoing, &mut agreement.incoming);
        let method = agreement.key_exchange;
        let (server_public, secret) = answer(method, client_public, &mut self.random.0);
        let host_key = self.options.host_key.public_blob().to_vec();
        let hash = Transcript {
            client_version: self.version.as_deref().unwrap_or_default(),
            server_version: self.options.version.as_bytes(),
            client_kexinit: &self.theirs,
            server_kexinit: &ours,
            host_key: &host_key,
            client_public,
            server_public: &server_public,
        }
        .hash(method, &secret);
        if self.session.is_empty() {
            self.session.clone_from(&hash);
        }
        let signed: &[u8] = if self.options.lies { b"something else" } else { &hash };
        let signature =
            self.options.host_key.sign(agreement.host_key, signed).expect("a key that signs");
        let reply = Message::new(message::KEX_ECDH_REPLY).string(host_key).string(server_public);
        self.part(Part::Send(reply.string(signature).done()));
        self.inject(Place::Replied);
        self.part(Part::Send(vec![message::NEWKEYS]));
        let keys = |sealing, direction| {
            Keys::derive(method, sealing, direction, &secret, &hash, &self.session)
        };
        let outgoing = keys(agreement.outgoing, Direction::ToClient);
        self.incoming = Some(keys(agreement.incoming, Direction::ToServer));
        self.part(Part::Switch(outgoing));
    }

    fn inject(&mut self, place: Place) {
        let injected: Vec<_> = self
            .options
            .injected
            .iter()
            .filter(|(at, _)| *at == place)
            .map(|(_, it)| it.clone())
            .collect();
        injected.into_iter().for_each(|payload| self.part(Part::Send(payload)));
    }
}

/// A server's half and the secret.
pub(crate) fn answer(method: KeyExchange, theirs: &[u8], random: &mut Random) -> (Vec<u8>, Secret) {
    const WELL: &str = "the client's half is well formed";
    if method != KeyExchange::MlKem768X25519 {
        let private = Private::draw(method, random).expect(WELL);
        return (private.public(), private.agree(theirs).expect(WELL));
    }
    let (kem, classic) = theirs.split_first_chunk().expect(WELL);
    let mut seed = [0; 32];
    random(&mut seed).expect("it counts");
    let (quantum, ciphertext) =
        mlkem768::EncapKey::from_bytes(kem).expect(WELL).encaps_internal(mlkem768::Message(seed));
    let key = x25519::StaticPrivateKey::from_array(&seed);
    let shared = x25519::PublicKey::try_from_slice(classic)
        .and_then(|it| key.diffie_hellman(&it))
        .expect(WELL);
    let mut hash = Sha256::new();
    hash.update(quantum.as_ref());
    hash.update(&shared.0);
    let secret = Zeroizing::new(Message::structure().string(hash.finish()).done());
    ([&ciphertext.as_ref()[..], &key.public_key().as_bytes()].concat(), secret)
}
