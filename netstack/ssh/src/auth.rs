//! Authentication (RFC 4252, 4256, 8332): the credentials tried in turn, as far as the server takes their methods.
//!
//! ```text
//!  none ─failure: methods─► the first credential not tried whose method is among them ─failure─► … ─► given up
//!    └───────success───────────────────────┴──success──► authenticated
//! ```

use crate::algorithm::{SignatureAlgorithm, has};
use crate::error::Error;
use crate::key::PrivateKey;
use crate::message;
use crate::wire::{Fields, Message, one_line};
use core::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// By what a user is known.
#[derive(Clone)]
pub enum Credential {
    /// A key: method `publickey`.
    Key(Arc<PrivateKey>),
    /// A password: method `password`, or the answer to the one hidden question of `keyboard-interactive`.
    Password(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Password(_) => f.write_str("password"),
        }
    }
}

/// The service that is asked for after authentication.
const SERVICE: &str = "ssh-connection";
/// Rounds of questions of one `keyboard-interactive` that are answered.
const MAX_ROUNDS: usize = 4;
/// Questions of one round.
const MAX_QUESTIONS: u32 = 16;

/// One way with one credential.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
struct Try {
    method: &'static str,
    /// Index among the credentials.
    credential: usize,
    done: bool,
}

/// The machine of the client's side.
#[cfg_attr(any(test, fuzzing), derive(Clone))]
pub(crate) struct Authentication {
    user: String,
    credentials: Vec<Credential>,
    tries: Vec<Try>,
    /// Which try is under way; `None`: the probe `none`.
    current: Option<usize>,
    rounds: usize,
    /// The password was given as an answer in this try.
    answered: bool,
    tried: Vec<&'static str>,
    notes: Vec<&'static str>,
    /// The signature algorithms that the server says it takes (RFC 8308 §3.1).
    pub(crate) server_algorithms: Option<Vec<u8>>,
}

/// What the server's message leads to.
pub(crate) enum Step {
    /// Send this.
    Send(Vec<u8>),
    /// We are in; by this method.
    Done(&'static str),
}

impl Authentication {
    pub(crate) fn new(user: String, credentials: Vec<Credential>) -> Self {
        let mut tries = Vec::new();
        for (index, credential) in credentials.iter().enumerate() {
            let methods: &[_] = match credential {
                Credential::Key(_) => &["publickey"],
                Credential::Password(_) => &["password", "keyboard-interactive"],
            };
            tries.extend(methods.iter().map(|method| Try {
                method,
                credential: index,
                done: false,
            }));
        }
        Self {
            user,
            credentials,
            tries,
            current: None,
            rounds: 0,
            answered: false,
            tried: Vec::new(),
            notes: Vec::new(),
            server_algorithms: None,
        }
    }

    /// The probe: it tells the methods, and some servers let it pass.
    pub(crate) fn start(&mut self) -> Vec<u8> {
        self.tried.push("none");
        self.request("none").done()
    }

    /// Takes a message with a number of 50 to 79, banners apart.
    pub(crate) fn handle(&mut self, payload: &[u8], session: &[u8]) -> Result<Step, Error> {
        let mut fields = Fields::of(payload)?;
        let method = self.current.map_or("none", |current| self.tries[current].method);
        match (fields.message(), method) {
            (message::USERAUTH_SUCCESS, _) => Ok(Step::Done(method)),
            (message::USERAUTH_FAILURE, _) => {
                let methods = fields.string()?;
                // a step of several: what was tried before may be wanted no more, the list says so
                let _partial = fields.boolean()?;
                self.next(methods, session)
            }
            (message::USERAUTH_60, "password") => {
                // another password is not ours to choose
                self.notes.push("the server wants the password changed");
                self.next(b"publickey,keyboard-interactive", session)
            }
            (message::USERAUTH_60, "keyboard-interactive") => self.answer(fields, session),
            (message, _) => Err(Error::Unexpected { message }),
        }
    }

