//! HTTP/1.1: the path says what is answered.

use crate::Step;
use core::time::Duration;

/// A connection's server.
#[derive(Debug, Default)]
pub struct One {
    /// What came of a request that is not whole yet.
    buf: Vec<u8>,
    /// What came of its content in chunks.
    content: Vec<u8>,
    /// Whether the interim answer to this request has gone out.
    continued: bool,
    /// A proxy answers every request so.
    refusal: Option<String>,
}

const MEMBER_OF_ZEROS: &[u8] = include_bytes!("zeros.gz");
/// 64 of them, encoded once more.
const ZEROS_TWICE: &[u8] = include_bytes!("zeros.gz.gz");

impl One {
    pub fn proxy(refusal: &str) -> Self {
        Self { refusal: Some(refusal.into()), ..Self::default() }
    }

    /// A request's content once it is whole; then the request is behind us.
    fn body(&mut self, head: &str, start: usize) -> Option<Vec<u8>> {
        if field(head, "transfer-encoding").is_none() {
            let len = field(head, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
            let body = self.buf.get(start..start + len)?.to_vec();
            self.buf.drain(..start + len);
            return Some(body);
        }
        loop {
            let octets = &self.buf[start..];
            let line = find(octets, b"\r\n")?;
            let size = core::str::from_utf8(&octets[..line]).ok()?;
            let size = usize::from_str_radix(size, 16).ok()?;
            let data = line + 2;
            octets.get(..data + size + 2)?;
            self.content.extend_from_slice(&octets[data..data + size]);
            self.buf.drain(start..start + data + size + 2);
            if size == 0 {
                self.buf.drain(..start);
                return Some(core::mem::take(&mut self.content));
            }
        }
    }

    pub fn handle(&mut self, octets: &[u8]) -> Vec<Step> {
        self.buf.extend_from_slice(octets);
        let mut steps = Vec::new();
        loop {
            let Some(end) = find(&self.buf, b"\r\n\r\n") else { return steps };
            let head = String::from_utf8_lossy(&self.buf[..end + 4]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if field(&head, "expect").is_some() && !self.continued {
                match path.as_str() {
                    "/refuse-content" => {
                        self.buf.clear();
                        steps.push(text("413 Content Too Large", "too large\n"));
                        return steps;
                    }
                    "/slow-to-agree" => {}
                    _ => steps.push(send("HTTP/1.1 100 Continue\r\n\r\n")),
                }
                self.continued = true;
            }
            let Some(body) = self.body(&head, end + 4) else { return steps };
            self.continued = false;
            match self.refusal.clone() {
                Some(refusal) => steps.extend(refuse(&refusal, &head)),
                None => steps.extend(answer(&path, &head, &body)),
            }
        }
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn find(octets: &[u8], part: &[u8]) -> Option<usize> {
    octets.windows(part.len()).position(|window| window == part)
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

fn text(status: &str, content: &str) -> Step {
    send(&format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{content}", content.len()))
}

fn encoded(coding: &str, content: &[u8]) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    vec![Step::Send([head.as_bytes(), content].concat())]
}

/// `hello\n`.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0, 0x20, 0x30,
    0x3a, 0x36, 6, 0, 0, 0,
];
const ZLIB: &[u8] = &[0x78, 0xda, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0, 8, 0x4b, 2, 0x1f];
const RAW: &[u8] = &[0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 2, 0];
const BROTLI: &[u8] = &[0x8b, 0x02, 0x80, b'h', b'e', b'l', b'l', b'o', b'\n', 0x03];
const ZSTD: &[u8] =
    &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 6, 0x31, 0, 0, b'h', b'e', b'l', b'l', b'o', b'\n'];

/// Zeros by brotli, with a window of 16 MiB: RFC 7932 §9.1, stored meta-blocks of 64 KiB.
fn brotli(len: usize) -> Vec<Step> {
    const BLOCK: usize = 1 << 16;
    let stored = |start: &[u8]| [start, &[0; BLOCK]].concat();
    vec![
        send("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nConnection: close\r\n\r\n"),
        Step::Send(stored(&[0x8f, 0xff, 0xff])),
        Step::Repeat(stored(&[0xf8, 0xff, 0x0f]), len / BLOCK - 1),
        Step::Send(vec![3]),
        Step::Close,
    ]
}

/// Zeros by zstd, with a window of 8 MiB: RFC 8878 §3.1.1, so many blocks of 128 KiB.
fn zstd(blocks: u32) -> Vec<u8> {
    let mut octets = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
    for block in 1..=blocks {
        let header = (1 << 17) << 3 | 1 << 1 | u32::from(block == blocks);
        octets.extend(&header.to_le_bytes()[..3]);
        octets.push(0);
    }
    octets
}

fn answer(path: &str, head: &str, body: &[u8]) -> Vec<Step> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const SLOWLY: Duration = Duration::from_millis(700);
    let close = |step: Step| vec![step, Step::Close];
    if let Some((status @ ("/300" | "/301" | "/302" | "/303" | "/305" | "/307" | "/308"), to)) =
        path.split_once('?')
    {
        let status = &status[1..];
        return vec![send(&format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 10\r\n\r\nelsewhere\n"
        ))];
    }
    if let Some(number) = path.strip_prefix("/endless/").and_then(|n| n.parse::<u32>().ok()) {
        let next = number + 1;
        return vec![send(&format!(
            "HTTP/1.1 302 Found\r\nLocation: {next}\r\nContent-Length: 0\r\n\r\n"
        ))];
    }
    let path = path.split('?').next().unwrap_or_default();
    match path {
        "/loose" => vec![send(
            "HTTP/1.1 302 Found\r\nLocation:  /echo?q=[a b]|%zz#c#d\r\nContent-Length: 0\r\n\r\n",
        )],
        "/hello" | "/slow-to-agree" => vec![text("200 OK", "hello\n")],
        "/echo" => {
            let content = [head.as_bytes(), body].concat();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
            vec![Step::Send([head.as_bytes(), &content].concat())]
        }
        "/length" => vec![text("200 OK", &format!("{}\n", body.len()))],
        "/ping" => vec![send("HTTP/1.1 302 Found\r\nLocation: /pong\r\nContent-Length: 0\r\n\r\n")],
        "/pong" => vec![send("HTTP/1.1 302 Found\r\nLocation: /ping\r\nContent-Length: 0\r\n\r\n")],
        "/self" => vec![send("HTTP/1.1 302 Found\r\nLocation: self\r\nContent-Length: 0\r\n\r\n")],
        "/no-location" => vec![text("302 Found", "where to?\n")],
        "/bad-location" => {
            vec![send("HTTP/1.1 302 Found\r\nLocation: http://a b:c/\r\nContent-Length: 0\r\n\r\n")]
        }
        "/case" => vec![send(
            "HTTP/1.1 200 As You Like It\r\nX-CaSe: kEpt\r\nContent-Length: 6\r\n\r\nhello\n",
        )],
        "/until-end" => close(send("HTTP/1.1 200 OK\r\n\r\nhello\n")),
        "/old" => close(send("HTTP/1.0 200 OK\r\n\r\nhello\n")),
        "/last" => {
            close(send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n"))
        }
        "/empty" => vec![send("HTTP/1.1 204 No Content\r\n\r\n")],
        "/not-modified" => {
            vec![send("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")]
        }
        "/teapot" => vec![text("418 I'm a teapot", "short and stout\n")],
        "/chunked" => vec![send(&format!("{CHUNKED}3\r\nhel\r\n3;x=y\r\nlo\n\r\n0\r\n\r\n"))],
        "/trailers" => vec![send(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\nX-Sum: 42\r\n\r\n",
        )],
        "/interim" => vec![send(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
        )],
        "/gzip" => encoded("gzip", GZIP),
        "/deflate" => encoded("deflate", ZLIB),
        "/deflate-raw" => encoded("deflate", RAW),
        "/br" => encoded("br", BROTLI),
        "/zstd" => encoded("zstd", ZSTD),
        "/identity" => encoded("identity", b"hello\n"),
        "/gzip-cut" => encoded("gzip", &GZIP[..20]),
        "/gzip-wrong" => encoded("gzip", &[&GZIP[..18], &[0; 8]].concat()),
        "/gzip-none" => encoded("gzip", b"hello\n"),
        "/unknown-coding" => encoded("rot13", b"uryyb\n"),
        "/three-codings" => encoded("gzip, gzip, gzip", GZIP),
        "/zstd-window" => encoded("zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0]),
        "/gzip-bomb" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"),
            Step::Repeat(MEMBER_OF_ZEROS.to_vec(), 64),
            Step::Close,
        ],
        "/gzip-bomb-in-gzip" => encoded("gzip, gzip", MEMBER_OF_ZEROS),
        "/bad-chunk" => vec![send(&format!("{CHUNKED}6\r\nhello\n\r\nzz\r\nx\r\n0\r\n\r\n"))],
        "/huge-chunk" => vec![send(&format!("{CHUNKED}fffffffffffffffff\r\nx"))],
        "/chunk-extension-flood" => {
            vec![send(CHUNKED), send("6;"), Step::Repeat(b"x".repeat(4096), 1024)]
        }
        "/no-final-chunk" => close(send(&format!("{CHUNKED}6\r\nhello\n\r\n"))),
        "/short" => close(send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello\n")),
        // more than it says, as an answer smuggled behind another would be
        "/split" => vec![send(
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil\n",
        )],
        "/two-lengths" => {
            vec![send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 7\r\n\r\nhello\n")]
        }
        "/bad-length" => vec![send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello\n")],
        "/long-length" => {
            vec![send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello\n")]
        }
        "/length-and-chunks" => vec![send(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello\n\r\n0\r\n\r\n",
        )],
        "/nul" => vec![send("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n")],
        "/bare-cr" => vec![send("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n")],
        "/bad-name" => vec![send("HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n")],
        "/bad-status" => vec![send("HTTP/1.1 2000 OK\r\n\r\n")],
        "/bad-version" => vec![send("HTTP/3.1 200 OK\r\n\r\n")],
        "/many-fields" | "/too-many-fields" => vec![
            send("HTTP/1.1 200 OK\r\n"),
            Step::Repeat(b"X: y\r\n".to_vec(), if path == "/many-fields" { 1000 } else { 5000 }),
            send("Content-Length: 6\r\n\r\nhello\n"),
        ],
        "/folded" => {
            vec![send("HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\n  c\r\nContent-Length: 6\r\n\r\nhello\n")]
        }
        "/redirect-that-stalls" => vec![
            send("HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 100\r\n\r\nelse"),
            Step::Hold,
        ],
        "/long-location" => vec![send(&format!(
            "HTTP/1.1 302 Found\r\nLocation: /{}\r\nContent-Length: 0\r\n\r\n",
            "x".repeat(9000)
        ))],
        "/gzip-of-nothing" => encoded("gzip", b""),
        "/deflate-and-more" => encoded("deflate", &[ZLIB, &[0; 1 << 20]].concat()),
        "/flood" => vec![send("HTTP/1.1 200 OK\r\n\r\n"), Step::Flood(vec![b'x'; 4096])],
        // windows as large as they may be, and contents that fill them: stored blocks, one octet many times
        "/br-large" => brotli(17 << 20),
        "/zstd-large" => encoded("zstd", &zstd(100)),
        "/large-in-large" => encoded("zstd, br", BROTLI),
        "/bomb-in-gzip" => encoded("gzip, gzip", ZEROS_TWICE),
        "/field-flood" => {
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Repeat(b"X-Flood: water\r\n".repeat(64), 4096)]
        }
        "/long-field" => {
            vec![send("HTTP/1.1 200 OK\r\nX: "), Step::Repeat(b"x".repeat(1024), 2048)]
        }
        "/interim-flood" => {
            vec![Step::Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), 100_000), Step::Hold]
        }
        "/switch" => vec![send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        )],
        "/trailer-flood" => {
            vec![send(CHUNKED), send("0\r\n"), Step::Repeat(b"X-Flood: water\r\n".repeat(64), 4096)]
        }
        "/drip" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            Step::Drip(b"hello\n".repeat(20), SLOWLY),
        ],
        "/drip-head" => vec![Step::Drip(b"HTTP/1.1 200 OK\r\nX: ".repeat(9), SLOWLY)],
        "/stall" => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello\n"), Step::Hold],
        // two parts at once, each a frame of its own
        "/stall-later" => {
            vec![send(&format!("{CHUNKED}6\r\nhello\n\r\n6\r\nworld\n\r\n")), Step::Hold]
        }
        "/mute" => vec![Step::Hold],
        "/cut" => vec![Step::Close],
        "/expectation" if field(head, "expect").is_some() => {
            vec![text("417 Expectation Failed", "what?\n")]
        }
        "/expectation" => vec![text("200 OK", &format!("{}\n", body.len()))],
        "/large" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n"),
            Step::Repeat(b"x".repeat(4096), 1024),
        ],
        _ => vec![text("404 Not Found", "nothing\n")],
    }
}

/// What a proxy says to `CONNECT`.
fn refuse(refusal: &str, head: &str) -> Vec<Step> {
    match refusal {
        "forbidden" => vec![text("403 Forbidden", "not through here\n")],
        "password" if field(head, "proxy-authorization").is_none() => vec![send(
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        )],
        "garbage" => vec![send("SSH-2.0-none\r\n\r\n"), Step::Close],
        "flood" => {
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Repeat(b"X-Flood: water\r\n".repeat(64), 1024)]
        }
        "mute" => vec![Step::Hold],
        "cut" => vec![send("HTTP/1.1 200"), Step::Close],
        // `me:hush`
        "relay" if field(head, "proxy-authorization").as_deref() == Some("Basic bWU6aHVzaA==") => {
            let place = head.split(' ').nth(1).unwrap_or_default();
            vec![send("HTTP/1.1 200 Connection established\r\n\r\n"), Step::Relay(place.to_owned())]
        }
        _ => vec![text("400 Bad Request", "")],
    }
}
