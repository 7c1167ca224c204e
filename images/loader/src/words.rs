//! The boot line as the kernel has to read it.
//!
//! Users type it by the rules of MirageOS's boot arguments: spaces split, a backslash takes the next
//! character as it is, double quotes group. The kernel splits its command line as a shell does, and
//! gives the program only what follows a word `--`. So every word is written anew in single quotes,
//! after a `--` where the line has none: `a 'b` becomes `-- 'a' ''\''b'`.
//!
//! Runtimes that know Hermit, such as urunc, say before the `--` which address the machine has: `ip=10.0.0.2/24
//! gateway=10.0.0.1 env=HERMIT_DNS1=10.0.0.3 -- a`. The kernel has no network of its own here; these become
//! the program's arguments `--ipv4=…`, `--ipv4-gateway=…` and `--dns-servers=…`, which the user's win over as well. Where
//! the user has no words there is no `--` either, so that such words at a line's start are the runtime's in any case.
//!
//! Hypervisors without PCI tell of each device by a word [`DEVICE`]…, before the `--` (Firecracker) or behind it (QEMU).
//! The program drives the devices, so those before it become the program's, too, as they are.
//!
//! An image may have words of its own, which its manifest named. They stand first behind the `--`, and a word that
//! says where they end, so that the program lets the user's win: `-- 'own' '--own-words-end' 'a'`.

/// Why a boot line cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The line ends inside double quotes.
    OpenQuote,
    /// The line ends after a backslash.
    OpenEscape,
    /// The line is no UTF-8, which the kernel asks for.
    Encoding,
    /// The line does not fit the loader's buffer.
    TooLong,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::OpenQuote => "a double quote is not closed",
            Self::OpenEscape => "a backslash at the end escapes nothing",
            Self::Encoding => "it is not UTF-8",
            Self::TooLong => "it is too long",
        })
    }
}

/// Stands behind the image's own words.
pub const OWN_END: &str = "--own-words-end";

/// What a word begins with that tells where a device is.
pub const DEVICE: &str = "virtio_mmio.device=";

/// Writes the kernel's form of `line` to `buffer`, the image's `own` words before the program's, and returns
/// what it wrote.
pub fn for_kernel<'a>(own: &[u8], line: &[u8], buffer: &'a mut [u8]) -> Result<&'a str, Error> {
    let line = core::str::from_utf8(line).map_err(|_| Error::Encoding)?;
    let mut own = Some(core::str::from_utf8(own).map_err(|_| Error::Encoding)?);
    let mut out = Output { buffer, length: 0 };
    // where the runtime's words may stand: before a separator, or at the start
    let mut before = true;
    let separated = has_separator(line)?;
    if !separated {
        out.separator(own.take(), line, separated)?;
    }
    for_each_word(line, |word| {
        if before && !word.is("--") && runtimes(word).is_some() {
            return Ok(());
        }
        before &= separated && !word.is("--");
        match word.is("--") {
            true => out.separator(own.take(), line, separated),
            false => out.word(word),
        }
    })?;
    let Output { buffer, length } = out;
    core::str::from_utf8(&buffer[..length]).map_err(|_| Error::Encoding)
}

fn has_separator(line: &str) -> Result<bool, Error> {
    let mut found = false;
    for_each_word(line, |word| {
        found |= word.is("--");
        Ok(())
    })?;
    Ok(found)
}

/// What a runtime's word before the separator is to the program: an argument's beginning, and its value.
fn runtimes(word: Word<'_>) -> Option<(&'static str, Word<'_>)> {
    let value = |prefix| word.0.strip_prefix(prefix).map(Word);
    value("ip=")
        .map(|it| ("--ipv4=", it))
        .or_else(|| value("gateway=").map(|it| ("--ipv4-gateway=", it)))
        .or_else(|| value("env=HERMIT_DNS1=").map(|it| ("--dns-servers=udp:", it)))
        .or_else(|| value(DEVICE).map(|it| (DEVICE, it)))
}

/// A word as it stands in the line, with its quotes and backslashes.
#[derive(Clone, Copy)]
struct Word<'a>(&'a str);