    fn next(&mut self, methods: &[u8], session: &[u8]) -> Result<Step, Error> {
        loop {
            let fits = |it: &Try| !it.done && has(methods, it.method);
            let Some(index) = self.tries.iter().position(fits) else {
                return Err(Error::NotAuthenticated {
                    tried: core::mem::take(&mut self.tried),
                    accepted: one_line(methods),
                    notes: core::mem::take(&mut self.notes),
                });
            };
            let it = &mut self.tries[index];
            it.done = true;
            let (method, credential) = (it.method, it.credential);
            self.current = Some(index);
            (self.rounds, self.answered) = (0, false);
            let sent = match &self.credentials[credential] {
                Credential::Key(key) => self.sign(key, session)?,
                Credential::Password(password) if method == "password" => {
                    Some(self.request(method).boolean(false).string(&**password).done())
                }
                Credential::Password(_) => Some(self.request(method).string("").string("").done()),
            };
            match sent {
                Some(message) => {
                    self.tried.push(method);
                    return Ok(Step::Send(message));
                }
                None => self.notes.push("the server takes no signature that the key can make"),
            }
        }
    }

    /// The request with its signature: no question first whether the key would do, that only costs a round trip.
    fn sign(&self, key: &PrivateKey, session: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let algorithms = key.algorithms();
        let algorithm = match &self.server_algorithms {
            Some(theirs) => algorithms.iter().find(|it| has(theirs, it.name())),
            // servers of that age know the shorter hash best
            None => algorithms.last(),
        };
        let Some(&algorithm) = algorithm else { return Ok(None) };
        let request = |message: Message, algorithm: SignatureAlgorithm| {
            message.boolean(true).string(algorithm.name()).string(key.public_blob())
        };
        let message = request(self.request("publickey"), algorithm).done();
        let signed = Message::structure().string(session).octets(&message).done();
        let signature = key.sign(algorithm, &signed)?;
        Ok(Some(request(self.request("publickey"), algorithm).string(signature).done()))
    }

    /// Answers a hidden question with the password, once; no question at all with no answer.
    fn answer(&mut self, mut fields: Fields<'_>, session: &[u8]) -> Result<Step, Error> {
        for _ in 0..3 {
            // name, instruction, language
            fields.string()?;
        }
        let count = fields.uint32()?;
        if count > MAX_QUESTIONS {
            return Err(Error::Flood("questions"));
        }
        let mut hidden = 0;
        for _ in 0..count {
            fields.string()?;
            hidden += u32::from(!fields.boolean()?);
        }
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(Error::Flood("questions"));
        }
        let answer = Message::new(message::USERAUTH_INFO_RESPONSE).uint32(count);
        let password =
            self.current.and_then(|it| match &self.credentials[self.tries[it].credential] {
                Credential::Password(password) => Some(password),
                Credential::Key(_) => None,
            });
        match (count, hidden, self.answered, password) {
            (0, ..) => Ok(Step::Send(answer.done())),
            (1, 1, false, Some(password)) => {
                self.answered = true;
                Ok(Step::Send(answer.string(&**password).done()))
            }
            _ => {
                self.notes.push("the server asks what a password does not answer");
                self.next(b"publickey,password", session)
            }
        }
    }

