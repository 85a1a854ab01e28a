//! What was done to a world, by kind.

/// Adds up, and says which kinds never happened.
macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $words:literal,)+) => {
        /// How often each kind of thing happened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counts {
            /// Both together.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            /// Each kind in words, with its number.
            #[must_use]
            pub fn kinds(&self) -> Vec<(&'static str, u64)> {
                vec![$(($words, self.$name)),+]
            }
        }
    };
}

counts! {
    /// Faults of processes and machines.
    crashes: "process crashed between steps",
    /// Inside a step.
    crashes_inside: "process crashed at an await or effect",
    /// With its machine.
    machine_crashes: "machine crashed",
    /// And its directory was gone.
    directories_lost: "came back without its directory",
    /// For up to seconds.
    short_pauses: "paused for up to 3 s",
    /// For up to minutes.
    long_pauses: "paused for up to minutes",
    /// SIGTERM.
    terminations: "asked to stop (SIGTERM)",
    /// MoveLeader.
    hand_overs: "asked to hand over (MoveLeader)",
    /// Between replicas, both ways.
    cuts_between: "replicas cut from one another",
    /// One way.
    cuts_one_way: "way cut in one direction",
    /// From clients.
    cuts_clients: "clients cut from a replica",
    /// From the journal.
    cuts_journal: "replica cut from the journal",
    /// From everything.
    isolations: "replica cut from everything",
    /// Long, between replicas.
    divisions: "replicas divided, all of which reach the journal",
    /// From all but clients.
    depositions: "replica cut from all but clients",
    /// Slow ways.
    slow_ways: "way slowed down",
    /// Packets.
    packets_lost: "packets lost and sent again",
    /// Packets.
    packets_held_up: "packets held up, overtaken by others",
    /// The journal's engine.
    journal_outages: "journal out of reach for all",
    /// The journal's engine.
    journal_lost: "append lost on the way (unknown)",
    /// The journal's engine.
    journal_unanswered: "append written, answer lost (unknown)",
    /// The journal's engine.
    journal_late: "append landed seconds late",
    /// The journal's engine.
    journal_doubled: "append landed twice",
    /// The journal's engine.
    journal_refused: "append refused for want of room",
    /// The journal's engine.
    journal_lagged: "read of the journal lagged",
    /// Clocks.
    clock_jumps: "wall clock jumped",
    /// Members.
    members_added: "member added",
    /// Members.
    members_removed: "member removed",
    /// Worlds with a disk.
    power_losses: "power lost: what was not synced is torn",
    /// Worlds with a disk.
    disk_full: "write refused, disk full",
    /// Worlds with a disk.
    disk_write_errors: "write failed (EIO)",
    /// Worlds with a disk.
    disk_sync_errors: "sync failed (EIO)",
    /// Worlds with a disk.
    disk_read_errors: "read failed (EIO)",
    /// Worlds with a disk.
    disk_slow: "disk slow, seconds a sync",
    /// Worlds with a disk.
    disk_lies: "sync was a lie",
    /// Worlds with a disk.
    starts_refused: "start refused, naming what a lie has lost",
    /// Worlds with a disk.
    beginnings: "started on a beginning of what was, after a lie",
    /// Worlds with a disk.
    opens: "journal opened from its files",
    /// Worlds with a disk.
    cuts: "torn tail cut",
    /// Mixed versions.
    level_changes: "replica replaced by one of another level",
    /// Mixed versions.
    held_refused: "held replica refused by a cluster that had gone up",
    /// Mixed versions.
    learners: "learner added (LearnerAdd)",
    /// Mixed versions.
    raises: "cluster's level raised",
    /// Errands.
    errands: "checkpoint or digest carried out",
}
