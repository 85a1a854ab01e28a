//! Trouble of a server that is alone with its disk: its process or its machine ends, at any write and sync; the disk
//! is full, slow, or fails.

use std::sync::atomic::Ordering;

use super::{MILLISECOND, Nanos, SECOND, World};

impl World {
    pub(crate) fn strike_single(&mut self, now: Nanos) {
        match self.nemesis.dice.below(100) {
            0..40 => self.break_down(now),
            40..48 => self.pause(0, now),
            48..54 => self.cut(0),
            54..60 => self.jump(0),
            60..68 => self.terminate(0),
            _ if self.kind == super::Kind::Lies => self.break_down(now),
            _ => self.hurt_disk(),
        }
    }

    fn break_down(&mut self, now: Nanos) {
        if !self.members[0].is_running() {
            return;
        }
        let Some(single) = self.single().cloned() else { return };
        let site = self.members[0].site;
        let dice = &mut self.nemesis.dice;
        let back = now + dice.between(MILLISECOND, 8 * SECOND);
        let (machine, inside) = (dice.chance(500), dice.chance(600));
        if inside {
            let (effects, at_disk) = (dice.between(1, 60), dice.chance(600));
            single.takes_machine.store(machine, Ordering::Relaxed);
            let mut net = self.net.0.lock();
            net.counts.crashes_inside += 1;
            net.trace.say(
                site,
                format_args!(
                    "will crash after {effects} effects, disk: {at_disk}, machine: {machine}"
                ),
            );
            if at_disk {
                single.disk.trouble(|troubles| troubles.deadly = Some(effects / 4));
            } else {
                net.machine(site).dies_after = Some(effects);
            }
            return;
        }
        self.say(site, format_args!("crashes, machine: {machine}"));
        self.members[0].crash(machine);
        self.members[0].back_at = Some(back);
        let mut net = self.net.0.lock();
        *(if machine { &mut net.counts.machine_crashes } else { &mut net.counts.crashes }) += 1;
    }

    fn hurt_disk(&mut self) {
        let Some(single) = self.single().cloned() else { return };
        let dice = &mut self.nemesis.dice;
        let lasts = dice.between(100 * MILLISECOND, 12 * SECOND);
        let (until, some) = (single.until(lasts), dice.below(40));
        let slowest = dice.between(50 * MILLISECOND, 5 * SECOND);
        let kind = dice.below(6);
        let what = match kind {
            0 | 1 => "is full",
            2 => "is slow",
            3 => "fails a sync soon",
            4 => "fails a write soon",
            _ => "fails reads",
        };
        let site = self.members[0].site;
        self.say(site, format_args!("disk {what}, {} ms, {some}", lasts / MILLISECOND));
        self.net.0.lock().counts.disk_slow += u64::from(kind == 2);
        single.disk.trouble(|troubles| match kind {
            0 | 1 => troubles.full = until,
            2 => troubles.slow = (until, slowest),
            3 => troubles.sync = Some(some),
            4 => troubles.write = Some(some),
            _ => troubles.reads = until,
        });
    }
}
