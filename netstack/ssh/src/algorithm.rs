//! The algorithms by name, and the agreement on them (RFC 4253 §7.1).

use crate::error::Error;
use crate::hostkey;
use crate::message;
use crate::wire::{Fields, Message, one_line};

/// An algorithm that has a name on the wire.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// Every one, the preferred first.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl Named for $type {
            fn name(self) -> &'static str {
                self.name()
            }
        }
    };
}

pub(crate) trait Named: Copy {
    fn name(self) -> &'static str;
}

named! {
    /// How a secret is agreed on.
    KeyExchange {
        /// ML-KEM-768 and X25519 together: holds where either of the two holds.
        MlKem768X25519 = "mlkem768x25519-sha256",
        /// RFC 8731.
        Curve25519 = "curve25519-sha256",
        /// The same under the name that it had first.
        Curve25519Libssh = "curve25519-sha256@libssh.org",
        /// RFC 5656.
        EcdhNistP256 = "ecdh-sha2-nistp256",
        /// RFC 5656.
        EcdhNistP384 = "ecdh-sha2-nistp384",
    }
}

named! {
    /// How a server (or a user) proves who it is.
    SignatureAlgorithm {
        /// RFC 8709.
        Ed25519 = "ssh-ed25519",
        /// RFC 5656.
        EcdsaNistP256 = "ecdsa-sha2-nistp256",
        /// RFC 5656.
        EcdsaNistP384 = "ecdsa-sha2-nistp384",
        /// RFC 8332.
        RsaSha512 = "rsa-sha2-512",
        /// RFC 8332.
        RsaSha256 = "rsa-sha2-256",
    }
}

named! {
    /// How packets are encrypted. What the Terrapin attack can bend stands last, so that it is agreed on only
    /// with a server that has nothing else; without strict key exchange it is then refused.
    Cipher {
        /// RFC 5647 with OpenSSH's rules of agreement.
        Aes128Gcm = "aes128-gcm@openssh.com",
        /// The same with a longer key.
        Aes256Gcm = "aes256-gcm@openssh.com",
        /// RFC 4344.
        Aes128Ctr = "aes128-ctr",
        /// RFC 4344.
        Aes256Ctr = "aes256-ctr",
        /// OpenSSH's PROTOCOL.chacha20poly1305. Only under strict key exchange.
        ChaCha20Poly1305 = "chacha20-poly1305@openssh.com",
    }
}

named! {
    /// How packets are authenticated where the cipher does not; the order is as for ciphers.
    Mac {
        /// RFC 6668.
        HmacSha256 = "hmac-sha2-256",
        /// RFC 6668.
        HmacSha512 = "hmac-sha2-512",
        /// Over the ciphertext. Only under strict key exchange.
        HmacSha256Etm = "hmac-sha2-256-etm@openssh.com",
        /// Over the ciphertext. Only under strict key exchange.
        HmacSha512Etm = "hmac-sha2-512-etm@openssh.com",
    }
}

impl Cipher {
    /// Whether it authenticates, too.
    pub(crate) fn is_aead(self) -> bool {
        !matches!(self, Self::Aes128Ctr | Self::Aes256Ctr)
    }
}

impl Mac {
    /// Whether it is over the ciphertext.
    pub(crate) fn is_etm(self) -> bool {
        matches!(self, Self::HmacSha256Etm | Self::HmacSha512Etm)
    }
}

/// What is offered to a server, the preferred first. An empty list of one kind leaves no connection.
#[derive(Debug, Clone)]
pub struct Algorithms {
    /// Key exchanges.
    pub key_exchanges: Vec<KeyExchange>,
    /// Kinds of host keys.
    pub host_keys: Vec<SignatureAlgorithm>,
    /// Ciphers, both ways.
    pub ciphers: Vec<Cipher>,
    /// Authentication codes, both ways.
    pub macs: Vec<Mac>,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self {
            key_exchanges: KeyExchange::ALL.to_vec(),
            host_keys: SignatureAlgorithm::ALL.to_vec(),
            ciphers: Cipher::ALL.to_vec(),
            macs: Mac::ALL.to_vec(),
        }
    }
}

/// How packets of one direction are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealing {
    /// The cipher.
    pub cipher: Cipher,
    /// The authentication code; `None` where the cipher authenticates.
    pub mac: Option<Mac>,
}

/// What two sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The key exchange.
    pub key_exchange: KeyExchange,
    /// The kind of the host key.
    pub host_key: SignatureAlgorithm,
    /// From us to the server.
    pub outgoing: Sealing,
    /// From the server to us.
    pub incoming: Sealing,
}

impl core::fmt::Display for Agreement {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { key_exchange, host_key, outgoing, incoming } = self;
        write!(f, "{} {} {outgoing}", key_exchange.name(), host_key.name())?;
        match outgoing == incoming {
            true => Ok(()),
            false => write!(f, " (incoming {incoming})"),
        }
    }
}

