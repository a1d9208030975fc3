//! The table of the deliberately broken variants of weir-sync: which model finds each, and by which words.
//!
//! Read by `cargo xtask loom` only. A row must name a model that uses no other primitive than its own, or say which.

/// Loom's words when no thread can go on.
const DEADLOCK: &str = "deadlock; threads";

/// What the commit path is made of.
const PATH_USES: &[&str] = &["commit_gate", "completion", "watermark"];

/// One broken variant: `--cfg loom_broken="name"`.
#[derive(Debug)]
pub(super) struct Variant {
    /// The file of the primitive, and the beginning of `name`.
    pub(super) primitive: &'static str,
    pub(super) name: &'static str,
    /// The test in the primitive's `loom_tests.rs` that must fail.
    pub(super) model: &'static str,
    /// What its failure says.
    pub(super) found_as: &'static str,
    /// Other primitives that the model uses: a fault in them must not be in the same build.
    pub(super) uses: &'static [&'static str],
}

impl Variant {
    /// Can the two be in one build, and each be found for itself?
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let touches = |one: &Self, other: &Self| {
            one.primitive == other.primitive || one.uses.contains(&other.primitive)
        };
        !touches(self, other) && !touches(other, self)
    }

    /// The value for rustc's `--cfg`.
    pub(super) fn cfg(&self) -> String {
        format!("loom_broken=\"{}\"", self.name)
    }

    /// The model's name in the test binary.
    pub(super) fn model_path(&self) -> String {
        format!("{}{}{}", self.primitive, super::MODULE, self.model)
    }
}