    fn request(&self, method: &str) -> Message {
        Message::new(message::USERAUTH_REQUEST).string(&self.user).string(SERVICE).string(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> Credential {
        Credential::Password(Zeroizing::new("hunter2".into()))
    }

    fn key() -> Credential {
        Credential::Key(PrivateKey::from_ed25519(&[7; 32]).unwrap().into())
    }

    fn failure(methods: &str) -> Vec<u8> {
        Message::new(message::USERAUTH_FAILURE).string(methods).boolean(false).done()
    }

    fn questions(echoes: &[bool]) -> Vec<u8> {
        let head = Message::new(message::USERAUTH_60)
            .string("")
            .string("")
            .string("")
            .uint32(echoes.len() as u32);
        echoes.iter().fold(head, |message, &echo| message.string("Password: ").boolean(echo)).done()
    }

    fn sent(step: Result<Step, Error>) -> Vec<u8> {
        match step.unwrap() {
            Step::Send(message) => message,
            Step::Done(method) => panic!("done by {method}"),
        }
    }

    fn method(message: &[u8]) -> String {
        let mut fields = Fields::of(message).unwrap();
        assert_eq!(fields.message(), message::USERAUTH_REQUEST);
        assert_eq!(fields.text().unwrap(), "me");
        assert_eq!(fields.text().unwrap(), SERVICE);
        fields.text().unwrap().to_string()
    }

    #[test]
    fn credentials_are_tried_in_their_order_as_far_as_the_server_takes_them() {
        let mut auth = Authentication::new("me".into(), vec![key(), password()]);
        assert_eq!(method(&auth.start()), "none");
        let all = failure("password,publickey,keyboard-interactive");
        assert_eq!(method(&sent(auth.handle(&all, b"s"))), "publickey");
        // a step of several: the key was right, a password is wanted besides
        let step = sent(auth.handle(&failure("keyboard-interactive"), b"s"));
        assert_eq!(method(&step), "keyboard-interactive");
        let answer = sent(auth.handle(&questions(&[false]), b"s"));
        assert_eq!(answer, Message::new(61).uint32(1).string("hunter2").done());
        assert_eq!(sent(auth.handle(&questions(&[]), b"s")), Message::new(61).uint32(0).done());
        let done = auth.handle(&[message::USERAUTH_SUCCESS], b"s");
        assert!(matches!(done, Ok(Step::Done("keyboard-interactive"))));
    }

    #[test]
    fn what_was_tried_is_said() {
        let mut auth = Authentication::new("me".into(), vec![password()]);
        auth.start();
        assert_eq!(method(&sent(auth.handle(&failure("password,hostbased"), b"s"))), "password");
        let error = auth.handle(&failure("password,hostbased"), b"s").err().unwrap();
        assert_eq!(
            error.to_string(),
            "permission denied (tried none, password; the server takes password,hostbased)"
        );
        assert!(!format!("{error:?} {:?}", password()).contains("hunter2"));
    }

    #[test]
    fn an_old_password_is_not_changed() {
        let mut auth = Authentication::new("me".into(), vec![password()]);
        auth.start();
        sent(auth.handle(&failure("password"), b"s"));
        let change = Message::new(message::USERAUTH_60).string("too old").string("").done();
        let step = sent(auth.handle(&change, b"s"));
        assert_eq!(method(&step), "keyboard-interactive");
        let error = auth.handle(&failure("password"), b"s").err().unwrap().to_string();
        assert!(error.ends_with("the server wants the password changed"), "{error}");
    }

    #[test]
    fn questions_beyond_the_password_are_not_answered() {
        for asked in [&[true][..], &[false, false], &[false, true]] {
            let mut auth = Authentication::new("me".into(), vec![password()]);
            auth.start();
            sent(auth.handle(&failure("keyboard-interactive"), b"s"));
            assert_eq!(method(&sent(auth.handle(&questions(asked), b"s"))), "password");
        }
        let mut auth = Authentication::new("me".into(), vec![password()]);
        auth.start();
        sent(auth.handle(&failure("keyboard-interactive"), b"s"));
        sent(auth.handle(&questions(&[false]), b"s"));
        assert_eq!(
            method(&sent(auth.handle(&questions(&[false]), b"s"))),
            "password",
            "asked twice"
        );
    }

    #[test]
    fn endless_questions_end() {
        let mut auth = Authentication::new("me".into(), vec![password()]);
        auth.start();
        sent(auth.handle(&failure("keyboard-interactive"), b"s"));
        for _ in 0..MAX_ROUNDS {
            sent(auth.handle(&questions(&[]), b"s"));
        }
        assert!(matches!(auth.handle(&questions(&[]), b"s"), Err(Error::Flood(_))));
        let many = Message::new(60).string("").string("").string("").uint32(u32::MAX).done();
        let mut auth = Authentication::new("me".into(), vec![password()]);
        auth.start();
        sent(auth.handle(&failure("keyboard-interactive"), b"s"));
        assert!(matches!(auth.handle(&many, b"s"), Err(Error::Flood(_))));
    }

    #[test]
    fn answers_to_nothing_are_out_of_place() {
        for number in [message::USERAUTH_60, 61, 70] {
            let mut auth = Authentication::new("me".into(), vec![]);
            auth.start();
            let error = auth.handle(&[number], b"s").err();
            assert_eq!(error, Some(Error::Unexpected { message: number }));
        }
    }
}
