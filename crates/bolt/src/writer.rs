//! Writes a database in file order, without going back and without holding more than a page of each
//! level. The meta pages come first and name what comes last, so there are two passes: a [`Planner`] is
//! shown the sizes, a [`Writer`] the bytes.

use std::io::{self, Write};

use crate::layout::{
    BRANCH, BUCKET_HEADER, FREELIST, IS_BUCKET, LEAF, LEAF_ELEMENT, META_PAGE, PAGE_HEADER,
    PAGE_SIZES,
};
use crate::meta::Meta;
use crate::shape::{Shape, Steps};

/// The page size that databases are written with: any bbolt reads it from the file.
pub const PAGE_SIZE: usize = 4096;
/// The longest key that bbolt takes.
pub const MAX_KEY: usize = 32768;
/// The longest value written here: a page with its overflow stays below bbolt's 2 GiB.
pub const MAX_VALUE: usize = 1 << 30;

/// The page of the freelist, which is empty; buckets begin after it.
const FREELIST_PAGE: u64 = 2;

/// What a database will be, known before its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    page_size: usize,
    root: u64,
    pages: u64,
}

impl Plan {
    /// The size of the database.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.pages * self.page_size as u64
    }
}

/// The first pass. Buckets in ascending order of their names, entries in that of their keys.
#[derive(Debug)]
pub struct Planner(Buckets<()>);

impl Planner {
    /// An empty database.
    ///
    /// # Panics
    /// If a page of that size is none of bolt's.
    #[must_use]
    pub fn new(page_size: usize) -> Self {
        assert!(
            page_size.is_power_of_two() && PAGE_SIZES.contains(&page_size),
            "no page of bolt's"
        );
        Self(Buckets::new(page_size, ()))
    }

    /// The entries that follow belong to bucket `name`.
    ///
    /// # Errors
    /// If bbolt takes no such name.
    pub fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        self.0.bucket(name)
    }

    /// A key and a value of these lengths.
    ///
    /// # Errors
    /// If bbolt takes none of such lengths.
    pub fn entry(&mut self, key: usize, value: usize) -> io::Result<()> {
        self.0.entry(key, value)
    }

    /// The plan.
    ///
    /// # Errors
    /// None that the entries did not have.
    pub fn finish(self) -> io::Result<Plan> {
        let page_size = self.0.page;
        let (root, pages, ()) = self.0.finish()?;
        Ok(Plan { page_size, root, pages })
    }
}

/// The second pass: the same buckets and entries once more, with their bytes.
#[derive(Debug)]
pub struct Writer<W> {
    plan: Plan,
    buckets: Buckets<Pages<W>>,
}

impl<W: Write> Writer<W> {
    /// Begins the database of `plan`.
    ///
    /// # Errors
    /// Those of `sink`, as of all that follow.
    pub fn new(plan: Plan, mut sink: W) -> io::Result<Self> {
        let page = plan.page_size;
        let mut first = vec![0; page * 3];
        for (number, place) in first.chunks_exact_mut(page).enumerate() {
            let number = number as u64;
            if number == FREELIST_PAGE {
                place[..PAGE_HEADER].copy_from_slice(&header(number, FREELIST, 0, 1));
                continue;
            }
            // bbolt writes transaction n to meta page n % 2 and takes the newer: page 0.
            let transaction = 2 - number;
            let (Plan { root, pages, .. }, freelist, sequence) = (plan, FREELIST_PAGE, 0);
            let meta = Meta { page_size: page, root, sequence, freelist, pages, transaction };
            place[..PAGE_HEADER].copy_from_slice(&header(number, META_PAGE, 0, 1));
            place[PAGE_HEADER..Meta::BYTES].copy_from_slice(&meta.encode());
        }
        sink.write_all(&first)?;
        let pages = Pages { page, sink, levels: Vec::new(), out: Vec::new() };
        Ok(Self { plan, buckets: Buckets::new(page, pages) })
    }

    /// The entries that follow belong to bucket `name`.
    ///
    /// # Errors
    /// See [`Writer::new`].
    pub fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        self.buckets.bucket(name)
    }

    /// A key and its value, which is given in parts.
    ///
    /// # Errors
    /// See [`Writer::new`].
    ///
    /// # Panics
    /// If the keys of a page do not ascend.
    pub fn entry(&mut self, key: &[u8], value: &[&[u8]]) -> io::Result<()> {
        self.buckets.entry(key.len(), value.iter().map(|part| part.len()).sum())?;
        self.buckets.steps.level(0).push(0, key, value);
        Ok(())
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// See [`Writer::new`].
    ///
    /// # Panics
    /// If this was not what the plan was made of: the pages written before are then of no use.
    pub fn finish(self) -> io::Result<W> {
        let (root, pages, steps) = self.buckets.finish()?;
        assert_eq!(pages, self.plan.pages, "a database has the pages that were planned");
        assert_eq!(root, self.plan.root, "a database begins where it was planned");
        Ok(steps.sink)
    }
}

/// The buckets of a database as they go by: what both passes do.
#[derive(Debug)]
struct Buckets<S> {
    page: usize,
    shape: Shape,
    steps: S,
    /// The buckets so far, and where each begins; the last is open, and its page is not known.
    roots: Vec<(Vec<u8>, u64)>,
}

impl<S: Sink> Buckets<S> {
    fn new(page: usize, steps: S) -> Self {
        let shape = Shape::new(page, FREELIST_PAGE + 1);
        Self { page, shape, steps, roots: Vec::new() }
    }

    fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        check(name.len(), 0)?;
        let ascends = self.roots.last().is_none_or(|(last, _)| &**last < name);
        assert!(ascends, "buckets come in the order of their names");
        self.close()?;
        self.roots.push((name.to_vec(), 0));
        Ok(())
    }

    fn entry(&mut self, key: usize, value: usize) -> io::Result<()> {
        assert!(!self.roots.is_empty(), "an entry stands in a bucket");
        check(key, value)?;
        self.shape.add(0, key, value, &mut self.steps)
    }

    /// Ends the open bucket, if there is one.
    fn close(&mut self) -> io::Result<()> {
        if let Some((_, root)) = self.roots.last_mut() {
            *root = self.shape.finish(&mut self.steps)?;
            self.shape = Shape::new(self.page, self.shape.next());
        }
        Ok(())
    }

    /// Writes the bucket of buckets. Returns where that begins, how many pages there are, and the steps.
    fn finish(mut self) -> io::Result<(u64, u64, S)> {
        self.close()?;
        for (name, root) in &self.roots {
            self.shape.add(0, name.len(), BUCKET_HEADER, &mut self.steps)?;
            self.steps.bucket(name, *root);
        }
        let root = self.shape.finish(&mut self.steps)?;
        Ok((root, self.shape.next(), self.steps))
    }
}

fn check(key: usize, value: usize) -> io::Result<()> {
    if key == 0 || key > MAX_KEY || value > MAX_VALUE {
        let what = format!("bbolt takes no key of {key} bytes with a value of {value}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// Steps that also know the bucket of buckets.
trait Sink: Steps {
    /// Bucket `name`, which begins at page `root`, becomes the next element of the open leaf.
    fn bucket(&mut self, name: &[u8], root: u64);
}

impl Sink for () {
    fn bucket(&mut self, _: &[u8], _: u64) {}
}

/// The open page of each level, and where closed ones go.
#[derive(Debug)]
struct Pages<W> {
    page: usize,
    sink: W,
    levels: Vec<Open>,
    out: Vec<u8>,
}

/// An open page.
#[derive(Debug, Default)]
struct Open {
    elements: Vec<Element>,
    data: Vec<u8>,
    /// The page closed before it at this level: its number and its first key.
    closed: (u64, Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
struct Element {
    /// A leaf's flags or a branch's child.
    tag: u64,
    key: usize,
    value: usize,
}

impl Open {
    fn push(&mut self, tag: u64, key: &[u8], value: &[&[u8]]) {
        if let Some(last) = self.elements.last() {
            let from = self.data.len() - last.key - last.value;
            assert!(self.data[from..from + last.key] < *key, "keys come in their order");
        }
        let from = self.data.len() + key.len();
        self.data.extend_from_slice(key);
        for part in value {
            self.data.extend_from_slice(part);
        }
        self.elements.push(Element { tag, key: key.len(), value: self.data.len() - from });
    }

    /// Writes itself out as page `id`, and is empty.
    fn close(&mut self, level: usize, id: u64, pages: u64, out: &mut Vec<u8>) {
        let flags = if level == 0 { LEAF } else { BRANCH };
        out.extend_from_slice(&header(id, flags, self.elements.len(), pages));
        let mut left = self.elements.len() * LEAF_ELEMENT;
        for Element { tag, key, value } in &self.elements {
            // From the element to its key.
            let pos = (left as u32).to_le_bytes();
            let [key_size, value_size] = [*key, *value].map(|size| (size as u32).to_le_bytes());
            if level == 0 {
                let parts = [(*tag as u32).to_le_bytes(), pos, key_size, value_size];
                out.extend_from_slice(parts.as_flattened());
            } else {
                out.extend_from_slice([pos, key_size].as_flattened());
                out.extend_from_slice(&tag.to_le_bytes());
            }
            left = left - LEAF_ELEMENT + key + value;
        }
        out.extend_from_slice(&self.data);
        let first = self.elements.first().map_or(0, |element| element.key);
        self.closed.0 = id;
        self.closed.1.clear();
        self.closed.1.extend_from_slice(&self.data[..first]);
        self.elements.clear();
        self.data.clear();
    }
}

impl<W> Pages<W> {
    fn level(&mut self, level: usize) -> &mut Open {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Open::default);
        }
        &mut self.levels[level]
    }
}

impl<W: Write> Steps for Pages<W> {
    fn close(&mut self, level: usize, id: u64, pages: u64) -> io::Result<()> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.level(level).close(level, id, pages, &mut out);
        let whole = pages as usize * self.page;
        assert!(out.len() <= whole, "a page holds what was planned for it");
        out.resize(whole, 0);
        self.out = out;
        self.sink.write_all(&self.out)
    }

    fn link(&mut self, level: usize) {
        let (id, key) = std::mem::take(&mut self.level(level - 1).closed);
        self.level(level).push(id, &key, &[]);
        self.level(level - 1).closed = (id, key);
    }
}

impl<W: Write> Sink for Pages<W> {
    fn bucket(&mut self, name: &[u8], root: u64) {
        let sequence = 0u64;
        let value = [root.to_le_bytes(), sequence.to_le_bytes()];
        self.level(0).push(u64::from(IS_BUCKET), name, &[value.as_flattened()]);
    }
}

fn header(id: u64, flags: u16, count: usize, pages: u64) -> [u8; PAGE_HEADER] {
    let mut header = [0; PAGE_HEADER];
    header[..8].copy_from_slice(&id.to_le_bytes());
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&(count as u16).to_le_bytes());
    header[12..].copy_from_slice(&((pages - 1) as u32).to_le_bytes());
    header
}
