//! The wire against the account that `MERIDIAN_TEST_COSMOS` names: an emulator, or a real one.

use bytes::Bytes;
use journal::Nonce;
use rand::Rng;

use super::*;
use crate::init::Plan;
use crate::tests::account::address;

const DEADLINE: Duration = Duration::from_secs(10);

async fn wire(address: Address) -> (Wire, Arc<Stats>) {
    let plan = Plan::make(address.clone(), Throughput::Autoscale(100_000)).await.expect("a plan");
    plan.carry_out().await.expect("made");
    let stats = Arc::<Stats>::default();
    (Wire::open(address, DEADLINE, Arc::clone(&stats)).await.expect("open"), stats)
}

fn item(partition: &str, slot: u64, body: &'static [u8]) -> Item {
    Item {
        name: Name { partition: partition.into(), id: format!("{slot:020}") },
        slot,
        nonce: Nonce(rand::rng().random()),
        kind: 0,
        body: Bytes::from_static(body),
        tag: None,
    }
}

#[tokio::test]
async fn items_are_created_once_read_replaced_and_deleted() {
    let Some(address) = address() else { return };
    let (wire, stats) = wire(address).await;
    let partition = format!("test-{:x}", rand::rng().random::<u64>());
    let first = item(&partition, 1, b"one");
    let create = |item: &Item| wire.create(Purpose::Append, item.clone());
    assert_eq!(create(&first).await, Ok(Created::New));
    assert_eq!(create(&first).await, Ok(Created::Taken));
    let read = wire.get(Purpose::Read, first.name.clone()).await.expect("an answer").expect("it");
    assert_eq!(Item { tag: None, ..read.clone() }, first);
    let changed = Item { body: Bytes::from_static(b"other"), ..read };
    assert_eq!(wire.replace(Purpose::Trim, changed.clone()).await, Ok(true));
    assert_eq!(wire.replace(Purpose::Trim, changed.clone()).await, Ok(false), "an old tag");
    let name = first.name;
    assert_eq!(wire.delete(Purpose::Trim, name.clone()).await, Ok(()));
    assert_eq!(wire.delete(Purpose::Trim, name.clone()).await, Ok(()), "deleted already");
    assert_eq!(wire.get(Purpose::Read, name).await, Ok(None));
    assert_eq!(wire.replace(Purpose::Trim, changed).await, Ok(false), "gone");
    assert_eq!(stats.requests(Purpose::Append), 2);
    assert_eq!(stats.requests(Purpose::Read), 2);
}

#[tokio::test]
async fn ranges_are_in_order_and_stop_where_they_should() {
    let Some(address) = address() else { return };
    let (wire, _) = wire(address).await;
    let partition = format!("test-{:x}", rand::rng().random::<u64>());
    for slot in [3, 1, 2, 10, 9, 4] {
        let made = wire.create(Purpose::Append, item(&partition, slot, b"0123456789")).await;
        assert_eq!(made, Ok(Created::New));
    }
    let ask = |from, to, most, bytes| {
        let range = Range { partition: partition.clone(), from, to, most, bytes };
        async {
            let items = Items::range(&wire, Purpose::Read, range).await.expect("an answer");
            items.iter().map(|item| item.slot).collect::<Vec<_>>()
        }
    };
    assert_eq!(ask(2, 10, 100, 1 << 20).await, [2, 3, 4, 9]);
    assert_eq!(ask(1, 100, 3, 1 << 20).await, [1, 2, 3]);
    assert_eq!(ask(1, 100, 100, 15).await, [1, 2], "until there are so many bytes");
    assert_eq!(ask(1, 100, 100, 0).await, [1], "one in any case");
    assert_eq!(ask(11, 100, 100, 15).await, Vec::<u64>::new());
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_to_do() {
    let Some(address) = address() else { return };
    let nowhere = Address { container: "nowhere".into(), ..address };
    let Err(refused) = Wire::open(nowhere, DEADLINE, Arc::default()).await else {
        panic!("there is no such container");
    };
    assert_eq!(refused.kind, Kind::Missing, "{refused}");
    assert!(refused.text.contains("meridian cosmos init"), "{refused}");
}
