//! The bar on a terminal in memory.

use super::*;
use indicatif::{InMemoryTerm, TermLike as _};

/// Text to the terminal, with a line's end as a terminal's driver makes it.
struct Text(InMemoryTerm);

impl Write for Text {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(octets).replace('\n', "\r\n");
        self.0.write_str(&text).map(|()| octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct World {
    terminal: InMemoryTerm,
    screen: Screen,
}

impl World {
    fn new() -> Self {
        let terminal = InMemoryTerm::new(10, 80);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let screen = Screen::new(target, Box::new(Text(terminal.clone())));
        Self { terminal, screen }
    }

    fn tell(&self, lines: &str) {
        self.screen.events().write_all(lines.as_bytes()).unwrap();
    }

    fn say(&self, text: &str) {
        self.screen.above(Text(self.terminal.clone())).write_all(text.as_bytes()).unwrap();
    }

    /// What stands there; of the bar, what no clock decides: a spinner stands still.
    fn shows(&self, expected: &[&str]) {
        let still = |row: &str| match row.strip_prefix(['\\', '|', '/']) {
            Some(rest) => format!("-{rest}"),
            None => row.to_owned(),
        };
        let contents = self.terminal.contents();
        let rows: Vec<_> = contents.lines().map(still).collect();
        let are_same = rows.len() == expected.len()
            && rows.iter().zip(expected).all(|(row, start)| row.starts_with(start));
        assert!(are_same, "expected {expected:#?}, the terminal shows {rows:#?}");
    }
}

const HALF: &str = "[===============>              ]  50%  32.00 KiB of 64.00 KiB";
const WHOLE: &str = "[==============================] 100%  64.00 KiB of 64.00 KiB";

#[test]
fn a_known_whole_is_a_bar_that_stays() {
    let world = World::new();
    world.shows(&[]);
    world.tell("at 32768 of 65536\n");
    world.shows(&[HALF]);
    world.tell("at 65536 of 65536\nend 65536 of 65536\n");
    world.say("done\n");
    world.shows(&[WHOLE, "done"]);
}

#[test]
fn an_unknown_whole_is_a_count() {
    let world = World::new();
    world.tell("at 100\n");
    world.shows(&["- 100 B"]);
    world.tell("end 123456789\n");
    world.shows(&["  117.74 MiB"]);
}

#[test]
fn what_ends_early_stays_as_it_was() {
    let world = World::new();
    world.tell("at 32768 of 65536\n");
    world.screen.end();
    world.say("error: cut short\n");
    world.tell("at 65536 of 65536\n");
    world.screen.end();
    world.shows(&[HALF, "error: cut short"]);
}

#[test]
fn text_stands_above_the_bar() {
    let world = World::new();
    world.say("before\n");
    world.tell("at 32768 of 65536\n");
    world.say("one\ntwo\n");
    world.shows(&["before", "one", "two", HALF]);
    world.say("");
    world.tell("end 65536 of 65536\n");
    world.shows(&["before", "one", "two", WHOLE]);
}

#[test]
fn the_bar_stays_away_from_an_open_line() {
    let world = World::new();
    world.say("password: ");
    world.tell("at 1 of 65536\n");
    world.shows(&["password:"]);
    world.say("\n");
    world.shows(&["password:", "[>"]);
    world.say("rem");
    world.tell("at 32768 of 65536\n");
    world.shows(&["password:", "rem"]);
    world.say("ote: text\nmore");
    world.shows(&["password:", "remote: text", "more"]);
    world.tell("end 32768 of 65536\n");
    world.shows(&["password:", "remote: text", "more", HALF]);
}

#[test]
fn whatever_numbers_come_are_drawn() {
    let most = u64::MAX;
    for lines in [
        "at 5 of 0\nend 5 of 0\n".to_owned(),
        "end 7\n".to_owned(),
        format!("at {most} of 1\nat 0 of {most}\nat 1 of {most}\nend {most} of {most}\n"),
        format!("at 1\nat 1 of 2\nat {most}\nend 0\nat 1\nend 2\n"),
    ] {
        let world = World::new();
        lines.split_inclusive('\n').for_each(|line| world.tell(line));
        assert_eq!(world.terminal.contents().lines().count(), 1, "{lines}");
    }
}

#[test]
fn nothing_but_events_reaches_the_terminal() {
    let world = World::new();
    world.tell("\x1b[2J\x1b]0;title\x07at 1 of 2\nat 1 of 2\x1b[31m\nhello\n");
    world.shows(&[]);
    world.screen.end();
    assert!(world.terminal.moves_since_last_check().is_empty());
}
