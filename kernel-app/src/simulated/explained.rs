//! docs/explain.md shows what the program prints: every example is run here, and compared with its figures masked.

use super::{World, boot};
use mimic::{Ctx, Key, Policy, Registry, ResolveError, req};

const DOCUMENT: &str = include_str!("../../../docs/explain.md");

/// The text block under the heading that begins so.
fn shown(heading: &str) -> String {
    let section = DOCUMENT.split("\n## ").find(|it| it.starts_with(heading)).expect("a section");
    let block = section.split("```text\n").nth(1).expect("a block");
    block.split("```").next().expect("its end").to_string()
}

/// `text` without what differs from run to run: figures, pins, the width of columns, who gave the address.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let line = line.split(" (DHCP from").next().unwrap_or_default();
        let is_digest = |word: &str| word.matches(':').count() == 31;
        let words = line.split_whitespace().map(|word| {
            match word.starts_with("--tls-auth") || is_digest(word) {
                true => "PIN".to_string(),
                false => {
                    let mut word: String =
                        word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                    while word.contains("00") || word.contains("0.0") {
                        word = word.replace("00", "0").replace("0.0", "0");
                    }
                    word
                }
            }
        });
        out += &words.collect::<Vec<_>>().join(" ");
        out.push('\n');
    }
    out
}

#[test]
fn the_document_shows_what_is_printed() {
    let mut wrong = String::new();
    for (heading, line) in [
        ("A port that refuses", "http://{closed}/"),
        ("A name that does not exist", "http://nosuch.invalid/"),
        (
            "A certificate that nobody vouches for",
            "https://web.test:{nginx-self-signed.port}/ --host=web.test={host}",
        ),
    ] {
        let mut world = World::new();
        let line = world.fill(line) + " --explain";
        let words = line.split(' ').map(String::from).collect();
        let left = boot(&mut world, words, Box::new(futures_lite::io::empty())).unwrap();
        if masked(&left.stderr) != masked(&shown(heading)) {
            wrong += &format!("{heading}: {line} prints\n{}\n", left.stderr);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_document_shows_a_circle() {
    struct Never;
    impl mimic::Protocol for Never {
        type Endpoint = u8;
        type Flow = mimic::BoxFlow;
        type Error = std::io::Error;

        async fn connect(&self, _: std::sync::Arc<u8>) -> std::io::Result<mimic::BoxFlow> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Never);
    let (host, address) = (Key::<u8>::shown("host"), Key::<u8>::shown("address"));
    let ctx = Ctx::new()
        .fold(&address, req(&host), |host| async move { Some(*host) })
        .fold(&host, req(&address), |address| async move { Some(*address) })
        .fold(tcp.endpoint(), req(&address), |address| async move { Some(*address) });
    let resolved = futures_lite::future::block_on(registry.resolve(&ctx, &Policy::default()));
    let error = resolved.map(|_| ()).unwrap_err();
    assert!(matches!(error, ResolveError::Plan(_)));
    let printed = format!("{}\nerror: {error}\n", error.report());
    let heading = "Keys that are derived from one another";
    assert!(masked(&printed) == masked(&shown(heading)), "it prints\n{printed}");
}
