//! The quota: announced, and undone in one step (pitfall t).

use std::sync::Arc;
use std::time::Duration;

use engine::{Fault, Options};
use journal::MemoryJournal;
use state::{
    Alarm, AlarmAction, AlarmType, Command, DeleteRange, KeyRange, MemberId, Outcome, Refusal,
    Reply,
};

use crate::support::{Node, delete, memory, put, until};

const QUOTA: u64 = 1 << 20;

fn options(quota: u64) -> Options {
    Options { quota: Some(quota), ..Options::default() }
}

/// As the server does it.
async fn guarded(node: &Node, command: Command) -> Result<Outcome, Fault> {
    if node.engine.admit(command.cost()).await? {
        return node.engine.commit(command).await;
    }
    let revision = node.engine.view().revision();
    Ok(Outcome { revision, result: Err(Refusal::NoSpace) })
}

fn alarmed(node: &Node) -> bool {
    !node.engine.status().alarms.is_empty()
}

/// Puts until there is no more room. Each key is new if `spread`.
async fn fill(node: &Node, spread: bool) -> usize {
    let value = "v".repeat(10_000);
    for n in 0..1_000 {
        let key = if spread { format!("k{n}") } else { "k".to_owned() };
        let outcome = guarded(node, put(&key, &value)).await.unwrap();
        if outcome.result == Err(Refusal::NoSpace) {
            return n;
        }
        outcome.result.unwrap();
    }
    panic!("the quota never ends");
}

fn delete_all() -> Command {
    let range = KeyRange { key: "\0".into(), range_end: "\0".into() };
    Command::DeleteRange(DeleteRange { range, prev_kv: false })
}

#[tokio::test(start_paused = true)]
async fn out_of_quota_is_announced_and_undone_by_a_delete() {
    let node = Node::start(memory(), options(QUOTA)).await;
    let puts = fill(&node, true).await;
    assert!((80..=110).contains(&puts), "{puts}");
    let noted = Alarm { member: MemberId(1), alarm: AlarmType::NoSpace };
    assert_eq!(node.engine.status().alarms, [noted]);
    // Writes are refused, by the machine as well; deletes and compactions pass.
    assert_eq!(node.put("x", "v").await.unwrap().result, Err(Refusal::NoSpace));
    assert_eq!(node.engine.admit(100).await, Ok(false));
    assert_eq!(node.engine.admit(0).await, Ok(true));
    // A delete of nothing frees nothing.
    node.engine.commit(delete("missing")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(alarmed(&node));
    assert!(node.engine.commit(delete_all()).await.unwrap().result.is_ok());
    until("the alarm ends by itself", || !alarmed(&node)).await;
    assert!(guarded(&node, put("x", "v")).await.unwrap().result.is_ok());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_that_are_refused_at_once_raise_one_alarm() {
    let node = Node::start(memory(), options(QUOTA)).await;
    let value = "v".repeat(1 << 20);
    let commands = (0..50).map(|n| guarded(&node, put(&format!("k{n}"), &value)));
    let before = node.engine.status().committed;
    for outcome in futures::future::join_all(commands).await {
        assert_eq!(outcome.unwrap().result, Err(Refusal::NoSpace));
    }
    assert_eq!(node.engine.status().committed - before, 1);
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn out_of_quota_is_undone_by_a_larger_quota() {
    let journal = memory();
    let node = Node::start(Arc::<MemoryJournal>::clone(&journal), options(QUOTA)).await;
    fill(&node, true).await;
    node.stop().await;
    let node = Node::start(Arc::<MemoryJournal>::clone(&journal), options(QUOTA)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = guarded(&node, put("x", &"v".repeat(10_000))).await.unwrap();
    assert_eq!(again.result, Err(Refusal::NoSpace), "with the same quota nothing has changed");
    node.stop().await;
    let node = Node::start(journal, options(2 * QUOTA)).await;
    until("the alarm ends", || !alarmed(&node)).await;
    assert!(guarded(&node, put("x", "v")).await.unwrap().result.is_ok());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn out_of_quota_is_undone_by_a_compaction() {
    let node = Node::start(memory(), options(QUOTA)).await;
    fill(&node, false).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(alarmed(&node), "nobody has deleted anything: history is not taken away");
    let revision = node.engine.view().revision();
    node.engine.commit(Command::Compact { revision }).await.unwrap().result.unwrap();
    until("the alarm ends", || !alarmed(&node)).await;
    assert!(guarded(&node, put("x", "v")).await.unwrap().result.is_ok());
    node.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_raised_by_hand_stays() {
    let node = Node::start(memory(), options(QUOTA)).await;
    let alarm = |action| {
        node.engine.commit(Command::Alarm {
            action,
            member: MemberId(1),
            alarm: AlarmType::NoSpace,
        })
    };
    node.put("a", "1").await.unwrap();
    alarm(AlarmAction::Activate).await.unwrap();
    node.engine.commit(delete("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(alarmed(&node));
    assert_eq!(node.put("a", "2").await.unwrap().result, Err(Refusal::NoSpace));
    let Ok(Reply::Alarm(off)) = alarm(AlarmAction::Deactivate).await.unwrap().result else {
        panic!("refused")
    };
    assert_eq!(off.len(), 1);
    assert!(node.put("a", "3").await.unwrap().result.is_ok());
    node.stop().await;
}

/// What we propose ourselves is not proposed for ever when the machine refuses it.
#[tokio::test(start_paused = true)]
async fn a_relief_that_is_refused_does_not_spin() {
    let node = Node::start(memory(), options(QUOTA)).await;
    fill(&node, true).await;
    node.engine.commit(delete_all()).await.unwrap();
    let (action, member) = (AlarmAction::Activate, MemberId(1));
    node.engine.commit(Command::Alarm { action, member, alarm: AlarmType::Corrupt }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = node.engine.status().committed;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(node.engine.status().committed - before <= 2);
    node.stop().await;
}
