//! HTTP/2 (RFC 9113), frame by frame: the name says how every request is answered.

use crate::Step;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// No kind of frame that anybody knows (RFC 9113 §5.5).
const UNKNOWN: u8 = 0xbe;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status 200` of HPACK's static table.
const OK: &[u8] = &[0x88];

/// A connection's server.
#[derive(Debug)]
pub struct Two {
    behaviour: &'static str,
    buf: Vec<u8>,
    greeted: bool,
    /// Connections to the same server before this one.
    before: usize,
    /// Requests so far.
    requests: u32,
    /// Streams whose content is not whole yet, with what came of it.
    open: Vec<(u32, usize)>,
    /// Streams that wait for all others.
    waiting: Vec<u32>,
}

/// How many requests `barrier` wants to have at once.
const AT_ONCE: usize = 50;

const BEHAVIOURS: [&str; 28] = [
    "hello",
    "length",
    "trailers",
    "interim",
    "interim-flood",
    "goaway",
    "goaway-late",
    "goaway-once",
    "reset",
    "refused",
    "refused-once",
    "barrier",
    "data-flood",
    "settings-flood",
    "ping-flood",
    "priority-flood",
    "unknown-flood",
    "garbage",
    "silent",
    "mute",
    "continuation-flood",
    "large-frame",
    "endless",
    "push",
    "bad-status",
    "header-bomb",
    "short",
    "reset-flood",
];

impl Two {
    pub fn new(behaviour: &str) -> Option<Self> {
        let behaviour = BEHAVIOURS.into_iter().find(|known| *known == behaviour)?;
        Some(Self {
            behaviour,
            buf: Vec::new(),
            greeted: false,
            before: 0,
            requests: 0,
            open: Vec::new(),
            waiting: Vec::new(),
        })
    }

    pub fn set_before(&mut self, before: usize) {
        self.before = before;
    }

    pub fn handle(&mut self, octets: &[u8]) -> Vec<Step> {
        self.buf.extend_from_slice(octets);
        let mut steps = Vec::new();
        if !self.greeted {
            if self.buf.len() < PREFACE.len() {
                return steps;
            }
            self.buf.drain(..PREFACE.len());
            self.greeted = true;
            match self.behaviour {
                "garbage" => {
                    return vec![
                        Step::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
                        Step::Close,
                    ];
                }
                "silent" => return vec![Step::Hold],
                _ => steps.push(Step::Send(frame(SETTINGS, 0, 0, &[]))),
            }
        }
        while let Some(header) = self.buf.first_chunk::<9>() {
            let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let (kind, flags) = (header[3], header[4]);
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            if self.buf.len() < 9 + len {
                break;
            }
            let payload: Vec<u8> = self.buf.drain(..9 + len).skip(9).collect();
            match kind {
                SETTINGS if flags & ACK == 0 => {
                    steps.push(Step::Send(frame(SETTINGS, ACK, 0, &[])));
                }
                PING if flags & ACK == 0 => steps.push(Step::Send(frame(PING, ACK, 0, &payload))),
                HEADERS | DATA => {
                    if kind == HEADERS {
                        self.open.push((stream, 0));
                    }
                    let Some(place) = self.open.iter().position(|(id, _)| *id == stream) else {
                        continue;
                    };
                    if kind == DATA {
                        self.open[place].1 += payload.len();
                        // both windows as they were
                        let more = (payload.len() as u32).to_be_bytes();
                        if !payload.is_empty() {
                            steps.push(Step::Send(frame(8, 0, 0, &more)));
                            steps.push(Step::Send(frame(8, 0, stream, &more)));
                        }
                    }
                    if flags & END_STREAM != 0 {
                        let (_, len) = self.open.remove(place);
                        steps.extend(self.answer(stream, len));
                    }
                }
                _ => {}
            }
        }
        steps
    }

    fn answer(&mut self, stream: u32, len: usize) -> Vec<Step> {
        self.requests += 1;
        let send =
            |kind, flags, stream, payload: &[u8]| Step::Send(frame(kind, flags, stream, payload));
        let head = send(HEADERS, END_HEADERS, stream, OK);
        let hello = send(DATA, END_STREAM, stream, b"hello\n");
        match self.behaviour {
            "length" => vec![head, send(DATA, END_STREAM, stream, format!("{len}\n").as_bytes())],
            "trailers" => vec![
                head,
                send(DATA, 0, stream, b"hello\n"),
                send(HEADERS, END_HEADERS | END_STREAM, stream, &literal("x-sum", "42")),
            ],
            "interim" => {
                let interim = literal(":status", "103");
                vec![send(HEADERS, END_HEADERS, stream, &interim), head, hello]
            }
            "interim-flood" => {
                let interim = frame(HEADERS, END_HEADERS, stream, &literal(":status", "103"));
                vec![Step::Flood(interim.repeat(128))]
            }
            "goaway" => vec![send(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]), Step::Close],
            // answers the first request, and takes no more
            "goaway-late" => {
                let last = [&stream.to_be_bytes()[..], &[0; 4]].concat();
                vec![send(GOAWAY, 0, 0, &last), head, hello, Step::Close]
            }
            "goaway-once" if self.before == 0 => {
                vec![send(GOAWAY, 0, 0, &[0; 8]), Step::Close]
            }
            "refused-once" if self.before == 0 => vec![send(RST_STREAM, 0, stream, &[0, 0, 0, 7])],
            // answers nobody before all are there
            "barrier" => {
                self.waiting.push(stream);
                if self.waiting.len() < AT_ONCE {
                    return Vec::new();
                }
                let answers = core::mem::take(&mut self.waiting).into_iter();
                answers
                    .flat_map(|stream| {
                        let head = send(HEADERS, END_HEADERS, stream, OK);
                        [head, send(DATA, END_STREAM, stream, b"hello\n")]
                    })
                    .collect()
            }
            "reset" => vec![
                head,
                send(DATA, 0, stream, b"hello\n"),
                send(RST_STREAM, 0, stream, &[0, 0, 0, 2]),
            ],
            "refused" => vec![send(RST_STREAM, 0, stream, &[0, 0, 0, 7])],
            "reset-flood" => {
                vec![Step::Repeat(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]), 4096), Step::Hold]
            }
            "settings-flood" => vec![Step::Flood(frame(SETTINGS, 0, 0, &[]).repeat(256))],
            "ping-flood" => vec![Step::Flood(frame(PING, 0, 0, &[7; 8]).repeat(256))],
            "priority-flood" => {
                vec![Step::Flood(frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1]).repeat(256))]
            }
            "unknown-flood" => vec![Step::Flood(frame(UNKNOWN, 0, 0, &[0; 4096]))],
            "mute" => vec![Step::Hold],
            "continuation-flood" => vec![
                send(HEADERS, 0, stream, OK),
                Step::Repeat(
                    frame(CONTINUATION, 0, stream, &literal("x-flood", "water")).repeat(16),
                    4096,
                ),
                Step::Hold,
            ],
            "large-frame" => vec![head, send(DATA, END_STREAM, stream, &[b'x'; 20_000])],
            "endless" => {
                vec![head, Step::Repeat(frame(DATA, 0, stream, &[b'x'; 16_000]), 64), Step::Hold]
            }
            // the first; what further ones ask for is never said
            "data-flood" if self.requests == 1 => {
                vec![head, Step::Flood(frame(DATA, 0, stream, &[b'x'; 16_000]))]
            }
            "push" => {
                let promise = [&2_u32.to_be_bytes()[..], &[0x82, 0x84, 0x86]].concat();
                vec![send(PUSH_PROMISE, END_HEADERS, stream, &promise), head, hello]
            }
            "bad-status" => {
                vec![send(HEADERS, END_HEADERS | END_STREAM, stream, &literal(":status", "x"))]
            }
            // a large field, put into the table once and named a thousand times
            "header-bomb" => {
                let mut block = vec![0x88, 0x40, 1, b'x', 0x7f, 0x81, 0x1e];
                block.extend([b'y'; 4000]);
                block.extend([0xbe; 10_000]);
                vec![send(HEADERS, END_HEADERS | END_STREAM, stream, &block)]
            }
            "short" => vec![
                send(
                    HEADERS,
                    END_HEADERS,
                    stream,
                    &[OK, &literal("content-length", "100")].concat(),
                ),
                hello,
            ],
            _ => vec![head, hello],
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut out = vec![len[1], len[2], len[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A field that no table keeps (RFC 7541 §6.2.2), of short name and value.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0, name.len() as u8];
    out.extend(name.bytes());
    out.push(value.len() as u8);
    out.extend(value.bytes());
    out
}
