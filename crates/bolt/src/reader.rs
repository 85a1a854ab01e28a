//! A bolt database in a file, read page by page with `pread`. The file is never held in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::layout::{BUCKET_HEADER, MAX_RUN, PAGE_HEADER, PAGE_SIZES, u64_at};
use crate::meta::Meta;
use crate::page::{Header, Kind, Page};

/// An open database. Buckets and cursors borrow it; any number may be used at once.
#[derive(Debug)]
pub struct Reader {
    file: File,
    meta: Meta,
    /// What is wrong with the meta page that was not taken, if anything.
    other_meta: Option<&'static str>,
}

/// A bucket: keys in order, each with a value or with a bucket inside this one.
#[derive(Debug)]
pub struct Bucket<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) root: Root,
    sequence: u64,
}

/// Where a bucket begins.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    Page(u64),
    /// A small one stands in the leaf that names it: the number of that leaf, and the bucket's page.
    Inline(u64, Vec<u8>),
}

impl Reader {
    /// Opens the database in `path`. Only its meta pages are looked at.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { page: 0, source })?;
        Self::new(file)
    }

    /// As [`Reader::open`]. What stands after the database, such as a checksum, is not looked at.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(file: File) -> Result<Self, Error> {
        let failed = |source| Error::Io { page: 0, source };
        let length = file.metadata().map_err(failed)?.len();
        let first = meta_at(&file, 0, 0).map_err(failed)?;
        let second = match &first {
            Ok(meta) => meta_at(&file, meta.page_size as u64, 1).map_err(failed)?,
            // Where the second meta page stands is what the first would have said.
            Err(_) => anywhere(&file).map_err(failed)?,
        };
        let (meta, other_meta) = match (first, second) {
            (Ok(first), Ok(second)) if second.transaction > first.transaction => (second, None),
            (Ok(first), second) => (first, second.err()),
            (Err(why), Ok(second)) => (second, Some(why)),
            (Err(first), Err(second)) => {
                let what = format!("meta page 0: {first}; meta page 1: {second}");
                return Err(Error::NotBolt(what));
            }
        };
        let needed = meta.pages * meta.page_size as u64;
        if length < needed {
            return Err(Error::CutOff { needed, length });
        }
        Ok(Self { file, meta, other_meta })
    }

    /// The size of a page, in bytes.
    #[must_use]
    pub const fn page_size(&self) -> usize {
        self.meta.page_size
    }

    /// What all pages take, in bytes. The file may be longer.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.meta.pages * self.meta.page_size as u64
    }

    /// The newest transaction that was committed.
    #[must_use]
    pub const fn transaction(&self) -> u64 {
        self.meta.transaction
    }

    /// What is wrong with the meta page that was not taken: a commit was torn, or it is damaged.
    #[must_use]
    pub const fn other_meta(&self) -> Option<&'static str> {
        self.other_meta
    }

    /// The bucket of all buckets.
    #[must_use]
    pub const fn root(&self) -> Bucket<'_> {
        let Meta { root, sequence, .. } = self.meta;
        Bucket { reader: self, root: Root::Page(root), sequence }
    }

    /// The bucket called `name`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'_>>, Error> {
        self.root().bucket(name)
    }

    /// Pages are numbered below this.
    pub(crate) const fn pages(&self) -> u64 {
        self.meta.pages
    }

    /// Reads page `id`, which page `from` refers to, into `buffer`, and checks it.
    pub(crate) fn page(&self, id: u64, from: u64, mut buffer: Vec<u8>) -> Result<Page, Error> {
        let refers = |what: &str| Error::damaged(from, format!("it refers to page {id}, {what}"));
        if id < 2 {
            return Err(refers("which is a meta page"));
        }
        if id >= self.meta.pages {
            return Err(refers("which lies behind the last"));
        }
        buffer.clear();
        self.fill(id, self.meta.page_size, &mut buffer)?;
        let header = Header::decode(&buffer);
        if header.id != id {
            return Err(Error::damaged(id, format!("it says it is page {}", header.id)));
        }
        let Some(kind) = Kind::of(header.flags) else {
            let what = format!("it is neither leaf nor branch: flags {:#x}", header.flags);
            return Err(Error::damaged(id, what));
        };
        let pages = u64::from(header.overflow) + 1;
        let run = pages * self.meta.page_size as u64;
        if id + pages > self.meta.pages || run > MAX_RUN {
            let what = format!("it says that {} more pages belong to it", header.overflow);
            return Err(Error::damaged(id, what));
        }
        let fits = |used: u64| match used <= run {
            true => Ok(used as usize),
            false => Err(Error::damaged(id, format!("its elements take {used} bytes of {run}"))),
        };
        // No more is read, nor memory taken, than elements that were checked account for.
        let table = fits(header.table_end() as u64)?;
        self.fill(id, table, &mut buffer)?;
        let used = fits(Page::measure(id, kind, header.count, &buffer)?)?;
        self.fill(id, used, &mut buffer)?;
        Page::new(id, kind, header.count, buffer)
    }

    /// Reads on until `buffer` has the first `upto` bytes of page `id`.
    fn fill(&self, id: u64, upto: usize, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let have = buffer.len();
        if have >= upto {
            return Ok(());
        }
        buffer.resize(upto, 0);
        let offset = id * self.meta.page_size as u64 + have as u64;
        let read = self.file.read_exact_at(&mut buffer[have..], offset);
        read.map_err(|source| Error::Io { page: id, source })
    }
}

