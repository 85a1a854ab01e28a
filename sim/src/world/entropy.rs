//! What a process asks of its system and what would differ from run to run: random bytes and the time. The
//! symbols of the C library are ours in this program; on a thread that carries out a seed they answer from
//! the seed and from the world's clock, on any other they ask the kernel. So do syncs of real files, where a
//! world says what becomes of them.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

/// Nanoseconds since the Unix epoch at which every world begins.
const DAWN: u64 = 1_800_000_000_000_000_000;

#[derive(Clone, Copy)]
struct Given {
    /// What the next random bytes are made of.
    random: u64,
    /// Nanoseconds since the world began.
    now: u64,
    /// What the wall clock is off by, in nanoseconds.
    skew: i64,
}

/// What a sync of a real file comes to: an error's number, if any.
type OnSync = Box<dyn Fn(c_int) -> Result<(), c_int>>;

thread_local! {
    static SYNCS: RefCell<Option<OnSync>> = const { RefCell::new(None) };
    static GIVEN: Cell<Option<Given>> = const { Cell::new(None) };
}

/// From now on this thread carries out a seed.
pub(crate) fn enter(seed: u64) {
    GIVEN.set(Some(Given { random: seed, now: 0, skew: 0 }));
}

/// And no more.
pub(crate) fn leave() {
    GIVEN.set(None);
}

/// Who decides what becomes of syncs of real files on this thread.
pub(crate) fn on_sync(decide: Option<OnSync>) {
    SYNCS.set(decide);
}

/// What time it is for who runs next on this thread.
pub(crate) fn set_time(now: u64, skew: i64) {
    if let Some(given) = GIVEN.get() {
        GIVEN.set(Some(Given { now, skew, ..given }));
    }
}

/// The wall clock in nanoseconds since the Unix epoch.
pub(crate) fn wall(now: u64, skew: i64) -> u64 {
    (DAWN + now).saturating_add_signed(skew)
}

/// splitmix64
pub(crate) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// # Safety
/// As of the C library: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    let Some(mut given) = GIVEN.try_with(Cell::get).ok().flatten() else {
        // SAFETY: the caller's promise is passed on to the kernel.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as ssize_t;
    };
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller promises room for `length` bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let random = mix(&mut given.random).to_le_bytes();
        chunk.copy_from_slice(&random[..chunk.len()]);
    }
    GIVEN.set(Some(given));
    length as ssize_t
}

/// # Safety
/// As of the C library: `time` has room for a time.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(given) = GIVEN.try_with(Cell::get).ok().flatten() else {
        // SAFETY: the caller's promise is passed on to the kernel.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock as c_long, time) } as c_int;
    };
    let nanoseconds = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => wall(given.now, given.skew),
        // A machine that was started a while before its first process.
        _ => given.now + 1_000_000_000_000,
    };
    let now = timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as c_long,
    };
    // SAFETY: the caller promises room for a time.
    unsafe { time.write(now) };
    0
}

fn sync(call: c_long, file: c_int) -> c_int {
    let decided = SYNCS
        .try_with(|decide| decide.try_borrow().ok()?.as_ref().map(|decide| decide(file)))
        .ok()
        .flatten();
    match decided {
        // SAFETY: it takes a number, and refuses those that are no file's.
        None => unsafe { libc::syscall(call, file) as c_int },
        Some(Ok(())) => 0,
        Some(Err(error)) => {
            // SAFETY: the place belongs to this thread.
            unsafe { libc::__errno_location().write(error) };
            -1
        }
    }
}

/// As of the C library.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    sync(libc::SYS_fsync, file)
}

/// As of the C library.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(libc::SYS_fdatasync, file)
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::time::{Instant, SystemTime};

    use super::*;

    fn drawn() -> (u64, u64, u64) {
        let drawing = std::thread::spawn(|| {
            enter(7);
            let drawn = (RandomState::new().hash_one(1), rand::random(), rand::random());
            leave();
            drawn
        });
        drawing.join().unwrap()
    }

    #[test]
    fn syncs_of_real_files_are_decided_here() {
        let file = tempfile::tempfile().unwrap();
        assert!(file.sync_all().is_ok());
        on_sync(Some(Box::new(|_| Err(libc::EIO))));
        assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(libc::EIO));
        on_sync(None);
        assert!(file.sync_data().is_ok());
    }

    #[test]
    fn random_bytes_and_time_are_the_worlds() {
        assert_eq!(drawn(), drawn());
        enter(1);
        let (instant, time) = (Instant::now(), SystemTime::now());
        assert_eq!(instant, Instant::now());
        set_time(5_000_000_000, -1_000_000_000);
        assert_eq!(instant.elapsed().as_nanos(), 5_000_000_000);
        assert_eq!(time.elapsed().unwrap().as_nanos(), 4_000_000_000);
        leave();
        let instant = Instant::now();
        while instant.elapsed().is_zero() {}
    }
}