impl core::fmt::Display for Sealing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.cipher.name())?;
        self.mac.map_or(Ok(()), |mac| write!(f, " {}", mac.name()))
    }
}

/// Names that stand among the key exchanges but are none.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
/// RFC 8308 §2.1.
const EXT_INFO_CLIENT: &str = "ext-info-c";

const COOKIE: usize = 16;

/// Our KEXINIT.
pub(crate) fn offer(algorithms: &Algorithms, cookie: [u8; COOKIE], is_first: bool) -> Vec<u8> {
    let marks: &[_] = if is_first { &[EXT_INFO_CLIENT, STRICT_CLIENT] } else { &[] };
    proposal(algorithms, cookie, marks)
}

/// Either side's KEXINIT (RFC 4253 §7.1), with `marks` behind the key exchanges.
pub(crate) fn proposal(
    algorithms: &Algorithms,
    cookie: [u8; COOKIE],
    marks: &[&'static str],
) -> Vec<u8> {
    let kex = algorithms.key_exchanges.iter().map(|it| it.name()).chain(marks.iter().copied());
    let ciphers = || algorithms.ciphers.iter().map(|it| it.name());
    let macs = || algorithms.macs.iter().map(|it| it.name());
    Message::new(message::KEXINIT)
        .octets(&cookie)
        .names(kex)
        .names(algorithms.host_keys.iter().map(|it| it.name()))
        .names(ciphers())
        .names(ciphers())
        .names(macs())
        .names(macs())
        .names(["none"])
        .names(["none"])
        .names([])
        .names([])
        // we never guess
        .boolean(false)
        .uint32(0)
        .done()
}

/// What follows from the server's KEXINIT.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) agreement: Agreement,
    /// The kinds of host keys that the server has and we know.
    pub(crate) kinds: Vec<&'static str>,
    /// The server marks strict key exchange.
    pub(crate) is_strict: bool,
    /// The next packet of the server's key exchange was guessed wrong: it is to be passed over.
    pub(crate) ignores_next: bool,
}

/// The first of ours that the server has, for each kind.
pub(crate) fn agree(ours: &Algorithms, kexinit: &[u8]) -> Result<Answer, Error> {
    let mut fields = Fields::of(kexinit)?;
    let _: [u8; COOKIE] = fields.octets()?;
    let mut lists = [[].as_slice(); 10];
    for list in &mut lists {
        *list = fields.string()?;
    }
    let follows = fields.boolean()?;
    fields.uint32()?;
    let [kex, host_keys, cipher_out, cipher_in, mac_out, mac_in, compress_out, compress_in, ..] =
        lists;
    let key_exchange = pick(&ours.key_exchanges, kex, "key exchange")?;
    let host_key = pick(&ours.host_keys, host_keys, "kind of host key")?;
    let is_strict = has(kex, STRICT_SERVER);
    let sealing = |ciphers, macs| {
        let cipher = pick(&ours.ciphers, ciphers, "cipher")?;
        let mac = match cipher.is_aead() {
            true => None,
            false => Some(pick(&ours.macs, macs, "authentication code")?),
        };
        Ok(Sealing { cipher, mac })
    };
    let agreement = Agreement {
        key_exchange,
        host_key,
        outgoing: sealing(cipher_out, mac_out)?,
        incoming: sealing(cipher_in, mac_in)?,
    };
    for compression in [compress_out, compress_in] {
        if !has(compression, "none") {
            let offered = one_line(compression);
            return Err(Error::NoCommonAlgorithm {
                kind: "compression (there is only none)",
                offered,
            });
        }
    }
    let is_first =
        |ours: Option<&str>, theirs| ours.is_some_and(|it| it.as_bytes() == first(theirs));
    // right or wrong goes by what either side prefers, not by what is agreed on
    let guessed_right = is_first(ours.key_exchanges.first().map(|it| it.name()), kex)
        && is_first(ours.host_keys.first().map(|it| it.name()), host_keys);
    let common = ours.host_keys.iter().filter(|it| has(host_keys, it.name()));
    let mut kinds: Vec<_> = common.map(|it| hostkey::kind(*it)).collect();
    kinds.dedup();
    Ok(Answer { agreement, kinds, is_strict, ignores_next: follows && !guessed_right })
}

/// What of an agreement needs strict key exchange.
pub(crate) fn unsafe_without_strict(agreement: &Agreement) -> Option<&'static str> {
    [agreement.outgoing, agreement.incoming].into_iter().find_map(|Sealing { cipher, mac }| match (
        cipher, mac,
    ) {
        (Cipher::ChaCha20Poly1305, _) => Some(cipher.name()),
        (_, Some(mac)) if mac.is_etm() => Some(mac.name()),
        _ => None,
    })
}

/// Whether a comma-separated list has a name.
pub(crate) fn has(list: &[u8], name: &str) -> bool {
    list.split(|&octet| octet == b',').any(|entry| entry == name.as_bytes())
}