/// All of them; the order in a primitive's rows is the order of the builds.
pub(super) const VARIANTS: &[Variant] = &[
    // The 2020 bug itself: the auth cache's analytics buffer under `Overflow::Block`, and nobody drains it.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_auth_buffer_blocks",
        model: "a_sign_in_worker_is_never_stalled_by_a_buffer_that_nobody_drains",
        found_as: DEADLOCK,
        uses: &[],
    },
    // `close` wakes consumers only.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_close_forgets_pushers",
        model: "close_ends_a_push_that_waits_for_room",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The wake-up is sent before the item is there, without the lock.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_notifies_before_append",
        model: "two_consumers_share_the_items_without_loss",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Several places became free, one waiting push is woken.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_pop_many_wakes_one",
        model: "a_pop_of_many_wakes_every_push_that_fits_now",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Whether somebody has rung already is asked under an earlier lock than the one that leaves the item.
    Variant {
        primitive: "mailbox",
        name: "mailbox_asks_too_early",
        model: "an_owner_that_takes_before_it_sleeps_misses_no_order",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The bell rings before the mail is there, without the lock.
    Variant {
        primitive: "mailbox",
        name: "mailbox_rings_first",
        model: "no_mail_is_left_beside_an_owner_that_sleeps",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The owner notes that the bell is to ring again under a later lock than the one that took the mail.
    Variant {
        primitive: "mailbox",
        name: "mailbox_takes_then_notes",
        model: "no_mail_is_left_beside_an_owner_that_sleeps",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The version moves before the value, not together with it.
    Variant {
        primitive: "snapshot",
        name: "snapshot_version_moves_first",
        model: "a_reader_never_goes_back_and_ends_at_the_newest",
        found_as: "left == right",
        uses: &[],
    },
    // A reader pairs its value with a version that it reads after the lock.
    Variant {
        primitive: "snapshot",
        name: "snapshot_version_read_unlocked",
        model: "a_reader_never_goes_back_and_ends_at_the_newest",
        found_as: "left == right",
        uses: &[],
    },
    // Whether the committer sleeps is asked under an earlier lock than the one that adds the item.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_asks_too_early",
        model: "every_item_of_two_writers_is_taken_once",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The end is noted and the committer is not told.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_close_wakes_nobody",
        model: "a_committer_takes_what_came_before_the_close_and_then_stops",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The end is noted and the second taker is not told.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_close_leaves_the_second",
        model: "a_close_ends_the_second_takers_sleep",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Enough waits already when the second taker is wanted, and nothing more comes.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_calls_for_what_comes_only",
        model: "a_second_taker_comes_when_enough_waits",
        found_as: DEADLOCK,
        uses: &[],
    },
    // A dropped sender leaves the slot as it was.
    Variant {
        primitive: "completion",
        name: "completion_drop_is_silent",
        model: "a_sender_that_goes_away_ends_an_awaiting_task",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The waker is registered under a later lock than the one that found the slot empty.
    Variant {
        primitive: "completion",
        name: "completion_registers_late",
        model: "an_answer_reaches_an_awaiting_task",
        found_as: DEADLOCK,
        uses: &[],
    },
    // A give-back overwrites a take.
    Variant {
        primitive: "token_bucket",
        name: "token_bucket_gives_back_by_store",
        model: "no_token_that_comes_back_is_lost_to_a_take",
        found_as: "left == right",
        uses: &[],
    },
    // A take overwrites another take.
    Variant {
        primitive: "token_bucket",
        name: "token_bucket_takes_by_store",
        model: "two_takers_never_get_more_than_the_burst",
        found_as: "two of three tokens fit once",
        uses: &[],
    },
    // The flag rises between a sleeper's look and its sleep.
    Variant {
        primitive: "shutdown",
        name: "shutdown_begins_unlocked",
        model: "no_sleeping_thread_misses_it",
        found_as: DEADLOCK,
        uses: &[],
    },
    // The future does not look again under the lock that registers it.
    Variant {
        primitive: "shutdown",
        name: "shutdown_future_looks_once",
        model: "no_awaiting_task_misses_it",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Two borrowers pass the same check.
    Variant {
        primitive: "byte_budget",
        name: "byte_budget_checks_then_takes",
        model: "two_borrowers_never_hold_more_than_the_whole",
        found_as: "more bytes came back than were lent",
        uses: &[],
    },
    // A return overwrites another return.
    Variant {
        primitive: "byte_budget",
        name: "byte_budget_gives_back_by_store",
        model: "what_comes_back_at_once_all_comes_back",
        found_as: "left == right",
        uses: &[],
    },
    // The end is noted and nobody is told.
    Variant {
        primitive: "watermark",
        name: "watermark_ends_silently",
        model: "the_end_releases_who_waits_for_more",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Whether the mark has risen is asked under an earlier lock than the one that registers the waker.
    Variant {
        primitive: "watermark",
        name: "watermark_looks_too_early",
        model: "no_waiting_task_misses_a_rise",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Who waits is woken before the mark has risen.
    Variant {
        primitive: "watermark",
        name: "watermark_wakes_first",
        model: "no_waiting_task_misses_a_rise",
        found_as: DEADLOCK,
        uses: &[],
    },
    // Who writes itself looks only whether the lock is free, and not whether somebody waits.
    Variant {
        primitive: "commit_path",
        name: "commit_path_overtakes_who_waits",
        model: "what_a_writer_left_is_written_before_what_it_writes_itself",
        found_as: "overtaken",
        uses: PATH_USES,
    },
    // The committer takes its group before it has the lock: the gate is empty, and somebody else writes first.
    Variant {
        primitive: "commit_path",
        name: "commit_path_takes_before_the_lock",
        model: "what_a_writer_left_is_written_before_what_it_writes_itself",
        found_as: "overtaken",
        uses: PATH_USES,
    },
    // Who waits is answered before the sync.
    Variant {
        primitive: "commit_path",
        name: "commit_path_answers_before_the_sync",
        model: "whoever_hears_an_acknowledgement_finds_the_record_on_disk",
        found_as: "acknowledged before the sync",
        uses: PATH_USES,
    },
    // Who waits is answered after the sync and before the record is in the index.
    Variant {
        primitive: "commit_path",
        name: "commit_path_answers_before_the_index",
        model: "whoever_hears_an_acknowledgement_finds_the_record_on_disk",
        found_as: "acknowledged, and not to be found",
        uses: PATH_USES,
    },
    // The watermark rises before the record is in the index.
    Variant {
        primitive: "commit_path",
        name: "commit_path_raises_before_the_index",
        model: "whoever_sees_the_watermark_finds_all_below_it_and_nothing_unsynced",
        found_as: "below the watermark, and not to be found",
        uses: PATH_USES,
    },
    // A sync after one that failed says yes, and is believed.
    Variant {
        primitive: "commit_path",
        name: "commit_path_forgets_a_failure",
        model: "a_failed_sync_fails_its_group_and_everything_later",
        found_as: "published without a hole",
        uses: PATH_USES,
    },
    // A committer that sees the end drops the group that it has just taken.
    Variant {
        primitive: "commit_path",
        name: "commit_path_stops_with_a_group_in_hand",
        model: "closing_answers_everybody_who_was_let_in",
        found_as: "let in, and not answered",
        uses: PATH_USES,
    },
    // Who was written while a sync ran is answered by that sync.
    Variant {
        primitive: "commit_path",
        name: "commit_path_answers_who_came_during_the_sync",
        model: "whoever_is_written_while_a_group_is_synced_is_acknowledged_by_a_sync_of_its_own",
        found_as: "acknowledged before the sync",
        uses: PATH_USES,
    },
    // Called while a sync ran, the second thread writes when it is over: nobody syncs that.
    Variant {
        primitive: "commit_path",
        name: "commit_path_writes_ahead_of_no_sync",
        model: "whoever_is_written_while_a_group_is_synced_is_acknowledged_by_a_sync_of_its_own",
        found_as: DEADLOCK,
        uses: PATH_USES,
    },
    // Somebody finds the lock free, and syncs and publishes before those whose sync is on its way.
    Variant {
        primitive: "commit_path",
        name: "commit_path_publishes_beside_a_sync",
        model: "who_writes_itself_waits_while_a_group_is_synced",
        found_as: "published without a hole",
        uses: PATH_USES,
    },
];