impl Word<'_> {
    /// Calls `f` with each character that the word means.
    fn characters(self, mut f: impl FnMut(char) -> Result<(), Error>) -> Result<(), Error> {
        let mut characters = self.0.chars();
        while let Some(c) = characters.next() {
            match c {
                '"' => {}
                '\\' => f(characters.next().ok_or(Error::OpenEscape)?)?,
                c => f(c)?,
            }
        }
        Ok(())
    }

    fn is(self, text: &str) -> bool {
        let mut rest = text.chars();
        let same = self.characters(|c| match rest.next() {
            Some(expected) if expected == c => Ok(()),
            _ => Err(Error::TooLong),
        });
        same.is_ok() && rest.next().is_none()
    }
}

/// Calls `f` with each word of `line`.
fn for_each_word<'a>(
    line: &'a str,
    mut f: impl FnMut(Word<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut start = None;
    let mut quoted = false;
    let mut characters = line.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            ' ' if !quoted => {
                if let Some(start) = start.take() {
                    f(Word(&line[start..at]))?;
                }
                continue;
            }
            '"' => quoted = !quoted,
            '\\' => {
                characters.next().ok_or(Error::OpenEscape)?;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if quoted {
        return Err(Error::OpenQuote);
    }
    match start {
        Some(start) => f(Word(&line[start..])),
        None => Ok(()),
    }
}

struct Output<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Output<'_> {
    /// The word `--`, and where they are still to come, the image's own words and those of the runtime: before the
    /// separator of `line`, or at its start where it is not `separated`.
    fn separator(&mut self, own: Option<&str>, line: &str, separated: bool) -> Result<(), Error> {
        self.space()?;
        // Quoted, it would be the same word to the kernel; bare, it can be read in its log.
        self.push(b"--")?;
        let Some(own) = own else { return Ok(()) };
        let before = self.length;
        for_each_word(own, |word| self.word(word))?;
        let mut over = false;
        for_each_word(line, |word| match runtimes(word) {
            Some((argument, value)) if !over => self.words(argument, value),
            runtimes => {
                over |= word.is("--") || !separated && runtimes.is_none();
                Ok(())
            }
        })?;
        if self.length == before { Ok(()) } else { self.word(Word(OWN_END)) }
    }

    fn word(&mut self, word: Word<'_>) -> Result<(), Error> {
        self.words("", word)
    }

    /// One word: `start` as it is, then what `word` means.
    fn words(&mut self, start: &str, word: Word<'_>) -> Result<(), Error> {
        self.space()?;
        self.push(b"'")?;
        self.push(start.as_bytes())?;
        word.characters(|c| match c {
            '\'' => self.push(br"'\''"),
            c => self.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
        })?;
        self.push(b"'")
    }

    /// Between two words.
    fn space(&mut self) -> Result<(), Error> {
        if self.length > 0 { self.push(b" ") } else { Ok(()) }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length + bytes.len();
        self.buffer.get_mut(self.length..end).ok_or(Error::TooLong)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(line: &str) -> Result<([u8; 256], usize), Error> {
        let mut buffer = [0; 256];
        let length = for_kernel(b"", line.as_bytes(), &mut buffer)?.len();
        Ok((buffer, length))
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let (buffer, length) = kernel(line).expect("a valid line");
        assert_eq!(core::str::from_utf8(&buffer[..length]), Ok(expected), "for {line}");
    }

    #[test]
    fn words_follow_a_separator() {
        check("", "--");
        check("   ", "--");
        check("https://example.com/", "-- 'https://example.com/'");
        check(" a  b ", "-- 'a' 'b'");
    }

    #[test]
    fn the_image_s_own_words_come_first() {
        for (line, expected) in [
            ("", "-- 'it'\\''s' 'b c' '--own-words-end'"),
            ("a", "-- 'it'\\''s' 'b c' '--own-words-end' 'a'"),
            (
                "-freq 2000 -- a -- b",
                "'-freq' '2000' -- 'it'\\''s' 'b c' '--own-words-end' 'a' -- 'b'",
            ),
        ] {
            let mut buffer = [0; 128];
            let own = br#"it's "b c""#;
            assert_eq!(for_kernel(own, line.as_bytes(), &mut buffer), Ok(expected), "for {line}");
        }
    }

    #[test]
    fn a_runtime_s_address_is_an_argument() {
        check(
            "ip=10.0.0.2/24 gateway=10.0.0.1 env=HERMIT_DNS1=10.0.0.3 -freq 2000 -- a ip=b",
            "'-freq' '2000' -- '--ipv4=10.0.0.2/24' '--ipv4-gateway=10.0.0.1' '--dns-servers=udp:10.0.0.3' \
             '--own-words-end' 'a' 'ip=b'",
        );
        check("ip=10.0.0.2/24 --", "-- '--ipv4=10.0.0.2/24' '--own-words-end'");
        // without a separator they are at the start, and every other word is the user's
        check("ip=10.0.0.2/24", "-- '--ipv4=10.0.0.2/24' '--own-words-end'");
        check("ip=h/8 a ip=b", "-- '--ipv4=h/8' '--own-words-end' 'a' 'ip=b'");
        check("--send ip=b", "-- '--send' 'ip=b'");
        let mut buffer = [0; 128];
        let line = for_kernel(b"own", b"ip=h/8 -- a -- gateway=b", &mut buffer);
        assert_eq!(line, Ok("-- 'own' '--ipv4=h/8' '--own-words-end' 'a' -- 'gateway=b'"));
        // as urunc starts an image that has its URI, of a pod without arguments
        let line = for_kernel(b"http://h/", b"ip=10.0.0.2/24 gateway=10.0.0.1", &mut buffer);
        let expected =
            "-- 'http://h/' '--ipv4=10.0.0.2/24' '--ipv4-gateway=10.0.0.1' '--own-words-end'";
        assert_eq!(line, Ok(expected));
    }

    #[test]
    fn words_that_tell_of_devices_are_the_program_s() {
        check("a virtio_mmio.device=4K@1:5", "-- 'a' 'virtio_mmio.device=4K@1:5'");
        check("-- a virtio_mmio.device=4K@1:5", "-- 'a' 'virtio_mmio.device=4K@1:5'");
        let both = "-- 'virtio_mmio.device=4K@1:5' 'virtio_mmio.device=4K@2:6' '--own-words-end'";
        let line = "x virtio_mmio.device=4K@1:5 virtio_mmio.device=4K@2:6 -- a";
        check(line, &format!("'x' {both} 'a'"));
    }

    #[test]
    fn a_separator_of_the_user_stays() {
        check("-freq 2000 -- a", "'-freq' '2000' -- 'a'");
        check("-- a -- b", "-- 'a' -- 'b'");
        check("a --", "'a' --");
        check("--x", "-- '--x'");
        check("a---", "-- 'a---'");
    }

    #[test]
    fn quotes_and_backslashes_are_the_user_s() {
        check(r#"foo "bar baz" f\ oo"#, "-- 'foo' 'bar baz' 'f oo'");
        check(r#""" a"b c"d"#, "-- '' 'ab cd'");
        check(r#"\"\\"#, r#"-- '"\'"#);
        check(r#""\"""#, r#"-- '"'"#);
    }

    #[test]
    fn what_a_shell_would_read_otherwise_is_kept() {
        check("it's", r"-- 'it'\''s'");
        check("$HOME #x ~ *", "-- '$HOME' '#x' '~' '*'");
        check("ä\u{1f600}", "-- 'ä\u{1f600}'");
    }

    #[test]
    fn open_ends_are_errors() {
        assert_eq!(kernel(r#"a "b"#).err(), Some(Error::OpenQuote));
        assert_eq!(kernel(r"a \").err(), Some(Error::OpenEscape));
        assert_eq!(for_kernel(b"", b"\xff", &mut [0; 16]).err(), Some(Error::Encoding));
    }

    #[test]
    fn the_buffer_bounds_the_line() {
        assert_eq!(for_kernel(b"", b"abcd", &mut [0; 8]).err(), Some(Error::TooLong));
        assert_eq!(for_kernel(b"", b"abcd", &mut [0; 9]), Ok("-- 'abcd'"));
    }
}