impl<'a> Bucket<'a> {
    /// The number that `NextSequence` counts.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A cursor before the first key.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.reader, self.root.clone())
    }

    /// The value of `key`; none if it is not there, or is a bucket.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut cursor = self.cursor();
        cursor.seek(key)?;
        let found = cursor.next()?.filter(|entry| entry.key == key && !entry.is_bucket);
        Ok(found.map(|entry| entry.value.to_vec()))
    }

    /// The bucket inside this one that is called `name`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Self>, Error> {
        let mut cursor = self.cursor();
        cursor.seek(name)?;
        let page = cursor.page();
        let Some(entry) = cursor.next()?.filter(|entry| entry.key == name && entry.is_bucket)
        else {
            return Ok(None);
        };
        Self::decode(self.reader, page, entry.value).map(Some)
    }

    /// Reads the value of a bucket's entry, which stands on `page`.
    fn decode(reader: &'a Reader, page: u64, value: &[u8]) -> Result<Self, Error> {
        if value.len() < BUCKET_HEADER {
            return Err(Error::damaged(page, "a bucket in it is shorter than its header"));
        }
        let (root, sequence) = (u64_at(value, 0), u64_at(value, 8));
        let root = match root {
            0 => Root::Inline(page, value[BUCKET_HEADER..].to_vec()),
            root => Root::Page(root),
        };
        Ok(Self { reader, root, sequence })
    }
}

/// Checks the page of an inline bucket that stands on page `id`.
pub(crate) fn inline(id: u64, bytes: Vec<u8>) -> Result<Page, Error> {
    let damaged = |what| Err(Error::damaged(id, what));
    if bytes.len() < PAGE_HEADER {
        return damaged("an inline bucket in it is shorter than a page header");
    }
    let header = Header::decode(&bytes);
    if header.id != 0 || header.overflow != 0 || Kind::of(header.flags) != Some(Kind::Leaf) {
        return damaged("an inline bucket in it is not a leaf");
    }
    if header.table_end() > bytes.len() {
        return damaged("an inline bucket in it has more elements than room");
    }
    let used = Page::measure(id, Kind::Leaf, header.count, &bytes)?;
    if used > bytes.len() as u64 {
        return damaged("an inline bucket in it ends behind its end");
    }
    Page::new(id, Kind::Leaf, header.count, bytes)
}

/// Meta page `number`, if it stands at `offset`.
fn meta_at(file: &File, offset: u64, number: u64) -> io::Result<Result<Meta, &'static str>> {
    let mut bytes = [0; Meta::BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Meta::decode(&bytes, number)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Err("the file ends there"))
        }
        Err(error) => Err(error),
    }
}

/// The second meta page, wherever a page of any size would put it.
fn anywhere(file: &File) -> io::Result<Result<Meta, &'static str>> {
    let mut size = *PAGE_SIZES.start();
    let mut found = Err("not found");
    while size <= *PAGE_SIZES.end() {
        let meta = meta_at(file, size as u64, 1)?;
        if meta.is_ok_and(|meta| meta.page_size == size) {
            return Ok(meta);
        }
        // What is wrong is said of the usual page.
        if size == 4096 {
            found = meta;
        }
        size *= 2;
    }
    Ok(found.and(Err("its page size is not where it stands")))
}
