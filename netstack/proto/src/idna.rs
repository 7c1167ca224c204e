//! Host names of all scripts as DNS knows them: punycode (RFC 3492) behind `xn--` (RFC 5890).
//!
//! **Not** here: the mappings of UTS 46 beyond lower case, which take tables of 200 KB. A name that would need them
//! (decomposed letters, full width) is refused; as everybody writes names, it does not. Nor joiners (RFC 5892 §A.1),
//! which few names have.

use core::fmt::Write as _;

/// `name` with each label that is not ASCII in its punycode form, in lower case; `None` where it has a character
/// that names cannot have.
pub fn to_ascii(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let mut out = String::new();
    // RFC 3490 §3.1: these are full stops, too
    for label in lower.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        if !out.is_empty() {
            out.push('.');
        }
        if label.is_ascii() {
            out += label;
            continue;
        }
        // RFC 5891 §4.2.3.2: a mark is of the letter before it
        if !label.chars().all(stands_in_names) || label.starts_with(is_mark) {
            return None;
        }
        write!(out, "xn--{}", punycode(label)?).ok()?;
    }
    Some(out)
}

/// RFC 5892 takes letters, digits and marks in their composed, lower-case, ordinary-width form. Vowel signs are letters to
/// Unicode; other marks are here where no letter is composed with them. Those of Latin compose: names of this program
/// come composed.
fn stands_in_names(character: char) -> bool {
    let compatibility =
        matches!(u32::from(character), 0xf900..=0xfaff | 0xfb00..=0xfdff | 0xfe70..=0xffef);
    character == '-' || is_mark(character) || (character.is_alphanumeric() && !compatibility)
}

/// Marks that are no letters, by script: they change a consonant (nukta), take its vowel (virama) or tell its tone.
fn is_mark(character: char) -> bool {
    matches!(u32::from(character),
        // Hebrew, Arabic: points
        0x05b0..=0x05bd | 0x05bf | 0x05c1..=0x05c2 | 0x064b..=0x0652 | 0x0656..=0x0658
        // Devanagari, Bengali, Gurmukhi, Gujarati, Oriya
        | 0x093c | 0x094d | 0x0951..=0x0952 | 0x09bc | 0x09cd | 0x0a3c | 0x0a4d | 0x0abc | 0x0acd | 0x0b3c | 0x0b4d
        // Tamil, Telugu, Kannada, Malayalam, Sinhala
        | 0x0bcd | 0x0c3c | 0x0c4d | 0x0cbc | 0x0ccd | 0x0d3b..=0x0d3c | 0x0d4d | 0x0dca
        // Thai, Lao, Tibetan, Myanmar, Khmer
        | 0x0e3a | 0x0e47..=0x0e4e | 0x0eba | 0x0ec8..=0x0ecd | 0x0f39 | 0x0f84 | 0x1037 | 0x1039..=0x103a
        | 0x1087..=0x108d | 0x17c6..=0x17d3 | 0x17dd)
}

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// RFC 3492 §6.3; `None` on overflow, which no label of 63 octets comes to.
fn punycode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    let length = label.chars().count() as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while handled < length {
        let next = label.chars().map(u32::from).filter(|point| *point >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for point in label.chars().map(u32::from) {
            if point < n {
                delta = delta.checked_add(1)?;
            }
            if point == n {
                integer(&mut out, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

/// A variable-length integer of RFC 3492 §3.3.
fn integer(out: &mut String, mut rest: u32, bias: u32) {
    let mut k = BASE;
    loop {
        let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
        if rest < threshold {
            break out.extend(letters(rest));
        }
        let value = threshold + (rest - threshold) % (BASE - threshold);
        out.extend(letters(value));
        rest = (rest - threshold) / (BASE - threshold);
        k += BASE;
    }
}

/// RFC 3492 §5: 0 to 25 are letters, 26 to 35 digits.
fn letters(value: u32) -> Option<char> {
    char::from_u32(if value < 26 { 0x61 + value } else { 0x30 + value - 26 })
}

/// RFC 3492 §6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_punycode() {
        for (name, ascii) in [
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
            ("faß.example", "xn--fa-hia.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("bücher.example.", "xn--bcher-kva.example."),
            // RFC 3492 §7.1 (B), (F)
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("למההםפשוטלאמדבריםעברית", "xn--4dbcagdahymbxekheh6e0a7fei0b"),
            // nukta, virama, tones; by others' encoders
            ("हिन्दी", "xn--j2bd4cyah0f"),
            ("मराठी.भारत", "xn--d2b1ag0dl.xn--h2brj9c"),
            ("தமிழ்", "xn--rlcus7b3d"),
            ("ไม่มี", "xn--y3ca4dvcva"),
            ("မြန်မာ", "xn--7idjb0f4ck"),
            ("plain", "plain"),
        ] {
            assert_eq!(to_ascii(name).as_deref(), Some(ascii), "{name}");
        }
    }

    #[test]
    fn what_no_name_holds_is_refused() {
        for name in
            ["mu\u{308}nchen", "a\u{200d}é", "\u{94d}क", "☃.net", "ｅxample", "é b", "é/", "é@b"]
        {
            assert_eq!(to_ascii(name), None, "{name}");
        }
    }
}
