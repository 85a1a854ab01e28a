//! Who may have which command: what is judged is all that is asked for, at the command's place in the
//! order.

use state::{
    AlarmAction, AlarmType, AuthChange, Command, Compare, CompareResult, CompareTarget,
    DeleteRange, Epoch, Identity, LeaseId, MemberId, Op, PermissionType, Put, RangeQuery, Refusal,
    Reply, Revision, Txn,
};

use crate::support::{Machine, hash, on_lease, put, range, revision};

/// `u` writes `w…`, reads `r…`, and does both on `b…`; the others have no right but by name.
fn machine() -> Machine {
    let mut machine = Machine::guarded();
    machine.user("u", &["role"]);
    machine.grant("role", PermissionType::Write, "w", "x");
    machine.grant("role", PermissionType::Read, "r", "s");
    machine.grant("role", PermissionType::ReadWrite, "b", "c");
    machine.user("nobody", &[]);
    machine
}

fn get(key: &str, end: &str) -> Op {
    Op::Range(RangeQuery { range: range(key, end), ..RangeQuery::default() })
}

fn delete(key: &str, end: &str, prev_kv: bool) -> DeleteRange {
    DeleteRange { range: range(key, end), prev_kv }
}

fn with_prev(key: &str) -> Put {
    Put { prev_kv: true, ..put(key) }
}

fn compare(key: &str, end: &str) -> Compare {
    let target = CompareTarget::Version(0);
    Compare { range: range(key, end), result: CompareResult::Equal, target }
}

/// A transaction that does `op` in the branch that is not taken, so deep.
fn deep(op: Op, depth: usize, success: bool) -> Command {
    let mut txn = Txn::default();
    let branch = if success { &mut txn.success } else { &mut txn.failure };
    branch.push(op);
    for _ in 0..depth {
        txn = Txn { success: vec![Op::Put(put("b")), Op::Txn(txn)], ..Txn::default() };
    }
    Command::Txn(txn)
}

fn denied(machine: &mut Machine, command: Command) {
    let shown = format!("{command:?}");
    let revision = machine.0.revision();
    assert_eq!(machine.by("u", command), Err(Refusal::PermissionDenied), "{shown}");
    assert_eq!(machine.0.revision(), revision);
}

fn allowed(machine: &mut Machine, command: Command) {
    let shown = format!("{command:?}");
    assert!(machine.by("u", command).is_ok(), "{shown}");
}

#[test]
fn puts_and_deletes_need_their_rights_and_prev_kv_that_to_read() {
    let mut machine = machine();
    allowed(&mut machine, Command::Put(put("w1")));
    denied(&mut machine, Command::Put(put("r1")));
    denied(&mut machine, Command::Put(put("x")));
    denied(&mut machine, Command::Put(with_prev("w1")));
    allowed(&mut machine, Command::Put(with_prev("b1")));
    allowed(&mut machine, Command::DeleteRange(delete("w", "x", false)));
    denied(&mut machine, Command::DeleteRange(delete("w", "x", true)));
    denied(&mut machine, Command::DeleteRange(delete("w", "x0", false)));
    denied(&mut machine, Command::DeleteRange(delete("w", "\0", false)));
    allowed(&mut machine, Command::DeleteRange(delete("b", "c", true)));
}

#[test]
fn both_branches_of_a_transaction_are_judged_however_deep() {
    let mut machine = machine();
    let forbidden = [
        get("w", ""),
        get("a", "z"),
        get("r", "\0"),
        Op::Put(put("r1")),
        Op::Put(with_prev("w1")),
        Op::DeleteRange(delete("r", "s", false)),
        Op::DeleteRange(delete("w", "x", true)),
    ];
    for op in forbidden {
        for (depth, success) in [(0, true), (0, false), (1, false), (7, true)] {
            denied(&mut machine, deep(op.clone(), depth, success));
        }
    }
    let fine = [get("r", "s"), Op::Put(with_prev("b1")), Op::DeleteRange(delete("w", "x", false))];
    for op in fine {
        for (depth, success) in [(0, true), (0, false), (1, false)] {
            let mut op = op.clone();
            if let (Op::Put(put), true) = (&mut op, depth > 0) {
                put.key = "b2".into();
            }
            allowed(&mut machine, deep(op, depth, success));
        }
    }
}

