use super::*;
use crate::hostkey::HostKey;
use base64::Engine as _;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../../tests/keys/", $name))
    };
}

const PASSPHRASE: &str = "open sesame";

/// (private, public) as `ssh-keygen` wrote them.
const PLAIN: [(&str, &str); 4] = [
    (file!("ed"), file!("ed.pub")),
    (file!("p256"), file!("p256.pub")),
    (file!("p384"), file!("p384.pub")),
    (file!("rsa"), file!("rsa.pub")),
];

const ENCRYPTED: [(&str, &str); 3] = [
    (file!("enc_ctr"), file!("enc_ctr.pub")),
    (file!("enc_gcm"), file!("enc_gcm.pub")),
    (file!("enc_chacha"), file!("enc_chacha.pub")),
];

fn blob(public: &str) -> Vec<u8> {
    let base64 = public.split_whitespace().nth(1).unwrap();
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

fn signs(key: &PrivateKey) {
    for &algorithm in key.algorithms() {
        let signature = key.sign(algorithm, b"message").unwrap();
        HostKey::verify(key.public_blob(), algorithm, &signature, b"message").unwrap();
        let wrong = HostKey::verify(key.public_blob(), algorithm, &signature, b"massage");
        assert_eq!(wrong, Err(Error::Signature));
        let mut changed = signature.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(
            HostKey::verify(key.public_blob(), algorithm, &changed, b"message"),
            Err(Error::Signature)
        );
        for len in 0..signature.len() {
            assert!(
                HostKey::verify(key.public_blob(), algorithm, &signature[..len], b"message")
                    .is_err()
            );
        }
        for len in 0..key.public_blob().len() {
            let cut = HostKey::verify(&key.public_blob()[..len], algorithm, &signature, b"message");
            assert_eq!(cut, Err(Error::HostKeyUnusable));
        }
    }
}

#[test]
fn key_files_are_read_and_sign() {
    for (private, public) in PLAIN {
        let key = PrivateKey::from_openssh(private, None).unwrap();
        assert_eq!(key.public_blob(), blob(public));
        signs(&key);
        // a passphrase that is not needed does no harm
        PrivateKey::from_openssh(private, Some(PASSPHRASE)).unwrap();
    }
}

#[test]
fn encrypted_key_files_want_their_passphrase() {
    for (private, public) in ENCRYPTED {
        assert_eq!(PrivateKey::from_openssh(private, None).unwrap_err(), KeyError::Encrypted);
        assert_eq!(PrivateKey::from_openssh(private, Some("x")).unwrap_err(), KeyError::Passphrase);
        let key = PrivateKey::from_openssh(private, Some(PASSPHRASE)).unwrap();
        assert_eq!(key.public_blob(), blob(public));
        signs(&key);
    }
}

#[test]
fn what_is_no_key_is_said() {
    assert_eq!(PrivateKey::from_openssh(file!("p521"), None).unwrap_err(), KeyError::Kind);
    for text in ["", "hello", file!("ed.pub"), &file!("ed")[..200]] {
        assert_eq!(PrivateKey::from_openssh(text, None).unwrap_err(), KeyError::Malformed);
    }
    for octets in [&[][..], &[0; 31], &[0; 64]] {
        assert_eq!(PrivateKey::from_ed25519(octets).unwrap_err(), KeyError::Malformed);
    }
    assert_eq!(PrivateKey::from_rsa_der(&[0x30, 0]).unwrap_err(), KeyError::Malformed);
}

#[test]
fn a_key_shows_its_kind_alone() {
    let key = PrivateKey::from_openssh(PLAIN[0].0, None).unwrap();
    assert_eq!(format!("{key:?}"), "ssh-ed25519");
}

#[test]
fn remainders_are_right() {
    // 1000 mod 6, 5 mod 256, 65535 mod 256
    assert_eq!(**remainder(&[3, 232], &[7]), [4]);
    assert_eq!(**remainder(&[5], &[1, 1]), [5]);
    assert_eq!(**remainder(&[255, 255], &[1, 1]), [255]);
    assert!(remainder(&[12], &[7]).is_empty());
}
