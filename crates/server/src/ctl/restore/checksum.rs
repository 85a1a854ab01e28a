//! The SHA-256 behind a snapshot, computed on a thread of its own while the snapshot is read: one pass
//! of the disk serves both.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use aws_lc_rs::digest::{Context, SHA256};
use engine::restore::Unusable;

/// A snapshot is a multiple of this, and the checksum behind it is not.
const SECTOR: u64 = 512;
const LENGTH: u64 = 32;
const PIECE: usize = 1 << 20;

/// A checksum under way, if there is one to compare.
pub(super) struct Checksum {
    path: PathBuf,
    computing: Option<JoinHandle<io::Result<Compared>>>,
}

struct Compared {
    written: Vec<u8>,
    computed: Vec<u8>,
}

impl Checksum {
    /// Begins to read the file in `path`.
    ///
    /// # Errors
    /// [`Unusable`] if there is no checksum, and it is not to be done without.
    pub(super) fn begin(path: &Path, skip: bool) -> Result<Self, Unusable> {
        let failed = |error: io::Error| Unusable(format!("{}: {error}", path.display()));
        let bytes = path.metadata().map_err(failed)?.len();
        let path = path.to_path_buf();
        if skip {
            return Ok(Self { path, computing: None });
        }
        if bytes % SECTOR != LENGTH {
            return Err(Unusable(format!(
                "{} has no checksum behind it: it has {bytes} bytes, and a snapshot has a multiple of \
                 {SECTOR} and {LENGTH} more. Either it is cut off, and another copy is needed, or it is a \
                 copy of member/snap/db: then say --skip-hash-check",
                path.display()
            )));
        }
        let of = path.clone();
        let thread = thread::Builder::new().name("checksum".to_owned());
        let computing = thread.spawn(move || compute(&of, bytes - LENGTH));
        Ok(Self { path, computing: Some(computing.map_err(failed_in(bytes))?) })
    }

    /// Waits for it.
    ///
    /// # Errors
    /// [`Unusable`] if it is another than is written, or the file cannot be read.
    pub(super) fn end(self) -> Result<(), Unusable> {
        let Some(computing) = self.computing else { return Ok(()) };
        let path = self.path.display();
        let compared = computing.join().unwrap_or_else(|_| Err(io::Error::other("panicked")));
        let compared = compared.map_err(|error| Unusable(format!("{path}: {error}")))?;
        if compared.written == compared.computed {
            return Ok(());
        }
        Err(Unusable(format!(
            "{path} is not what was saved: the checksum behind it is {}, its bytes give {}. Get another \
             copy; --skip-hash-check takes it as it is",
            hex(&compared.written),
            hex(&compared.computed)
        )))
    }
}

fn failed_in(bytes: u64) -> impl Fn(io::Error) -> Unusable {
    move |error| Unusable(format!("cannot start a thread to check {bytes} bytes: {error}"))
}

fn compute(path: &Path, bytes: u64) -> io::Result<Compared> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.read_exact(&mut piece[..wanted])?;
        context.update(&piece[..wanted]);
        left -= wanted as u64;
    }
    let mut written = vec![0; LENGTH as usize];
    file.read_exact(&mut written)?;
    Ok(Compared { written, computed: context.finish().as_ref().to_vec() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
