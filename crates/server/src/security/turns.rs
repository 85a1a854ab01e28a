//! Whose turn it is to use one of a few threads, so that no caller keeps the others waiting: each
//! caller stands in a line of its own, and the heads of the lines take turns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may stand in line, those whose turn it is included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) of_one_caller: usize,
    pub(super) of_all: usize,
}

/// Why there is no place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// This caller has too many standing.
    OfThisCaller,
    /// All callers together have.
    OfAll,
}

/// The lines and the threads.
#[derive(Debug)]
pub(super) struct Turns {
    threads: Arc<Semaphore>,
    count: usize,
    places: Places,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    standing: usize,
    by_caller: HashMap<Option<IpAddr>, Line>,
}

/// One caller's line. It has as many heads as there are threads, so that a caller who is alone has
/// them all, and no more, so that the next one's head comes right behind them.
#[derive(Debug)]
struct Line {
    heads: Arc<Semaphore>,
    standing: usize,
}

/// A place in line; leaves it when dropped.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    caller: Option<IpAddr>,
}

/// The right to use one thread until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _thread: OwnedSemaphorePermit,
    _head: OwnedSemaphorePermit,
    _place: Place,
}

impl Turns {
    pub(super) fn new(threads: usize, places: Places) -> Arc<Self> {
        let semaphore = Arc::new(Semaphore::new(threads));
        let lines = Mutex::default();
        Arc::new(Self { threads: semaphore, count: threads, places, lines })
    }

    /// Waits for a turn. Giving up (dropping the future) leaves the line.
    pub(super) async fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Turn, Full> {
        let (place, heads) = self.stand(address.map(neighbourhood))?;
        let head = own(heads).await;
        let thread = own(Arc::clone(&self.threads)).await;
        Ok(Turn { _thread: thread, _head: head, _place: place })
    }

    fn stand(self: &Arc<Self>, caller: Option<IpAddr>) -> Result<(Place, Arc<Semaphore>), Full> {
        let mut lines = self.lines.lock();
        if lines.standing >= self.places.of_all {
            return Err(Full::OfAll);
        }
        let line = lines
            .by_caller
            .entry(caller)
            .or_insert_with(|| Line { heads: Arc::new(Semaphore::new(self.count)), standing: 0 });
        if line.standing >= self.places.of_one_caller {
            return Err(Full::OfThisCaller);
        }
        line.standing += 1;
        let heads = Arc::clone(&line.heads);
        lines.standing += 1;
        Ok((Place { turns: Arc::clone(self), caller }, heads))
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> (usize, usize) {
        let lines = self.lines.lock();
        (lines.standing, lines.by_caller.len())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.turns.lines.lock();
        lines.standing -= 1;
        if let Entry::Occupied(mut line) = lines.by_caller.entry(self.caller) {
            line.get_mut().standing -= 1;
            if line.get().standing == 0 {
                line.remove();
            }
        }
    }
}

/// A permit; these semaphores are never closed.
async fn own(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.acquire_owned().await {
        Ok(permit) => permit,
        Err(_) => std::future::pending().await,
    }
}

/// Who counts as one caller: an address of IPv4, a network of IPv6, since there one host has 2^64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::{Full, Places, Turns, neighbourhood};

    const PLACES: Places = Places { of_one_caller: 10, of_all: 15 };

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_s_long_line_does_not_delay_another_s() {
        let turns = Turns::new(1, PLACES);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (who, at) in ["10.0.0.1"; 10].iter().chain(["10.0.0.2"; 2].iter()).zip(0..) {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                // All stand in line, in this order, before the first is done.
                tokio::time::sleep(Duration::from_millis(at)).await;
                let turn = turns.take(address(who)).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                order.lock().push(*who);
                drop(turn);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.lock();
        let last = order.iter().rposition(|who| *who == "10.0.0.2").unwrap();
        assert!(last <= 4, "the second caller's two waited for {order:?}");
        assert_eq!(turns.standing(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_run_than_there_are_threads() {
        let turns = Turns::new(3, PLACES);
        let running = Arc::new(Mutex::new((0, 0)));
        let tasks: Vec<_> = (0..9)
            .map(|_| {
                let (turns, running) = (Arc::clone(&turns), Arc::clone(&running));
                tokio::spawn(async move {
                    let turn = turns.take(None).await.unwrap();
                    {
                        let mut running = running.lock();
                        running.0 += 1;
                        running.1 = running.0.max(running.1);
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    running.lock().0 -= 1;
                    drop(turn);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*running.lock(), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_bounded_and_left_by_those_who_give_up() {
        let turns = Turns::new(1, PLACES);
        let held = turns.take(address("10.0.0.1")).await.unwrap();
        let mut waiting = Vec::new();
        let wait = |who: &'static str| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { turns.take(address(who)).await })
        };
        waiting.extend((0..9).map(|_| wait("10.0.0.1")));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(turns.take(address("10.0.0.1")).await.unwrap_err(), Full::OfThisCaller);
        waiting.extend((0..5).map(|_| wait("10.0.0.2")));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(turns.standing(), (15, 2));
        assert_eq!(turns.take(address("10.0.0.3")).await.unwrap_err(), Full::OfAll);
        for task in waiting {
            task.abort();
            assert!(task.await.is_err());
        }
        assert_eq!(turns.standing(), (1, 1));
        drop(held);
        assert_eq!(turns.standing(), (0, 0));
        let free = turns.take(address("10.0.0.3"));
        assert!(tokio::time::timeout(Duration::from_secs(1), free).await.unwrap().is_ok());
    }

    #[test]
    fn who_counts_as_one_caller() {
        for (one, other, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8:1:2:3::4", "2001:db8:1:2:ffff::", true),
            ("2001:db8:1:2::", "2001:db8:1:3::", false),
        ] {
            let [one, other] = [one, other].map(|text| neighbourhood(text.parse().unwrap()));
            assert_eq!(one == other, same, "{one} {other}");
        }
    }
}