#[test]
fn comparisons_read() {
    let mut machine = machine();
    let txn = |compare| Txn {
        compare: vec![compare],
        success: vec![Op::Put(put("w"))],
        ..Txn::default()
    };
    denied(&mut machine, Command::Txn(txn(compare("w", ""))));
    denied(&mut machine, Command::Txn(txn(compare("r", "z"))));
    denied(&mut machine, deep(Op::Txn(txn(compare("a", ""))), 2, true));
    allowed(&mut machine, Command::Txn(txn(compare("r", "s"))));
}

#[test]
fn a_lease_is_its_keys_writers() {
    let mut machine = machine();
    for id in [1, 2] {
        machine.own(Command::LeaseGrant { id: LeaseId(id), ttl: 60 }).unwrap();
    }
    machine.own(on_lease("secret", 1)).unwrap();
    machine.own(on_lease("w0", 2)).unwrap();
    // Who could attach a key could end the lease, and the other's key with it.
    denied(&mut machine, on_lease("w1", 1));
    denied(&mut machine, deep(Op::Put(Put { lease: LeaseId(1), ..put("w1") }), 2, false));
    denied(&mut machine, Command::LeaseRevoke { id: LeaseId(1) });
    allowed(&mut machine, on_lease("w1", 2));
    assert_eq!(machine.by("u", on_lease("w1", 3)), Err(Refusal::LeaseNotFound));
    let (u, nobody) = (machine.identity("u"), machine.identity("nobody"));
    let may_end = |who: Option<&Identity>, id| machine.0.may_end_lease(who, LeaseId(id));
    assert_eq!(may_end(Some(&u), 1), Err(Refusal::PermissionDenied));
    assert_eq!(may_end(Some(&u), 2), Ok(()));
    assert_eq!(may_end(Some(&u), 9), Ok(()), "one that is not there has no keys");
    assert_eq!(may_end(Some(&nobody), 2), Err(Refusal::PermissionDenied));
    assert_eq!(may_end(None, 2), Err(Refusal::UserEmpty));
    assert_eq!(may_end(Some(&machine.identity("root")), 1), Ok(()));
    allowed(&mut machine, Command::LeaseRevoke { id: LeaseId(2) });
    assert_eq!(
        machine.by("u", Command::LeaseRevoke { id: LeaseId(2) }),
        Err(Refusal::LeaseNotFound)
    );
    assert_eq!(machine.by("root", on_lease("x", 1)), Ok(Reply::Put { prev_kv: None }));
}

#[test]
fn who_sees_all_leases_may_read_what_is_on_them() {
    let mut machine = machine();
    for id in 1..=5 {
        machine.own(Command::LeaseGrant { id: LeaseId(id), ttl: 60 }).unwrap();
        machine.own(on_lease(&format!("r{id}"), id)).unwrap();
    }
    let list = |machine: &Machine, name: &str| -> Result<usize, Refusal> {
        let who = machine.identity(name);
        let (mut after, mut turns) = (None, 0);
        loop {
            turns += 1;
            after = machine.0.may_list_leases(Some(&who), after, 2)?;
            if after.is_none() {
                return Ok(turns);
            }
        }
    };
    assert_eq!(list(&machine, "u"), Ok(3), "a few keys at a time");
    assert_eq!(list(&machine, "nobody"), Err(Refusal::PermissionDenied));
    machine.own(on_lease("secret", 5)).unwrap();
    assert_eq!(list(&machine, "u"), Err(Refusal::PermissionDenied));
    assert!(list(&machine, "root").is_ok());
}

