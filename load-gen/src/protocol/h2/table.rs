//! The dynamic table of RFC 7541 section 2.3.2: what was put in last comes first, what was first goes first.

use std::collections::VecDeque;

/// The largest table that we keep, on either side: what everybody starts with.
pub(super) const LARGEST: usize = 4096;

/// What an entry costs besides its name and value.
pub(super) const OVERHEAD: usize = 32;

#[derive(Debug)]
struct Entry<M> {
    /// Where its name begins, counted from the first byte that was ever put in; the value follows.
    at: u64,
    name: usize,
    value: usize,
    mark: M,
}

impl<M> Entry<M> {
    fn size(&self) -> usize {
        self.name + self.value + OVERHEAD
    }
}

/// The table; a mark goes with each entry.
#[derive(Debug)]
pub(super) struct Table<M> {
    /// All names and values one after the other. Twice as large as the table, so that moving them to the front,
    /// where there is room again, is rare.
    bytes: Vec<u8>,
    /// What `Entry::at` counts for the first of `bytes`.
    base: u64,
    /// The newest is last.
    entries: VecDeque<Entry<M>>,
    size: usize,
    limit: usize,
}

impl<M: Copy> Table<M> {
    pub(super) fn new() -> Self {
        let bytes = Vec::with_capacity(2 * LARGEST);
        let entries = VecDeque::with_capacity(LARGEST / OVERHEAD);
        Self { bytes, base: 0, entries, size: 0, limit: LARGEST }
    }

    /// As new, with the memory kept.
    pub(super) fn clear(&mut self) {
        self.evict(0);
        self.limit = LARGEST;
    }

    #[inline]
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What an entry may take without pushing another one out.
    pub(super) fn room(&self) -> usize {
        self.limit - self.size
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Makes the table larger or smaller, by no more than [`LARGEST`].
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(LARGEST);
        self.evict(self.limit);
    }

    /// Name, value and mark of an entry; 0 is the newest.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8], M)> {
        let entry = self.entries.get(self.entries.len().checked_sub(index + 1)?)?;
        let text = self.bytes.get((entry.at - self.base) as usize..)?;
        let (name, rest) = text.split_at_checked(entry.name)?;
        Some((name, rest.get(..entry.value)?, entry.mark))
    }

    /// Puts an entry in. One that is larger than the table empties it, and is not kept: that is no error.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], mark: M) {
        let size = name.len() + value.len() + OVERHEAD;
        if size > self.limit {
            return self.evict(0);
        }
        self.evict(self.limit - size);
        if self.bytes.len() + name.len() + value.len() > 2 * LARGEST {
            self.move_to_front();
        }
        let at = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry { at, name: name.len(), value: value.len(), mark });
        self.size += size;
    }

    /// Drops the oldest until the rest is no larger than this.
    fn evict(&mut self, most: usize) {
        while self.size > most {
            let Some(entry) = self.entries.pop_front() else { break };
            self.size -= entry.size();
        }
    }

    fn move_to_front(&mut self) {
        let end = self.base + self.bytes.len() as u64;
        let first = self.entries.front().map_or(end, |e| e.at);
        self.bytes.drain(..(first - self.base) as usize);
        self.base = first;
    }
}
