//! Reads blocks of headers, and keeps the table that the peer builds with them.

use super::Broken;
use super::fixed::{COUNT, FIXED};
use super::frame::code;
use super::huffman;
use super::integer;
use super::names::{Meaning, Names};
use super::table::{LARGEST, OVERHEAD, Table};

/// The largest block, as it comes and as it reads: 64 KiB.
pub(super) const LARGEST_BLOCK: usize = 64 << 10;

/// How the type of every gRPC answer begins, and its code: whole bytes, so that it can be looked for as it comes.
pub(super) const GRPC: &[u8] = b"application/grpc";
const GRPC_CODED: [u8; 11] = [0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d, 0x65, 0x64];

/// Reads the blocks of one connection.
///
/// A value that nobody looks at and that does not enter the table is stepped over, not decoded: most of an answer
/// of a common server is such values, and decoding them would cost more than everything else. So a broken Huffman
/// code in one of them goes unnoticed.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table<Meaning>,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A string as it stands in the block.
struct Text<'a> {
    coded: bool,
    bytes: &'a [u8],
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { table: Table::new(), name: Vec::with_capacity(256), value: Vec::with_capacity(1024) }
    }

    /// As new, with the memory kept.
    pub(super) fn clear(&mut self) {
        self.table.clear();
    }

    /// Reads a block and hands over each header; the value is empty where nobody looks at it.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        names: &Names,
        mut sink: impl FnMut(Meaning, &[u8]),
    ) -> Result<(), Broken> {
        let mut rest = block;
        let mut length = 0;
        while let Some(first) = rest.first() {
            length += match first {
                0x80.. => self.indexed(&mut rest, names, &mut sink)?,
                0x40.. => self.literal(&mut rest, 6, names, &mut sink)?,
                0x20.. => {
                    let size = integer::read(&mut rest, 5).ok_or(bad("an integer is broken"))?;
                    if length > 0 || size > LARGEST {
                        return Err(bad("the size of the table is set where or to what it must not be"));
                    }
                    self.table.set_limit(size);
                    0
                }
                _ => self.literal(&mut rest, 4, names, &mut sink)?,
            };
            if length > LARGEST_BLOCK {
                return Err(Broken { code: code::ENHANCE_YOUR_CALM, reason: "the headers are too large" });
            }
        }
        Ok(())
    }

    /// A header that stands in a table; its size.
    #[inline]
    fn indexed(&self, rest: &mut &[u8], names: &Names, sink: &mut impl FnMut(Meaning, &[u8])) -> Result<usize, Broken> {
        let index = integer::read(rest, 7).ok_or(bad("an integer is broken"))?;
        let (name, value, meaning) = match index {
            0 => return Err(bad("there is no entry 0")),
            1..=COUNT => {
                let (name, value) = FIXED[index - 1];
                (name, value, names.fixed(index))
            }
            _ => self.table.get(index - COUNT - 1).ok_or(bad("there is no such entry"))?,
        };
        sink(meaning, value);
        Ok(name.len() + value.len() + OVERHEAD)
    }

    /// A header whose value is written out, and maybe its name; with 6 bits for the name's index it is put into
    /// the table, with 4 it is not.
    #[inline]
    fn literal(
        &mut self,
        rest: &mut &[u8],
        bits: u8,
        names: &Names,
        sink: &mut impl FnMut(Meaning, &[u8]),
    ) -> Result<usize, Broken> {
        // Into a table that has no room for any entry nothing can be put; nginx has it so.
        let kept = bits == 6 && self.table.limit() >= OVERHEAD;
        let index = integer::read(rest, bits).ok_or(bad("an integer is broken"))?;
        let (name, meaning) = match index {
            0 => {
                let name = decoded(text(rest)?, &mut self.name)?;
                (name, names.of(name))
            }
            1..=COUNT => (FIXED[index - 1].0, names.fixed(index)),
            _ => {
                let (name, _, meaning) = self.table.get(index - COUNT - 1).ok_or(bad("there is no such entry"))?;
                // The entry may have to go for the one that it lends its name to.
                self.name.clear();
                self.name.extend_from_slice(name);
                (&self.name[..], meaning)
            }
        };
        let value = text(rest)?;
        if !kept && meaning.is_idle() {
            sink(meaning, b"");
            return Ok(name.len() + value.bytes.len() + OVERHEAD);
        }
        if !kept && value.coded && meaning.is_type_only() {
            let grpc = value.bytes.starts_with(&GRPC_CODED);
            sink(meaning, if grpc { GRPC } else { b"" });
            return Ok(name.len() + value.bytes.len() + OVERHEAD);
        }
        let value = decoded(value, &mut self.value)?;
        sink(meaning, value);
        if kept {
            self.table.insert(name, value, meaning);
        }
        Ok(name.len() + value.len() + OVERHEAD)
    }
}

/// Takes a string from the block.
#[inline]
fn text<'a>(rest: &mut &'a [u8]) -> Result<Text<'a>, Broken> {
    let coded = rest.first().is_some_and(|b| b & 0x80 != 0);
    let length = integer::read(rest, 7).ok_or(bad("an integer is broken"))?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(bad("a string is cut off"))?;
    *rest = after;
    Ok(Text { coded, bytes })
}

#[inline]
fn decoded<'a>(text: Text<'a>, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Broken> {
    if !text.coded {
        return Ok(text.bytes);
    }
    huffman::decode(text.bytes, scratch).map_err(|_| bad("a string is no Huffman code"))?;
    Ok(scratch)
}

fn bad(reason: &'static str) -> Broken {
    Broken { code: code::COMPRESSION, reason }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
