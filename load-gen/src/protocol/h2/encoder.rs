//! Writes the headers of requests, and remembers what it wrote last time.

use super::fixed::COUNT;
use super::huffman;
use super::integer;
use super::request::{Field, Request};
use super::table::{LARGEST, OVERHEAD, Table};

/// How many requests' blocks are remembered; a load of more takes turns.
const KEPT: usize = 16;

/// A block that stays right as long as the table does.
#[derive(Debug)]
struct Kept {
    request: u64,
    block: Vec<u8>,
}

/// Writes the blocks of one connection.
///
/// A header is put into the table only if nothing has to go for it. The requests of a load are few and come again:
/// after each was sent once the table stands still, whatever their number.
#[derive(Debug)]
pub(super) struct Encoder {
    table: Table<()>,
    /// Blocks written of nothing but what the table holds now.
    kept: Vec<Kept>,
    /// How many of them are right; those beyond only lend their memory.
    right: usize,
    next: usize,
    /// The smallest size of the table since the last block, if it must be told.
    smallest: Option<usize>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { table: Table::new(), kept: Vec::new(), right: 0, next: 0, smallest: None }
    }

    /// As new, with the memory kept.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.forget();
        self.smallest = None;
    }

    /// The peer says how large a table it keeps.
    pub(super) fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(LARGEST);
        if limit == self.table.limit() {
            return;
        }
        let before = self.table.size();
        self.table.set_limit(limit);
        if self.table.size() != before {
            self.forget();
        }
        self.smallest = Some(self.smallest.map_or(limit, |s| s.min(limit)));
    }

    /// Appends the block of a request.
    #[inline]
    pub(super) fn encode(&mut self, request: &Request, out: &mut Vec<u8>) {
        if self.smallest.is_none() {
            for kept in &self.kept[..self.right] {
                if kept.request == request.number {
                    return out.extend_from_slice(&kept.block);
                }
            }
        }
        self.encode_anew(request, out);
    }

    fn encode_anew(&mut self, request: &Request, out: &mut Vec<u8>) {
        if let Some(smallest) = self.smallest.take() {
            // Both are due: the peer dropped what the smaller one has no room for.
            if smallest < self.table.limit() {
                integer::write(smallest, 5, 0x20, out);
            }
            integer::write(self.table.limit(), 5, 0x20, out);
        }
        let begin = out.len();
        let mut changed = false;
        for field in &request.fields {
            changed |= self.field(field, out);
        }
        if changed {
            self.forget();
        } else {
            self.keep(request.number, &out[begin..]);
        }
    }

    /// Appends one header; whether that changed the table.
    fn field(&mut self, field: &Field, out: &mut Vec<u8>) -> bool {
        if let (Some(whole), false) = (field.whole, field.secret) {
            integer::write(whole, 7, 0x80, out);
            return false;
        }
        let mut named = field.named;
        let mut index = 0;
        while let Some((name, value, ())) = self.table.get(index) {
            if *name == *field.name {
                if *value == *field.value {
                    integer::write(COUNT + 1 + index, 7, 0x80, out);
                    return false;
                }
                named = named.or(Some(COUNT + 1 + index));
            }
            index += 1;
        }
        let fits = field.name.len() + field.value.len() + OVERHEAD <= self.table.room();
        let (bits, pattern) = match (field.secret, fits) {
            (true, _) => (4, 0x10),
            (false, true) => (6, 0x40),
            (false, false) => (4, 0x00),
        };
        integer::write(named.unwrap_or(0), bits, pattern, out);
        if named.is_none() {
            write_text(&field.name, out);
        }
        write_text(&field.value, out);
        if pattern == 0x40 {
            self.table.insert(&field.name, &field.value, ());
        }
        pattern == 0x40
    }

    fn forget(&mut self) {
        (self.right, self.next) = (0, 0);
    }

    fn keep(&mut self, request: u64, block: &[u8]) {
        // One block each: a request comes here twice only when a size had to be told with it.
        let at = match self.kept[..self.right].iter().position(|k| k.request == request) {
            Some(at) => at,
            None => {
                let at = self.next;
                self.next = (at + 1) % KEPT;
                self.right = self.right.max(at + 1);
                at
            }
        };
        match self.kept.get_mut(at) {
            Some(kept) => {
                kept.request = request;
                kept.block.clear();
                kept.block.extend_from_slice(block);
            }
            None => self.kept.push(Kept { request, block: block.to_vec() }),
        }
    }
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::encoded_length(text);
    if coded < text.len() {
        integer::write(coded, 7, 0x80, out);
        huffman::encode(text, out);
    } else {
        integer::write(text.len(), 7, 0, out);
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
#[path = "encoder_tests.rs"]
mod tests;
