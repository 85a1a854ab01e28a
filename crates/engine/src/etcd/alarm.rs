//! The bucket `alarm`: `etcdserverpb.AlarmMember` → nothing.

use state::{Alarm, AlarmType, MemberId};

use super::Malformed;
use super::protobuf::{Fields, put_number};

const NO_SPACE: u64 = 1;
const CORRUPT: u64 = 2;

/// The key of an alarm that is on.
pub(crate) fn encode(alarm: &Alarm) -> Vec<u8> {
    let number = match alarm.alarm {
        AlarmType::NoSpace => NO_SPACE,
        AlarmType::Corrupt => CORRUPT,
    };
    let mut key = Vec::with_capacity(16);
    put_number(&mut key, 1, alarm.member.0 as i64);
    put_number(&mut key, 2, number as i64);
    key
}

/// The alarm of a key; none for a type that is not known.
pub(crate) fn decode(key: &[u8]) -> Result<Option<Alarm>, Malformed> {
    let (mut member, mut alarm) = (MemberId(0), None);
    for field in Fields::of(key) {
        let (number, field) = field?;
        match (number, field.number()) {
            (1, id) => member = MemberId(id),
            (2, NO_SPACE) => alarm = Some(AlarmType::NoSpace),
            (2, CORRUPT) => alarm = Some(AlarmType::Corrupt),
            (2, _) => alarm = None,
            _ => {}
        }
    }
    Ok(alarm.map(|alarm| Alarm { member, alarm }))
}
