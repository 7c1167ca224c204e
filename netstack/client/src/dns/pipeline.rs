//! Many questions on one connection (RFC 7766 §6.2.1.1): framing, identifiers, bounds. No I/O.

use std::collections::VecDeque;

/// So many questions of ours are with the server at once; the others wait for their turn.
pub const MAX_OUTSTANDING: usize = 63;
/// A message's length stands in front of it.
const PREFIX: usize = 2;

/// Names a question on its way.
pub type Token = u64;

/// The questions and the octets of one connection.
#[derive(Debug)]
pub struct Pipeline {
    next_token: Token,
    next_id: u16,
    /// Not yet sent, in order.
    waiting: VecDeque<(Token, Vec<u8>)>,
    /// With the server; `None`: nobody waits for it any more, but the server may still answer.
    outstanding: Vec<(u16, Option<Token>)>,
    answered: Vec<(Token, u16, Vec<u8>)>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Pipeline {
    /// An empty one; identifiers count from `first_id`.
    pub fn new(first_id: u16) -> Self {
        Self {
            next_token: 0,
            next_id: first_id,
            waiting: VecDeque::new(),
            outstanding: Vec::new(),
            answered: Vec::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
        }
    }

    /// Takes a question; its identifier is chosen here. At most 65 535 octets long.
    pub fn submit(&mut self, message: Vec<u8>) -> Token {
        self.next_token += 1;
        self.waiting.push_back((self.next_token, message));
        self.fill();
        self.next_token
    }

    /// What is to be written next; empty: nothing.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// So many octets of [`Self::outgoing`] were written.
    pub fn written(&mut self, octets: usize) {
        self.outgoing.drain(..octets);
    }

    /// Octets came; the questions that they answer. What nobody asked for is dropped.
    pub fn received(&mut self, octets: &[u8]) -> Vec<Token> {
        self.incoming.extend_from_slice(octets);
        let mut answered = Vec::new();
        let mut start = 0;
        while let Some((prefix, rest)) = self.incoming[start..].split_first_chunk::<PREFIX>() {
            let len = usize::from(u16::from_be_bytes(*prefix));
            let Some(message) = rest.get(..len) else { break };
            start += PREFIX + len;
            let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else {
                continue;
            };
            let Some(index) = self.index_of(id) else { continue };
            if let (_, Some(token)) = self.outstanding.swap_remove(index) {
                self.answered.push((token, id, message.to_vec()));
                answered.push(token);
            }
        }
        self.incoming.drain(..start);
        self.fill();
        answered
    }

    /// The answer to a question and the identifier that it was asked with, once.
    pub fn take(&mut self, token: Token) -> Option<(u16, Vec<u8>)> {
        let index = self.answered.iter().position(|(answered, ..)| *answered == token)?;
        let (_, id, message) = self.answered.swap_remove(index);
        Some((id, message))
    }

    /// Nobody waits for this one any more.
    pub fn forget(&mut self, token: Token) {
        self.answered.retain(|(answered, ..)| *answered != token);
        self.waiting.retain(|(waiting, _)| *waiting != token);
        for (_, asked) in self.outstanding.iter_mut().filter(|(_, asked)| *asked == Some(token)) {
            *asked = None;
        }
    }

    /// How many questions are with the server.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many of them nobody waits for.
    pub fn forgotten(&self) -> usize {
        self.outstanding.iter().filter(|(_, asked)| asked.is_none()).count()
    }

    fn index_of(&self, id: u16) -> Option<usize> {
        self.outstanding.iter().position(|(asked, _)| *asked == id)
    }

    fn fill(&mut self) {
        while self.outstanding.len() < MAX_OUTSTANDING {
            let Some((token, mut message)) = self.waiting.pop_front() else { return };
            while self.index_of(self.next_id).is_some() {
                self.next_id = self.next_id.wrapping_add(1);
            }
            let id = self.next_id;
            self.next_id = id.wrapping_add(1);
            self.outstanding.push((id, Some(token)));
            message[..2].copy_from_slice(&id.to_be_bytes());
            let len = u16::try_from(message.len()).expect("a question is shorter than 64 KiB");
            self.outgoing.extend(len.to_be_bytes());
            self.outgoing.extend(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(pipeline: &mut Pipeline) -> Vec<u16> {
        let octets = pipeline.outgoing().to_vec();
        pipeline.written(octets.len());
        octets.chunks(6).map(|frame| u16::from_be_bytes([frame[2], frame[3]])).collect()
    }

    fn answer(id: u16, text: &[u8]) -> Vec<u8> {
        let len = (text.len() + 2) as u16;
        [&len.to_be_bytes(), &id.to_be_bytes(), text].concat()
    }

    #[test]
    fn answers_come_in_any_order_and_in_any_pieces() {
        let mut pipeline = Pipeline::new(u16::MAX);
        let tokens: Vec<_> = (0..3).map(|_| pipeline.submit(vec![0; 4])).collect();
        assert_eq!(sent(&mut pipeline), [u16::MAX, 0, 1]);
        let mut answered = Vec::new();
        for octet in [answer(1, b"c"), answer(9, b"?"), answer(0, b"b")].concat() {
            answered.extend(pipeline.received(&[octet]));
        }
        assert_eq!(answered, [tokens[2], tokens[1]]);
        assert_eq!(pipeline.take(tokens[2]), Some((1, b"\0\x01c".to_vec())));
        assert_eq!(pipeline.take(tokens[2]), None);
        assert_eq!(pipeline.take(tokens[0]), None);
        assert_eq!(pipeline.received(&answer(1, b"again")), []);
        assert_eq!(pipeline.outstanding(), 1);
    }

    #[test]
    fn no_more_than_the_limit_is_outstanding() {
        let mut pipeline = Pipeline::new(0);
        let tokens: Vec<_> = (0..1000).map(|_| pipeline.submit(vec![0; 4])).collect();
        let mut done = 0;
        loop {
            let ids = sent(&mut pipeline);
            assert!(pipeline.outstanding() <= MAX_OUTSTANDING);
            if ids.is_empty() {
                break;
            }
            for id in ids.into_iter().rev() {
                done += pipeline.received(&answer(id, b"x")).len();
            }
        }
        assert_eq!(done, tokens.len());
        assert!(tokens.iter().all(|&token| pipeline.take(token).is_some()));
    }

    #[test]
    fn what_is_forgotten_holds_its_identifier_until_it_is_answered() {
        let mut pipeline = Pipeline::new(0);
        let tokens: Vec<_> = (0..65).map(|_| pipeline.submit(vec![0; 4])).collect();
        sent(&mut pipeline);
        pipeline.forget(tokens[0]);
        pipeline.forget(tokens[63]);
        assert_eq!((pipeline.outstanding(), pipeline.forgotten()), (63, 1));
        assert_eq!(pipeline.received(&answer(0, b"late")), []);
        assert_eq!(sent(&mut pipeline), [63], "the one that waited behind a forgotten one");
        assert_eq!(pipeline.received(&answer(63, b"x")), [tokens[64]]);
    }

    #[test]
    fn the_longest_and_the_shortest_messages_are_read() {
        let mut pipeline = Pipeline::new(5);
        let token = pipeline.submit(vec![0; 4]);
        assert_eq!(pipeline.received(&[0, 0, 0, 1, 5]), []);
        let long = answer(5, &[7; 65533]);
        assert_eq!(pipeline.received(&long), [token]);
        assert_eq!(pipeline.take(token).map(|(_, message)| message.len()), Some(65535));
    }

    proptest! {
        #[test]
        fn any_octets_are_taken(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut pipeline = Pipeline::new(0);
            let tokens: Vec<_> = (0..70).map(|_| pipeline.submit(vec![0; 4])).collect();
            for piece in pieces {
                for token in pipeline.received(&piece) {
                    prop_assert!(tokens.contains(&token));
                    prop_assert!(pipeline.take(token).is_some());
                }
                prop_assert!(pipeline.outstanding() <= MAX_OUTSTANDING);
                prop_assert!(pipeline.incoming.len() <= 65535 + PREFIX);
            }
        }
    }
}
