//! What kind of world a seed makes: which troubles there are and how often, what clients are busy with, how far
//! the journal is, how narrow the server's limits are. Each is drawn for itself, so that worlds differ in kind:
//! what everything at once drowns, a world of few things shows.

use std::time::Duration;

use super::dice::Dice;
use super::nemesis::Trouble;
use super::{MILLISECOND, Nanos};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Climate {
    /// Which troubles, by weight.
    pub(crate) troubles: Vec<(Trouble, u64)>,
    /// What a way to or from the journal takes longer, the least and the most.
    pub(crate) far: (Nanos, Nanos),
    pub(crate) limits: Limits,
    pub(crate) habits: Habits,
    /// Clients that do nothing but hold leases.
    pub(crate) holders: u8,
}

/// The server's, where they make a difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) eager_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) response_bytes: usize,
    pub(crate) queued_responses: usize,
    pub(crate) queued_bytes: usize,
}

/// How busy clients are, and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) keys: u64,
    /// The longest pause between two calls of a client.
    pub(crate) pause: Duration,
    pub(crate) patience: Duration,
    /// The most that values are longer than they need be.
    pub(crate) padding: u64,
    pub(crate) mix: Mix,
    /// Whether no watcher that reads can fall behind, however slowly.
    pub(crate) wide: bool,
}

/// How often clients ask for what, by weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) puts: u64,
    pub(crate) deletes: u64,
    pub(crate) swaps: u64,
    pub(crate) compactions: u64,
    pub(crate) leases: u64,
    pub(crate) reads: u64,
}

/// Room in a queue for all that can ever be there.
const WIDE: usize = 1 << 30;

impl Climate {
    /// From the seed.
    pub(crate) fn of(dice: &mut Dice) -> Self {
        let far = *dice.pick(&[(0, 0), (0, 0), (1, 10), (20, 150)]);
        let wide = dice.chance(600);
        let habits = Habits::of(dice, wide);
        let leases = habits.mix.leases > 0;
        let drawn = Self {
            troubles: troubles(dice),
            far: (far.0 * MILLISECOND, far.1 * MILLISECOND),
            limits: Limits::of(dice, wide),
            holders: if leases { *dice.pick(&[0, 0, 2, 6]) } else { 0 },
            habits,
        };
        match dice.below(10) {
            0 => drawn.of_guests(dice),
            1 => drawn.of_many_in_flight(dice),
            _ => drawn,
        }
    }

    /// Replicas that reach the journal and not one another, and leases renewed there in their last moment.
    fn of_guests(mut self, dice: &mut Dice) -> Self {
        let troubles = [(Trouble::Divide, 10), (Trouble::Depose, 3), (Trouble::Cut, 3)];
        self.troubles = [&troubles[..], &[(Trouble::Pause, 2), (Trouble::HandOver, 1)]].concat();
        self.far = (dice.between(2, 30) * MILLISECOND, dice.between(50, 150) * MILLISECOND);
        self.holders = 10;
        self.habits.pause = self.habits.pause.max(Duration::from_millis(30));
        self.habits.mix = Mix { leases: 18, ..self.habits.mix };
        self
    }

    /// One small entry after the other, while the journal and who writes to it come and go.
    fn of_many_in_flight(mut self, dice: &mut Dice) -> Self {
        let troubles = [(Trouble::ShakeJournal, 10), (Trouble::Crash, 5), (Trouble::Pause, 5)];
        let between = [(Trouble::Divide, 8), (Trouble::Depose, 3), (Trouble::Cut, 8)];
        self.troubles = [&troubles[..], &between[..]].concat();
        self.far = (0, dice.between(20, 100) * MILLISECOND);
        self.limits = Limits { eager_bytes: 1, batch_bytes: 300, in_flight: 16, ..self.limits };
        self.habits.pause = self.habits.pause.min(Duration::from_millis(30));
        self
    }
}

/// All of them, or about half.
fn troubles(dice: &mut Dice) -> Vec<(Trouble, u64)> {
    let mut drawn = Trouble::ALL.to_vec();
    if dice.chance(600) {
        drawn.retain(|_| dice.chance(500));
    }
    if drawn.is_empty() { Trouble::ALL.to_vec() } else { drawn }
}

impl Limits {
    fn of(dice: &mut Dice, wide: bool) -> Self {
        let (responses, bytes) = if wide {
            (WIDE, WIDE)
        } else {
            (*dice.pick(&[1, 4, 32, 1024]), *dice.pick(&[2 << 10, 4 << 20]))
        };
        Self {
            eager_bytes: *dice.pick(&[256 << 10, 256 << 10, 1, 200]),
            batch_bytes: *dice.pick(&[1 << 20, 1 << 20, 300, 4 << 10]),
            in_flight: *dice.pick(&[4, 4, 2, 16]),
            response_bytes: *dice.pick(&[2 << 20, 2 << 20, 200, 2_000]),
            queued_responses: responses,
            queued_bytes: bytes,
        }
    }
}

impl Habits {
    fn of(dice: &mut Dice, wide: bool) -> Self {
        let pause = *dice.pick(&[5, 30, 30, 200]);
        let padding = *dice.pick(&[0, 0, 20, 150]) * pause.min(30);
        Self {
            keys: dice.between(2, 12),
            pause: Duration::from_millis(pause),
            patience: Duration::from_millis(dice.between(300, 8_000)),
            padding,
            mix: Mix::of(dice),
            wide,
        }
    }
}

impl Mix {
    fn of(dice: &mut Dice) -> Self {
        let usual = dice.chance(500);
        let mut some = |weight: u64| {
            if usual { weight } else { weight * *dice.pick(&[0, 1, 1, 4]) }
        };
        let (deletes, swaps, leases, reads) = (some(8), some(17), some(18), some(25));
        let compactions = dice.chance(700);
        Self {
            puts: 30,
            deletes,
            swaps,
            compactions: if compactions { *dice.pick(&[2, 2, 10]) } else { 0 },
            leases: if dice.chance(800) { leases } else { 0 },
            reads,
        }
    }
}
