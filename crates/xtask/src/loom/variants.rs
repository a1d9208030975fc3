//! The table of the deliberately broken variants of weir-sync: which model finds each, and by which words.
//!
//! Read by `cargo xtask loom` only. A row must name a model that uses no other primitive than its own.

/// Loom's words when no thread can go on.
const DEADLOCK: &str = "deadlock; threads";

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
}

impl Variant {
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
    },
    // `close` wakes consumers only.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_close_forgets_pushers",
        model: "close_ends_a_push_that_waits_for_room",
        found_as: DEADLOCK,
    },
    // The wake-up is sent before the item is there, without the lock.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_notifies_before_append",
        model: "two_consumers_share_the_items_without_loss",
        found_as: DEADLOCK,
    },
    // Several places became free, one waiting push is woken.
    Variant {
        primitive: "bounded_queue",
        name: "bounded_queue_pop_many_wakes_one",
        model: "a_pop_of_many_wakes_every_push_that_fits_now",
        found_as: DEADLOCK,
    },
    // Whether somebody has rung already is asked under an earlier lock than the one that leaves the item.
    Variant {
        primitive: "mailbox",
        name: "mailbox_asks_too_early",
        model: "an_owner_that_takes_before_it_sleeps_misses_no_order",
        found_as: DEADLOCK,
    },
    // The bell rings before the mail is there, without the lock.
    Variant {
        primitive: "mailbox",
        name: "mailbox_rings_first",
        model: "no_mail_is_left_beside_an_owner_that_sleeps",
        found_as: DEADLOCK,
    },
    // The owner notes that the bell is to ring again under a later lock than the one that took the mail.
    Variant {
        primitive: "mailbox",
        name: "mailbox_takes_then_notes",
        model: "no_mail_is_left_beside_an_owner_that_sleeps",
        found_as: DEADLOCK,
    },
    // The version moves before the value, not together with it.
    Variant {
        primitive: "snapshot",
        name: "snapshot_version_moves_first",
        model: "a_reader_never_goes_back_and_ends_at_the_newest",
        found_as: "left == right",
    },
    // A reader pairs its value with a version that it reads after the lock.
    Variant {
        primitive: "snapshot",
        name: "snapshot_version_read_unlocked",
        model: "a_reader_never_goes_back_and_ends_at_the_newest",
        found_as: "left == right",
    },
    // Whether the committer sleeps is asked under an earlier lock than the one that adds the item.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_asks_too_early",
        model: "every_item_of_two_writers_is_taken_once",
        found_as: DEADLOCK,
    },
    // The end is noted and the committer is not told.
    Variant {
        primitive: "commit_gate",
        name: "commit_gate_close_wakes_nobody",
        model: "a_committer_takes_what_came_before_the_close_and_then_stops",
        found_as: DEADLOCK,
    },
    // A dropped sender leaves the slot as it was.
    Variant {
        primitive: "completion",
        name: "completion_drop_is_silent",
        model: "a_sender_that_goes_away_ends_an_awaiting_task",
        found_as: DEADLOCK,
    },
    // The waker is registered under a later lock than the one that found the slot empty.
    Variant {
        primitive: "completion",
        name: "completion_registers_late",
        model: "an_answer_reaches_an_awaiting_task",
        found_as: DEADLOCK,
    },
    // A give-back overwrites a take.
    Variant {
        primitive: "token_bucket",
        name: "token_bucket_gives_back_by_store",
        model: "no_token_that_comes_back_is_lost_to_a_take",
        found_as: "left == right",
    },
    // A take overwrites another take.
    Variant {
        primitive: "token_bucket",
        name: "token_bucket_takes_by_store",
        model: "two_takers_never_get_more_than_the_burst",
        found_as: "two of three tokens fit once",
    },
    // The flag rises between a sleeper's look and its sleep.
    Variant {
        primitive: "shutdown",
        name: "shutdown_begins_unlocked",
        model: "no_sleeping_thread_misses_it",
        found_as: DEADLOCK,
    },
    // The future does not look again under the lock that registers it.
    Variant {
        primitive: "shutdown",
        name: "shutdown_future_looks_once",
        model: "no_awaiting_task_misses_it",
        found_as: DEADLOCK,
    },
    // Two borrowers pass the same check.
    Variant {
        primitive: "byte_budget",
        name: "byte_budget_checks_then_takes",
        model: "two_borrowers_never_hold_more_than_the_whole",
        found_as: "more bytes came back than were lent",
    },
    // A return overwrites another return.
    Variant {
        primitive: "byte_budget",
        name: "byte_budget_gives_back_by_store",
        model: "what_comes_back_at_once_all_comes_back",
        found_as: "left == right",
    },
    // The end is noted and nobody is told.
    Variant {
        primitive: "watermark",
        name: "watermark_ends_silently",
        model: "the_end_releases_who_waits_for_more",
        found_as: DEADLOCK,
    },
    // Whether the mark has risen is asked under an earlier lock than the one that registers the waker.
    Variant {
        primitive: "watermark",
        name: "watermark_looks_too_early",
        model: "no_waiting_task_misses_a_rise",
        found_as: DEADLOCK,
    },
    // Who waits is woken before the mark has risen.
    Variant {
        primitive: "watermark",
        name: "watermark_wakes_first",
        model: "no_waiting_task_misses_a_rise",
        found_as: DEADLOCK,
    },
];
