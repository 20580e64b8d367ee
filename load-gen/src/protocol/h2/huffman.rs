//! The Huffman code of RFC 7541 Appendix B, from the lengths of its codes alone: the code is canonical.

/// The length of each symbol's code in bits; the last is the end of the string, which must never be written.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const LONGEST: usize = 30;

/// Codes up to this length are found with one look; longer ones belong to bytes that headers hardly have.
const QUICK: u32 = 10;

static CODE: Code = Code::derive();

struct Code {
    /// Each symbol's code, in the low bits.
    codes: [u32; 257],
    /// By the next [`QUICK`] bits: the symbol and its length; length 0 where the code is longer.
    quick: [(u8, u8); 1 << QUICK],
    /// Symbols in the order of their codes.
    order: [u16; 257],
    /// By length: the first code beyond those of this length, moved to the top of 32 bits.
    beyond: [u64; LONGEST + 1],
    /// By length: the first code, and where its symbol stands in `order`.
    first: [(u32, u16); LONGEST + 1],
}

impl Code {
    const fn derive() -> Self {
        let mut made = Self {
            codes: [0; 257],
            quick: [(0, 0); 1 << QUICK],
            order: [0; 257],
            beyond: [0; LONGEST + 1],
            first: [(0, 0); LONGEST + 1],
        };
        let (mut code, mut at, mut length) = (0u32, 0usize, 1usize);
        while length <= LONGEST {
            code <<= 1;
            made.first[length] = (code, at as u16);
            let mut symbol = 0;
            while symbol < 257 {
                if LENGTHS[symbol] as usize == length {
                    made.codes[symbol] = code;
                    made.order[at] = symbol as u16;
                    made.fill(symbol as u8, code, length as u32);
                    code += 1;
                    at += 1;
                }
                symbol += 1;
            }
            made.beyond[length] = (code as u64) << (32 - length);
            length += 1;
        }
        made
    }

    /// Enters a code for every way in which bits may follow it.
    const fn fill(&mut self, symbol: u8, code: u32, length: u32) {
        if length > QUICK {
            return;
        }
        let mut at = (code << (QUICK - length)) as usize;
        let end = ((code + 1) << (QUICK - length)) as usize;
        while at < end {
            self.quick[at] = (symbol, length as u8);
            at += 1;
        }
    }
}

/// The string is none of this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadCode;

/// Puts the decoded string in place of what `out` holds.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), BadCode> {
    out.clear();
    // The shortest code has 5 bits.
    out.reserve(input.len() * 8 / 5 + 1);
    let mut bytes = input.iter();
    // The next bits are at the top; below them ones, which is what padding is.
    let (mut bits, mut have) = (u64::MAX, 0u32);
    loop {
        while have <= 56 {
            let Some(byte) = bytes.next() else { break };
            let shift = 56 - have;
            bits &= !(u64::from(!byte) << shift);
            have += 8;
        }
        let (symbol, length) = next((bits >> 32) as u32);
        if length > have {
            // Only the beginning of the end-of-string code may be left, and less than a byte of it.
            return if have < 8 && bits == u64::MAX { Ok(()) } else { Err(BadCode) };
        }
        // The end-of-string code itself is none that may be written.
        out.push(u8::try_from(symbol).map_err(|_| BadCode)?);
        bits = (bits << length) | ((1 << length) - 1);
        have -= length;
    }
}

/// The symbol at the top of these bits, and its length.
#[inline]
fn next(bits: u32) -> (u16, u32) {
    let (symbol, length) = CODE.quick[(bits >> (32 - QUICK)) as usize];
    if length > 0 { (u16::from(symbol), u32::from(length)) } else { next_long(bits) }
}

fn next_long(bits: u32) -> (u16, u32) {
    let mut length = QUICK as usize + 1;
    while length < LONGEST && u64::from(bits) >= CODE.beyond[length] {
        length += 1;
    }
    let (first, at) = CODE.first[length];
    let symbol = CODE.order[at as usize + ((bits >> (32 - length)) - first) as usize];
    (symbol, length as u32)
}

/// Bytes that this string takes when encoded.
pub(super) fn encoded_length(input: &[u8]) -> usize {
    input.iter().map(|b| usize::from(LENGTHS[usize::from(*b)])).sum::<usize>().div_ceil(8)
}

/// Appends the encoded string.
pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0u64, 0u32);
    for byte in input {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = (bits << length) | u64::from(CODE.codes[usize::from(*byte)]);
        have += length;
        while have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    if have > 0 {
        out.push(((bits << (8 - have)) | (0xff >> have)) as u8);
    }
}

#[cfg(test)]
#[path = "huffman_tests.rs"]
mod tests;