#[test]
fn what_concerns_everybody_is_roots() {
    let mut machine = machine();
    let add = AuthChange::UserAdd { name: "x".into(), password: hash("x"), no_password: false };
    let (action, alarm) = (AlarmAction::Activate, AlarmType::NoSpace);
    let commands = [
        Command::Compact { revision: Revision(1) },
        Command::Alarm { action, member: MemberId(1), alarm },
        Command::Auth(add),
        Command::Auth(AuthChange::Disable),
    ];
    for command in commands {
        assert_eq!(machine.apply(command.clone()).result, Err(Refusal::UserEmpty));
        denied(&mut machine, command.clone());
        assert_eq!(machine.by("gone", command.clone()), Err(Refusal::UserNotFound));
        assert!(machine.by("root", command).is_ok());
    }
}

#[test]
fn nobody_in_particular_may_nothing() {
    let mut machine = machine();
    let commands = [
        Command::Put(put("b")),
        Command::DeleteRange(delete("b", "", false)),
        deep(get("r", ""), 0, true),
        Command::LeaseGrant { id: LeaseId(1), ttl: 60 },
        Command::LeaseRevoke { id: LeaseId(1) },
    ];
    for command in commands {
        assert_eq!(machine.apply(command).result, Err(Refusal::UserEmpty));
    }
    // A transaction of nothing asks for nothing: so etcd has it.
    assert!(machine.apply(Command::Txn(Txn::default())).result.is_ok());
    assert!(machine.by("nobody", Command::LeaseGrant { id: LeaseId(1), ttl: 60 }).is_ok());
    assert_eq!(machine.by("gone", Command::Put(put("b"))), Err(Refusal::PermissionDenied));
}

#[test]
fn rights_that_have_changed_on_the_way_are_not_relied_on() {
    let mut machine = machine();
    let before = machine.identity("u");
    let root = machine.identity("root");
    machine.change(AuthChange::UserRevokeRole { user: "u".into(), role: "role".into() });
    let late = machine.apply(Command::Put(put("b")).by(before)).result;
    assert_eq!(late, Err(Refusal::AuthOldRevision));
    let late = machine.apply(Command::Put(put("b")).by(root.clone())).result;
    assert_eq!(late, Err(Refusal::AuthOldRevision), "root's too");
    // But what only root may do does not look at that: so etcd has it.
    let compact = Command::Compact { revision: Revision(1) };
    assert!(machine.apply(compact.by(root)).result.is_ok());
    let forged = Identity::User { name: "root".into(), auth_revision: revision(0) };
    let late = machine.apply(Command::Put(put("b")).by(forged)).result;
    assert_eq!(late, Err(Refusal::UserEmpty));
}

#[test]
fn what_the_server_has_to_do_nobody_holds_back() {
    let mut machine = machine();
    machine.own(Command::LeaseGrant { id: LeaseId(1), ttl: 60 }).unwrap();
    machine.own(on_lease("secret", 1)).unwrap();
    assert_eq!(machine.own(Command::LeaseRevoke { id: LeaseId(1) }), Ok(Reply::LeaseRevoke));
    let claim = Command::Claim { epoch: Epoch(7), member: MemberId(1) };
    assert_eq!(machine.apply(claim).result, Ok(Reply::Claim { granted: true }));
}

#[test]
fn a_name_is_put_on_a_command_once() {
    let machine = machine();
    let by_u = Command::Put(put("b")).by(machine.identity("u"));
    assert_eq!(by_u.clone().by(Identity::Server), by_u);
    let claim = Command::Claim { epoch: Epoch(7), member: MemberId(1) };
    assert_eq!(claim.clone().by(Identity::Server), claim);
    assert_eq!(by_u.bare(), &Command::Put(put("b")));
    assert_eq!(by_u.cost(), Command::Put(put("b")).cost());
}
