//! The little of DER that RSA keys need: sequences of positive numbers (RFC 8017 appendix A.1).

/// `SEQUENCE { INTEGER, … }` of big-endian numbers without leading zeroes.
pub(crate) fn sequence(numbers: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in numbers {
        let sign: &[u8] = match number.first() {
            None | Some(0x80..) => &[0],
            Some(_) => &[],
        };
        body.push(0x02);
        length(&mut body, sign.len() + number.len());
        body.extend_from_slice(sign);
        body.extend_from_slice(number);
    }
    let mut out = vec![0x30];
    length(&mut out, body.len());
    out.append(&mut body);
    out
}

/// The positive numbers of such a sequence; `None` where it is something else.
pub(crate) fn numbers(der: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = der;
    let mut body = take(&mut rest, 0x30)?;
    let mut numbers = Vec::new();
    while !body.is_empty() {
        let number = take(&mut body, 0x02)?;
        numbers.push(number.strip_prefix(&[0]).unwrap_or(number));
    }
    Some(numbers)
}

fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        ..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend_from_slice(&[0x81, length as u8]),
        _ => out.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
}

fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let after_tag = rest.strip_prefix(&[tag])?;
    let (&first, mut after) = after_tag.split_first()?;
    let length = match first {
        ..=0x7f => usize::from(first),
        0x81 => {
            let (&low, left) = after.split_first()?;
            after = left;
            usize::from(low)
        }
        0x82 => {
            let (&[high, low], left) = after.split_first_chunk::<2>()?;
            after = left;
            usize::from(high) << 8 | usize::from(low)
        }
        _ => return None,
    };
    let (value, left) = after.split_at_checked(length)?;
    *rest = left;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for lens in [[1, 2], [127, 128], [300, 3]] {
            let given = lens.map(|len| vec![0x81; len]);
            let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
            assert_eq!(numbers(&sequence(&given)), Some(given));
        }
        assert_eq!(sequence(&[&[1]]), [0x30, 3, 2, 1, 1]);
        assert_eq!(sequence(&[&[0x80]]), [0x30, 4, 2, 2, 0, 0x80]);
        assert_eq!(numbers(&[0x30, 3, 2, 2, 1]), None);
        assert_eq!(numbers(&[0x30, 0x83, 0, 0, 0]), None);
    }
}
