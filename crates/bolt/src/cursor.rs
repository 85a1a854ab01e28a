//! Walks a bucket's keys in their order. Keys are checked across pages too: each must lie where the
//! branches above say, so no page can lead back to one before it.

use crate::error::Error;
use crate::layout::MAX_DEPTH;
use crate::page::{Kind, Page};
use crate::reader::{Reader, Root, inline};

/// What stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value; of a bucket, its description.
    pub value: &'a [u8],
    /// Whether it is a bucket, to be had by [`crate::Bucket::bucket`].
    pub is_bucket: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Cursor<'a> {
    reader: &'a Reader,
    root: Root,
    /// Branches from the root down, each with the element that was taken.
    branches: Vec<(Page, usize)>,
    leaf: Page,
    /// The next element of the leaf.
    next: usize,
    /// Pages read since the last seek: never more than there are, unless they form a circle.
    entered: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first key; nothing was read.
    Fresh,
    Under,
    /// Behind the last key.
    Over,
    /// An error was returned.
    Broken,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(reader: &'a Reader, root: Root) -> Self {
        Self {
            reader,
            root,
            branches: Vec::new(),
            leaf: Page::empty(Vec::new()),
            next: 0,
            entered: 0,
            stage: Stage::Fresh,
        }
    }

    /// Goes before the first key that is `key` or greater.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        let sought = self.enter_root(Some(key));
        self.settled(sought)
    }

    /// The next key, its value, or nothing behind the last.
    ///
    /// # Errors
    /// See [`Error`]. After one, nothing but [`Cursor::seek`] makes sense, and this says so.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        let found = self.advance();
        if !self.settled(found)? {
            return Ok(None);
        }
        let nth = self.next;
        self.next += 1;
        let (key, value) = self.leaf.pair(nth);
        Ok(Some(Entry { key, value, is_bucket: self.leaf.is_bucket(nth) }))
    }

    /// What stands before the cursor, if that is on the same page: behind a seek for a key greater than all
    /// it is the last.
    #[must_use]
    pub fn before(&self) -> Option<Entry<'_>> {
        let nth = self.next.checked_sub(1).filter(|_| self.stage == Stage::Under)?;
        let (key, value) = self.leaf.pair(nth);
        Some(Entry { key, value, is_bucket: self.leaf.is_bucket(nth) })
    }

    /// The page that the next key stands on, if the cursor was moved already.
    #[must_use]
    pub const fn page(&self) -> u64 {
        self.leaf.id
    }

    fn settled<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.stage = Stage::Broken;
        }
        result
    }

    /// Goes to the leaf that has the next key. Whether there is one.
    fn advance(&mut self) -> Result<bool, Error> {
        match self.stage {
            Stage::Fresh => self.enter_root(None)?,
            Stage::Under => {}
            Stage::Over => return Ok(false),
            Stage::Broken => {
                return Err(Error::damaged(self.leaf.id, "the walk ended in an error before"));
            }
        }
        while self.next >= self.leaf.count {
            let Some((branch, taken)) = self.branches.last_mut() else {
                self.stage = Stage::Over;
                return Ok(false);
            };
            *taken += 1;
            if *taken < branch.count {
                self.descend(None)?;
            } else {
                self.branches.pop();
            }
        }
        Ok(true)
    }

    fn enter_root(&mut self, key: Option<&[u8]>) -> Result<(), Error> {
        self.branches.clear();
        self.entered = 0;
        self.stage = Stage::Under;
        let page = match &self.root {
            Root::Inline(id, bytes) => inline(*id, bytes.clone())?,
            Root::Page(id) => {
                let id = *id;
                // The root bucket is named by the meta page.
                self.read(id, 0)?
            }
        };
        self.take(page, key)
    }

    /// Goes down from the lowest branch to the leaf with the first key under its taken element, or with
    /// `key`.
    fn descend(&mut self, key: Option<&[u8]>) -> Result<(), Error> {
        let Some((branch, taken)) = self.branches.last() else { return Ok(()) };
        let (child, from) = (branch.child(*taken), branch.id);
        let page = self.read(child, from)?;
        self.check_bounds(&page)?;
        self.take(page, key)
    }

    /// Makes `page` the place where the cursor stands, and goes on down if it is a branch.
    fn take(&mut self, page: Page, key: Option<&[u8]>) -> Result<(), Error> {
        if page.kind == Kind::Leaf {
            self.next = key.map_or(0, |key| page.lower_bound(key));
            self.leaf = page;
            return Ok(());
        }
        if page.count == 0 {
            return Err(Error::damaged(page.id, "a branch without elements"));
        }
        if self.branches.len() >= MAX_DEPTH {
            let what = format!("it lies more than {MAX_DEPTH} branches deep");
            return Err(Error::damaged(page.id, what));
        }
        let taken = key.map_or(0, |key| page.child_of(key));
        self.branches.push((page, taken));
        self.descend(key)
    }

    fn read(&mut self, id: u64, from: u64) -> Result<Page, Error> {
        self.entered += 1;
        if self.entered > self.reader.pages() {
            return Err(Error::damaged(from, "pages refer to each other in a circle"));
        }
        let spare = std::mem::replace(&mut self.leaf, Page::empty(Vec::new()));
        let number = spare.id;
        let page = self.reader.page(id, from, spare.into_bytes());
        self.leaf.id = number;
        page
    }

    /// The keys of a child lie from its element's key up to that of the next.
    fn check_bounds(&self, page: &Page) -> Result<(), Error> {
        let Some((branch, taken)) = self.branches.last() else { return Ok(()) };
        if page.count == 0 {
            return Ok(());
        }
        if page.key(0) < branch.key(*taken) {
            let what = format!("its first key is less than page {} says", branch.id);
            return Err(Error::damaged(page.id, what));
        }
        let above = self.branches.iter().rev();
        let mut nexts = above.filter(|(branch, taken)| taken + 1 < branch.count);
        if let Some((above, taken)) = nexts.next()
            && page.key(page.count - 1) >= above.key(taken + 1)
        {
            let what = format!("its last key is not less than what page {} has next", above.id);
            return Err(Error::damaged(page.id, what));
        }
        Ok(())
    }
}
