//! What was received and waits to be taken, bounded in messages and in bytes: whoever is slow to take it
//! holds up the other end, and never fills the memory here.

use std::collections::VecDeque;

use tokio::sync::mpsc;

/// The way into a channel.
pub(super) struct Queue<T> {
    sender: mpsc::Sender<T>,
    /// Sizes of what waits, the oldest first, some of which may have been taken since.
    sizes: VecDeque<usize>,
    bytes: usize,
    most_bytes: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize, most_bytes: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(most);
        (Self { sender, sizes: VecDeque::new(), bytes: 0, most_bytes }, receiver)
    }

    /// Waits for room, which there is for one message of any size; false once nobody takes any more.
    pub(super) async fn send(&mut self, message: T, size: usize) -> bool {
        self.forget_taken();
        let mut kept = self.sizes.len();
        let mut bytes = self.bytes.saturating_add(size);
        for oldest in &self.sizes {
            if bytes <= self.most_bytes {
                break;
            }
            bytes -= oldest;
            kept -= 1;
        }
        // So many are to be taken before this one fits.
        let free = self.sender.max_capacity() - kept;
        let Ok(permits) = self.sender.reserve_many(free).await else { return false };
        drop(permits);
        self.forget_taken();
        self.sizes.push_back(size);
        self.bytes += size;
        self.sender.send(message).await.is_ok()
    }

    /// Waits until nobody takes any more.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    fn forget_taken(&mut self) {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        while self.sizes.len() > waiting {
            self.bytes -= self.sizes.pop_front().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn bytes_and_messages_are_bounded_and_room_is_made_by_taking() {
        let (mut queue, mut taker) = Queue::new(4, 100);
        assert!(queue.send(1, 60).now_or_never().unwrap());
        assert!(queue.send(2, 40).now_or_never().unwrap());
        assert!(queue.send(3, 1).now_or_never().is_none(), "too many bytes");
        assert_eq!(taker.recv().await, Some(1));
        assert!(queue.send(3, 1).now_or_never().unwrap());
        assert!(queue.send(4, 0).now_or_never().unwrap());
        assert!(queue.send(5, 0).now_or_never().unwrap());
        assert!(queue.send(6, 0).now_or_never().is_none(), "too many messages");
        for expected in [2, 3, 4] {
            assert_eq!(taker.recv().await, Some(expected));
        }
        // Larger than all there may be: alone it passes.
        assert!(queue.send(7, 1000).now_or_never().is_none());
        assert_eq!(taker.recv().await, Some(5));
        assert!(queue.send(7, 1000).now_or_never().unwrap());
        assert!(queue.send(8, 0).now_or_never().is_none());
        assert_eq!(taker.recv().await, Some(7));
        assert!(queue.send(8, 0).now_or_never().unwrap());
    }

    #[tokio::test]
    async fn who_waits_for_room_is_told_when_nobody_takes_any_more() {
        let (mut queue, taker) = Queue::new(1, 100);
        assert!(queue.send(1, 1).await);
        let waiting = tokio::spawn(async move { queue.send(2, 1).await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(taker);
        assert!(!waiting.await.unwrap());
    }
}
