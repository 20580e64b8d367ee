//! Integers as HPACK writes them, RFC 7541 section 5.1.

/// Takes an integer whose first byte has so many bits of it; none if it is cut off or larger than anything here.
#[inline]
pub(super) fn read(input: &mut &[u8], bits: u8) -> Option<usize> {
    let (&first, rest) = input.split_first()?;
    *input = rest;
    let full = (1usize << bits) - 1;
    let value = usize::from(first) & full;
    if value < full { Some(value) } else { read_rest(input, full) }
}

fn read_rest(input: &mut &[u8], mut value: usize) -> Option<usize> {
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends an integer; `pattern` is what stands above its first bits.
pub(super) fn write(value: usize, bits: u8, pattern: u8, out: &mut Vec<u8>) {
    let full = (1usize << bits) - 1;
    if value < full {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | full as u8);
    let mut rest = value - full;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        for (value, bits, bytes) in [(10, 5, &[10u8][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut out = Vec::new();
            write(value, bits, 0, &mut out);
            assert_eq!(out, bytes);
            let mut rest = bytes;
            assert_eq!((read(&mut rest, bits), rest), (Some(value), &b""[..]));
        }
    }

    #[test]
    fn every_size_comes_back_and_what_is_cut_off_does_not() {
        for value in (0..28).flat_map(|b| [(1usize << b) - 1, 1 << b, (1 << b) + 1]) {
            for bits in 4..=7 {
                let mut out = Vec::new();
                write(value, bits, 0, &mut out);
                assert_eq!(read(&mut &out[..], bits), Some(value));
                assert_eq!(read(&mut &out[..out.len() - 1], bits), None);
            }
        }
        assert_eq!(read(&mut &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x00][..], 7), None);
    }
}
