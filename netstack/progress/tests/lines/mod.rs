//! Whatever a machine writes, in whatever pieces.

use progress::{Event, LONGEST, Lines};

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    pieces.into_iter().for_each(|piece| lines.push(piece, |event| found.push(event)));
    found
}

/// The events are those of the lines that have an end, however they are cut; each is written as it was read.
pub fn check(octets: &[u8], size: usize) {
    let mut lines = octets.split(|octet| *octet == b'\n').collect::<Vec<_>>();
    lines.pop();
    let mut expected = Vec::new();
    for line in lines {
        if let Some(event) = Event::parse(line) {
            assert_eq!(event.to_string().as_bytes(), line);
            assert!(line.len() < LONGEST);
            expected.push(event);
        }
    }
    assert_eq!(read([octets]), expected);
    assert_eq!(read(octets.chunks(size)), expected);
}
