//! The writer's end of a line: a follower's orders come in, what is durable goes out.

use std::time::Duration;

use state::{Entry, MemberId};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::mail::{Forwarded, Mail, Question};
use super::{Answer, Hello, News, Order};
use crate::engine::Engine;
use crate::fault::Fault;

/// A line on which nothing happens is told so this often, so that silence means something.
pub const IDLE: Duration = Duration::from_millis(100);
/// Entries kept for followers that are slower; one that falls further behind reads the journal.
pub(crate) const KEPT: usize = 256;
/// Questions of one follower that wait at once.
const QUESTIONS: usize = 1_024;

/// What the loop tells all followers.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// To all of them.
    All(News),
    /// To one start of one of them.
    One(MemberId, u64, News),
}

impl Engine {
    /// The writer's end of a line: serves a follower until either end goes, or we are no longer the writer.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if we are not the writer.
    pub async fn follow(
        &self,
        hello: Hello,
        orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) -> Result<(), Fault> {
        let Some(shared) = &self.shared.replicas else { return Err(not_the_writer()) };
        let told = shared.told.lock().as_ref().map(broadcast::Sender::subscribe);
        let Some(told) = told else { return Err(not_the_writer()) };
        tracing::info!(member = %hello.member, applied = %hello.applied, "a replica follows");
        let mail = shared.mail.clone();
        drop(mail.send(Mail::Follower(hello.member, true)).await);
        tokio::select! {
            () = self.take(hello, orders, news.clone()) => {}
            () = tell(hello, told, news) => {}
        }
        drop(mail.send(Mail::Follower(hello.member, false)).await);
        Ok(())
    }

    /// Takes a follower's orders until there are no more.
    async fn take(
        &self,
        hello: Hello,
        mut orders: mpsc::Receiver<Order>,
        news: mpsc::Sender<News>,
    ) {
        let Some(shared) = &self.shared.replicas else { return };
        let questions = std::sync::Arc::new(tokio::sync::Semaphore::new(QUESTIONS));
        while let Some(order) = orders.recv().await {
            match order {
                Order::Commands { epoch, first, body } => {
                    let Ok(Entry { commands, .. }) = Entry::decode(&body) else {
                        tracing::error!(member = %hello.member, "a replica sent commands that cannot be read");
                        return;
                    };
                    let Hello { member, session, .. } = hello;
                    let forwarded = Forwarded { member, session, epoch, first, commands };
                    if shared.mail.send(Mail::Forwarded(forwarded)).await.is_err() {
                        return;
                    }
                }
                Order::Leaving => {
                    drop(shared.mail.send(Mail::Leaving(hello.member)).await);
                }
                Order::Ask { id, ask } => {
                    let Ok(place) = std::sync::Arc::clone(&questions).acquire_owned().await else {
                        return;
                    };
                    let (reply, answer) = oneshot::channel();
                    let since = self.shared.clock.monotonic();
                    let question = Question { ask, reply, since };
                    if shared.mail.send(Mail::Ask(question)).await.is_err() {
                        return;
                    }
                    let news = news.clone();
                    tokio::spawn(async move {
                        let answer = answer.await.unwrap_or(Answer::Unknown);
                        drop(news.send(News::Answer { id, answer }).await);
                        drop(place);
                    });
                }
            }
        }
    }
}

fn not_the_writer() -> Fault {
    Fault::Unavailable("this replica is not the writer".to_owned())
}

/// Tells a follower what is durable, for as long as we are the writer.
async fn tell(hello: Hello, mut told: broadcast::Receiver<Told>, news: mpsc::Sender<News>) {
    loop {
        let next = match tokio::time::timeout(IDLE, told.recv()).await {
            Err(_) => News::Idle,
            Ok(Ok(Told::All(news))) => news,
            Ok(Ok(Told::One(member, session, news))) => {
                if (member, session) != (hello.member, hello.session) {
                    continue;
                }
                news
            }
            // It reads the journal when it meets the gap.
            Ok(Err(broadcast::error::RecvError::Lagged(_))) => continue,
            Ok(Err(broadcast::error::RecvError::Closed)) => return,
        };
        if news.send(next).await.is_err() {
            return;
        }
    }
}