fn first(list: &[u8]) -> &[u8] {
    list.split(|&octet| octet == b',').next().unwrap_or_default()
}

fn pick<T: Named>(ours: &[T], theirs: &[u8], kind: &'static str) -> Result<T, Error> {
    let picked = ours.iter().find(|our| has(theirs, our.name()));
    picked.copied().ok_or_else(|| Error::NoCommonAlgorithm { kind, offered: one_line(theirs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kexinit(lists: [&str; 8], follows: bool) -> Vec<u8> {
        let message = Message::new(message::KEXINIT).octets(&[0; COOKIE]);
        let message = lists.iter().fold(message, |message, list| message.string(list));
        message.string("").string("").boolean(follows).uint32(0).done()
    }

    const PLAIN: [&str; 8] = [
        "sntrup761x25519-sha512,curve25519-sha256,mlkem768x25519-sha256",
        "ssh-rsa,rsa-sha2-256,ssh-ed25519",
        "chacha20-poly1305@openssh.com,aes256-ctr",
        "aes256-gcm@openssh.com",
        "hmac-sha2-512-etm@openssh.com,hmac-sha2-512",
        "hmac-md5",
        "none",
        "zlib@openssh.com,none",
    ];

    #[test]
    fn the_clients_first_wins() {
        let answer = agree(&Algorithms::default(), &kexinit(PLAIN, true)).unwrap();
        assert_eq!(answer.agreement.key_exchange, KeyExchange::MlKem768X25519);
        assert_eq!(answer.agreement.host_key, SignatureAlgorithm::Ed25519);
        let outgoing = Sealing { cipher: Cipher::Aes256Ctr, mac: Some(Mac::HmacSha512) };
        assert_eq!(answer.agreement.outgoing, outgoing);
        assert_eq!(answer.agreement.incoming, Sealing { cipher: Cipher::Aes256Gcm, mac: None });
        assert_eq!(answer.kinds, ["ssh-ed25519", "ssh-rsa"]);
        assert!(answer.ignores_next && !answer.is_strict);
        assert_eq!(unsafe_without_strict(&answer.agreement), None);
    }

    #[test]
    fn a_right_guess_stands() {
        let mut lists = PLAIN;
        lists[0] = "mlkem768x25519-sha256,kex-strict-s-v00@openssh.com";
        lists[1] = "ssh-ed25519";
        let answer = agree(&Algorithms::default(), &kexinit(lists, true)).unwrap();
        assert!(!answer.ignores_next && answer.is_strict);
        // what is agreed on is the server's first, and still not what we would have guessed
        lists[0] = "curve25519-sha256";
        let answer = agree(&Algorithms::default(), &kexinit(lists, true)).unwrap();
        assert!(answer.ignores_next);
    }

    #[test]
    fn what_needs_strictness_is_named() {
        for (cipher, mac, named) in [
            ("chacha20-poly1305@openssh.com", "", "chacha20-poly1305@openssh.com"),
            ("aes128-ctr", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-256-etm@openssh.com"),
        ] {
            let mut lists = PLAIN;
            (lists[2], lists[4]) = (cipher, mac);
            let answer = agree(&Algorithms::default(), &kexinit(lists, false)).unwrap();
            assert_eq!(unsafe_without_strict(&answer.agreement), Some(named));
        }
    }

    #[test]
    fn no_common_algorithm_is_said() {
        for (index, kind) in [
            (0, "key exchange"),
            (1, "kind of host key"),
            (2, "cipher"),
            (4, "auth"),
            (6, "compression"),
        ] {
            let mut lists = PLAIN;
            lists[index] = "xyz\u{7}";
            let error =
                agree(&Algorithms::default(), &kexinit(lists, false)).unwrap_err().to_string();
            assert!(error.contains(kind) && error.contains("xyz\u{fffd}"), "{error}");
        }
    }

    #[test]
    fn our_offer_parses_and_is_marked_once() {
        let algorithms = Algorithms::default();
        let payload = offer(&algorithms, [7; COOKIE], true);
        let answer = agree(&algorithms, &payload).unwrap();
        assert_eq!(answer.agreement.outgoing.cipher, Cipher::Aes128Gcm);
        let text = String::from_utf8_lossy(&payload).into_owned();
        assert!(text.contains(STRICT_CLIENT) && text.contains(EXT_INFO_CLIENT));
        let again = offer(&algorithms, [7; COOKIE], false);
        assert!(!String::from_utf8_lossy(&again).contains("kex-strict"));
    }

    #[test]
    fn a_cut_offer_is_malformed() {
        let whole = kexinit(PLAIN, false);
        for len in 1..whole.len() {
            assert_eq!(
                agree(&Algorithms::default(), &whole[..len]).unwrap_err(),
                Error::Malformed { message: 20 }
            );
        }
    }
}
