//! Where a bucket's elements go when they come in order: which page, and when it is full. Only sizes are
//! known here, so that a plan and the bytes made after it come to the same pages.

use std::io;

use crate::layout::{LEAF_ELEMENT, PAGE_HEADER};

/// A branch has as many elements before its bytes count: otherwise long keys would make no tree.
const MIN_BRANCH: usize = 2;

/// What is to be done as pages become full.
pub(crate) trait Steps {
    /// The page of `level`, 0 being the leaves, is full: it is page `id`, and with its overflow `pages`.
    fn close(&mut self, level: usize, id: u64, pages: u64) -> io::Result<()>;

    /// The page that was closed last below `level` becomes an element there.
    fn link(&mut self, level: usize);
}

/// What a plan does: nothing.
impl Steps for () {
    fn close(&mut self, _: usize, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn link(&mut self, _: usize) {}
}

/// The open page of one level.
#[derive(Debug)]
struct Level {
    count: usize,
    used: usize,
    /// How long its first key is, and that of the page closed before it.
    first_key: usize,
    closed_key: usize,
}

impl Level {
    const fn new() -> Self {
        Self { count: 0, used: PAGE_HEADER, first_key: 0, closed_key: 0 }
    }

    /// Whether an element of `size` belongs to the next page: when it does not fit and no more than a
    /// quarter stays empty. So values of half a page stand on two or three pages together, and only
    /// one that is larger takes more than four.
    const fn is_full(&self, page: usize, level: usize, size: usize) -> bool {
        let room = self.used.div_ceil(page) * page;
        let least = if level == 0 { 1 } else { MIN_BRANCH };
        self.count >= least && self.used + size > room && room - self.used <= room / 4
    }
}

/// The tree of one bucket, growing at its right edge: one open page for each level.
#[derive(Debug)]
pub(crate) struct Shape {
    page: usize,
    /// The number of the next page.
    next: u64,
    levels: Vec<Level>,
}

impl Shape {
    /// A bucket whose first page gets the number `next`.
    pub(crate) fn new(page: usize, next: u64) -> Self {
        Self { page, next, levels: vec![Level::new()] }
    }

    /// The number of the next page.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Makes room for an element at `level`; that and the element itself are then the caller's.
    pub(crate) fn add(
        &mut self,
        level: usize,
        key: usize,
        value: usize,
        steps: &mut impl Steps,
    ) -> io::Result<()> {
        if level == self.levels.len() {
            self.levels.push(Level::new());
        }
        let size = LEAF_ELEMENT + key + value;
        if self.levels[level].is_full(self.page, level, size) {
            self.close(level, steps)?;
            self.link(level + 1, steps)?;
        }
        let open = &mut self.levels[level];
        if open.count == 0 {
            open.first_key = key;
        }
        open.count += 1;
        open.used += size;
        Ok(())
    }

    fn link(&mut self, level: usize, steps: &mut impl Steps) -> io::Result<()> {
        let key = self.levels[level - 1].closed_key;
        self.add(level, key, 0, steps)?;
        steps.link(level);
        Ok(())
    }

    fn close(&mut self, level: usize, steps: &mut impl Steps) -> io::Result<u64> {
        let full = &mut self.levels[level];
        assert!(full.count <= usize::from(u16::MAX), "a page counts its elements in 16 bits");
        let id = self.next;
        let pages = full.used.div_ceil(self.page) as u64;
        let closed_key = full.first_key;
        *full = Level { closed_key, ..Level::new() };
        self.next += pages;
        steps.close(level, id, pages)?;
        Ok(id)
    }

    /// Closes what is open, from the leaf up. Returns the root's page.
    pub(crate) fn finish(&mut self, steps: &mut impl Steps) -> io::Result<u64> {
        let mut level = 0;
        loop {
            let id = self.close(level, steps)?;
            if level + 1 == self.levels.len() {
                return Ok(id);
            }
            level += 1;
            self.link(level, steps)?;
        }
    }
}
