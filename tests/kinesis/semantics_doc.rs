//! docs/SEMANTICS.md against the binary, and every row of its tables against the tests that prove it.
//!
//! The tables of operations and limits must be what the command line prints. Every other row, and every point of what is as
//! in Kinesis, is quoted by a test from outside, or is listed here with the test that proves it, which must be there. What
//! nothing proves is listed as well, with why.

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::Value;
use weir_tests::{
    process::output,
    semantics::{PAGE, differences, same, says, says_same, table},
    weir,
};

/// What tests beside the code prove of a row: its first column, words of its second, the file, and the test.
const ELSEWHERE: &[[&str; 4]] = &[
    [
        "a full disk",
        "with `ServiceUnavailable` and the reason",
        "tests/full_disk.rs",
        "a_full_disk_refuses_with_the_reason_serves_reads_and_goes_on_when_a_stream_is_deleted",
    ],
    [
        "`x-amz-content-sha256`",
        "must be the body's own hash where signatures are checked, else `InvalidSignatureException`",
        "crates/weir-wire/src/sigv4/presented/tests.rs",
        "the_hash_that_a_request_tells_of_its_body_must_be_the_bodys",
    ],
    [
        "`x-amz-content-sha256`",
        "that of any signature that does not match where the client signed by the other hash",
        "crates/weir-frontend/src/server/tests.rs",
        "who_signs_by_another_hash_than_the_bodys_hears_that_the_signature_does_not_match",
    ],
    [
        "temporary credentials",
        "needs that token in each request",
        "crates/weir-frontend/src/authenticate.rs",
        "a_temporary_key_speaks_only_with_its_token",
    ],
    [
        "temporary credentials",
        "one without takes none",
        "crates/weir-wire/src/sigv4/presented/tests.rs",
        "a_session_token_must_be_signed_and_be_the_one_of_its_key",
    ],
    [
        "a text where CBOR should have a byte string, a byte string where it should have a text",
        "`SerializationException`, in the words for other wrong types",
        "crates/weir-wire/src/kinesis/cbor/tests.rs",
        "a_wrong_type_is_told_as_in_json",
    ],
    [
        "a connection of HTTP/2",
        "is ended politely (GOAWAY)",
        "crates/weir-wire/src/http/server/tests/http2.rs",
        "an_idle_connection_is_ended_politely",
    ],
    [
        "many large answers at once that nobody reads",
        "smaller pages, then `ServiceUnavailable`",
        "crates/weir-frontend/src/answer.rs",
        "pages_get_smaller_before_one_is_refused",
    ],
    [
        "many large answers at once that nobody reads",
        "a client under 128 KiB/s loses its connection",
        "crates/weir-wire/src/http/server/paced.rs",
        "a_reader_that_takes_a_little_now_and_then_is_cut_off_when_it_is_behind",
    ],
    [
        "many large answers at once that nobody reads",
        "on HTTP/2 as soon as one of its answers lies",
        "crates/weir-wire/src/http/server/tests/http2.rs",
        "an_answer_whose_window_stays_shut_costs_its_connection_and_gives_its_memory_back",
    ],
    [
        "iterators, and tokens that lists go on with",
        "expire after five minutes",
        "crates/weir-frontend/src/iterator.rs",
        "an_iterator_lives_for_its_time_and_says_when_that_was",
    ],
    [
        "growth of an on-demand stream",
        "measured over ten seconds",
        "crates/weir-control/src/on_demand.rs",
        "a_burst_is_judged_over_the_whole_window_and_an_old_one_not_at_all",
    ],
    [
        "growth of an on-demand stream",
        "more than half of what its shards could take in (1 MiB/s or 1,000 records/s each) doubles them",
        "crates/weir-control/src/on_demand.rs",
        "a_stream_is_doubled_above_half_of_its_capacity_by_bytes_or_by_records",
    ],
    [
        "the ranges after UpdateShardCount",
        "up to a millionth of its width beside the uniform place",
        "crates/weir-control/src/reshard.rs",
        "from_any_ranges_the_target_is_reached_in_few_rounds",
    ],
    [
        "more than ten UpdateShardCount in 24 hours",
        "`LimitExceededException`",
        "crates/weir-control/src/machine/reshard/tests.rs",
        "a_shard_count_is_at_most_doubled_at_least_halved_and_updated_ten_times_a_day",
    ],
    [
        "`AT_TIMESTAMP` of ListShards before the trim horizon",
        "is corrected to it",
        "crates/weir-frontend/src/operations/list_shards.rs",
        "each_filter_lists_the_shards_that_were_open_then",
    ],
    [
        "a stream of which a node is silent",
        "shown as CREATING, without shards",
        "crates/weir-frontend/src/server/tests/streams.rs",
        "a_stream_is_active_only_when_this_servers_own_map_has_all_of_it",
    ],
    [
        "a stream whose settings changed",
        "is shown UPDATING by a front end until that front end has heard of them",
        "crates/weir-frontend/src/server/tests/streams.rs",
        "a_stream_is_updating_until_this_server_has_heard_of_its_settings",
    ],
    [
        "shards",
        "10,000 a stream and 40,000 in all",
        "crates/weir-control/src/machine/tests.rs",
        "shards_are_bounded_for_a_stream_and_for_all_in_kinesis_words",
    ],
    [
        "shards",
        "closed ones included, one limit for all accounts",
        "crates/weir-control/src/machine/tests/quotas.rs",
        "shards_that_are_closed_count_of_all_there_may_be_and_of_no_account",
    ],
    [
        "streams",
        "10,000 in all; beyond: `LimitExceededException`",
        "crates/weir-control/src/machine/tests/quotas.rs",
        "one_control_plane_keeps_so_many_streams_of_all_accounts",
    ],
    [
        "a put during a reshard",
        "ten seconds at most; then `ServiceUnavailable`",
        "crates/weir-frontend/src/server/tests/reshard.rs",
        "a_put_whose_child_never_comes_is_unavailable_after_its_wait",
    ],
    [
        "a put during a reshard",
        "waits for the children",
        "crates/weir-frontend/src/server/tests/reshard.rs",
        "a_put_waits_for_the_map_that_has_the_child_and_another_shards_put_does_not",
    ],
    [
        "`SequenceNumberForOrdering`",
        "may be up to five minutes ahead of the clock",
        "crates/weir-frontend/src/server/tests/records.rs",
        "a_number_to_be_ordered_after_may_be_five_minutes_ahead",
    ],
    [
        "subscribers that do not read",
        "others wait for room, calls do not",
        "crates/weir-frontend/src/answer.rs",
        "subscribers_that_do_not_read_take_nothing_of_other_answers_nor_of_other_tenants",
    ],
    [
        "a second subscription through another front end",
        "is not refused and takes nothing over",
        "crates/weir-frontend/src/server/tests/subscriptions.rs",
        "two_front_ends_serve_one_consumer_at_one_shard_each",
    ],
    [
        "requests of one tenant in flight",
        "`ProvisionedThroughputExceededException` where records move, else `LimitExceededException`",
        "crates/weir-frontend/src/respond.rs",
        "a_busy_tenant_hears_a_code_that_its_operation_has",
    ],
    [
        "limits of shards and calls behind several front ends",
        "each counts for itself",
        "crates/weir-frontend/src/server/tests/records.rs",
        "another_front_end_has_a_count_of_its_own_for_the_same_shard",
    ],
    [
        "StopStreamEncryption",
        "does not compare the key; of a stream that is not encrypted it changes nothing",
        "crates/weir-control/src/machine/settings/tests.rs",
        "encryption_is_started_with_another_key_and_stopped_so_many_times_a_day",
    ],
    [
        "monitored shards",
        "counts of more are not kept, and that is counted",
        "crates/weir-frontend/src/metrics/shards.rs",
        "no_more_shards_are_kept_than_there_may_be",
    ],
    [
        "policies",
        "2 MiB together",
        "crates/weir-control/src/machine/attached/tests.rs",
        "all_policies_together_have_a_bound",
    ],
    [
        "policies",
        "up to 20 KiB each",
        "crates/weir-frontend/src/policy.rs",
        "what_is_no_policy_is_refused_with_its_fault",
    ],
    [
        "policies",
        "a user or a role stands for its account",
        "crates/weir-frontend/src/policy.rs",
        "an_account_is_named_in_every_form",
    ],
    [
        "does not read its answers, on HTTP/2 keeps a window shut",
        "a close after 30 s without a byte, or when it is under 128 KiB/s",
        "crates/weir-wire/src/http/server/tests.rs",
        "a_client_that_never_reads_is_cut_off",
    ],
    [
        "does not read its answers, on HTTP/2 keeps a window shut",
        "an event stream may stand still for five minutes",
        "crates/weir-wire/src/http/server/exchanges.rs",
        "a_stream_has_more_patience_for_its_reader_and_so_has_its_socket",
    ],
    [
        "sends many heads at once that are long and have no end",
        "the same of requests being served is 503",
        "crates/weir-wire/src/http/server/tests/http2.rs",
        "heads_of_requests_that_are_served_are_counted_in_their_lines_and_in_their_targets",
    ],
    [
        "floods PING, SETTINGS, WINDOW_UPDATE, PRIORITY",
        "32 KiB a turn are read of it, then it is the others' turn",
        "crates/weir-wire/src/http/server/paced.rs",
        "a_client_that_sends_without_a_pause_leaves_turns_to_the_others",
    ],
    [
        "opens connections and is silent",
        "as many as leave a quarter of the files that it may open, and 256 at least",
        "crates/weir-wire/src/open_files.rs",
        "what_is_kept_back_is_never_given_to_connections",
    ],
];

/// Numbers of a row that a test beside the code takes from the code, as it takes too long or too many to count them from
/// outside: the row, its words, and the line of `limits.rs` or the file that is named.
const NUMBERS: &[[&str; 4]] = &[
    ["monitored shards", "1,000 on one front end", LIMITS, "MONITORED_SHARDS_MAX: usize = 1_000;"],
    ["subscriptions", "1,024 on each front end", LIMITS, "SUBSCRIPTIONS_MAX: usize = NODE_CALLS_MAX / 4;"],
    ["requests of one tenant in flight", "2,048 on each front end", LIMITS, "NODE_CALLS_MAX: usize = 4_096;"],
    [
        "requests of one tenant in flight",
        "2,048 on each front end",
        "crates/weir-frontend/src/throttle/tenants.rs",
        "TENANT_REQUESTS_MAX: u32 = (NODE_CALLS_MAX / 2) as u32;",
    ],
    [
        "subscribers that do not read",
        "hold 128 MiB of events together",
        LIMITS,
        "HTTP_EVENTS_BYTES_MAX: usize = 128 * MIB;",
    ],
    [
        "subscribers that do not read",
        "those of one tenant 64 MiB",
        "crates/weir-frontend/src/answer.rs",
        "TENANT_EVENTS_BYTES_MAX: usize = HTTP_EVENTS_BYTES_MAX / 2;",
    ],
    [
        "a connection of HTTP/2",
        "after a minute without one",
        LIMITS,
        "HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(60);",
    ],
    [
        "does not read its answers, on HTTP/2 keeps a window shut",
        "a close after 30 s without a byte",
        LIMITS,
        "HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(30);",
    ],
    [
        "does not read its answers, on HTTP/2 keeps a window shut",
        "five minutes",
        LIMITS,
        "HTTP_STREAM_TIMEOUT: Duration = Duration::from_secs(300);",
    ],
    ["a put during a reshard", "ten seconds at most", LIMITS, "RESHARD_WAIT: Duration = NODE_CALL_TIMEOUT;"],
    [
        "a put during a reshard",
        "ten seconds at most",
        LIMITS,
        "NODE_CALL_TIMEOUT: Duration = Duration::from_secs(10);",
    ],
    [
        "iterators, and tokens that lists go on with",
        "expire after five minutes",
        LIMITS,
        "SHARD_ITERATOR_LIFETIME: Duration = Duration::from_secs(300);",
    ],
    [
        "a connection of HTTP/2",
        "closed half a second later",
        LIMITS,
        "HTTP2_GOAWAY_TIMEOUT: Duration = Duration::from_millis(500);",
    ],
    [
        "sends many heads at once that are long and have no end",
        "over 256 MiB",
        LIMITS,
        "HTTP_HEADS_BYTES_MAX: usize = 256 * MIB;",
    ],
    [
        "opens connections and is silent",
        "16,384 of a server",
        LIMITS,
        "HTTP_CONNECTIONS_MAX: usize = 16_384;",
    ],
    [
        "opens connections and is silent",
        "of HTTP/2 after a minute",
        LIMITS,
        "HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(60);",
    ],
    [
        "a record past its retention",
        "up to 30 seconds more",
        "crates/weir-cell/src/run.rs",
        "RETAIN_PERIOD: Duration = Duration::from_secs(30);",
    ],
    ["policies", "2 MiB together", LIMITS, "POLICIES_BYTES_MAX: usize = 2 * MIB;"],
    ["policies", "up to 20 KiB each", LIMITS, "POLICY_BYTES_MAX: usize = 20 * KIB;"],
    [
        "sends a body over 18 MiB",
        "up to 64 MiB are read first",
        LIMITS,
        "HTTP_DISCARD_BYTES_MAX: usize = 64 * MIB;",
    ],
];
const LIMITS: &str = "crates/weir-core/src/limits.rs";

/// What no test proves of a row, and why.
const UNPROVEN: &[[&str; 3]] = &[
    [
        "a record past its retention",
        "is served for up to 30 seconds more",
        "the shortest period is a day of the machine's clock; a node's own tests set the time of each round",
    ],
    [
        "temporary credentials",
        "a token does not expire",
        "there is no moment at which it could be seen not to",
    ],
    [
        "growth of an on-demand stream",
        "it never shrinks",
        "there is no moment at which it could be seen not to",
    ],
    ["the certificate of `--tls-self-signed`", "`::1`", "not every machine that builds has IPv6"],
    ["a rate that AWS does not document", "five calls a second", "which rates those are is AWS's to say"],
    ["CREATING, UPDATING, DELETING", "last for milliseconds", "a bar of time fails on a busy machine"],
    ["when settings take effect", "within milliseconds", "a bar of time fails on a busy machine"],
    [
        "opens connections and is silent",
        "of HTTP/2 after a minute",
        "the test of silent clients waits for thirty seconds, not for sixty",
    ],
];

/// What tests beside the code prove of a point of what is as in Kinesis: its words, the file, and the test.
const SAME_ELSEWHERE: &[[&str; 3]] = &[
    [
        "by ALPN, and without it by the preface as well",
        "crates/weir-wire/src/http/server/tests/tls.rs",
        "what_the_handshake_agreed_on_is_spoken_and_a_bare_preface_as_well",
    ],
    [
        "an iterator lives five minutes",
        "crates/weir-frontend/src/iterator.rs",
        "an_iterator_lives_for_its_time_and_says_when_that_was",
    ],
    [
        "20 a stream and five CREATING at once",
        "crates/weir-control/src/machine/consumers/tests.rs",
        "five_consumers_are_created_at_once",
    ],
    [
        "after an answer of 10 MiB the shard refuses reads for five seconds",
        "crates/weir-frontend/src/throttle/shards.rs",
        "ten_mebibytes_at_once_block_the_shard_for_five_seconds",
    ],
    [
        "A record above 1 MiB draws on a tank of 10 MiB that fills at the shard's rate",
        "crates/weir-frontend/src/throttle/shards.rs",
        "a_large_record_passes_and_is_paid_for_while_ordinary_ones_go_on",
    ],
    [
        "What is past it is not served any more, and its segments go from the disk",
        "crates/weir-cell/tests/node.rs",
        "records_go_when_their_time_is_over_and_a_shorter_period_takes_more_of_them",
    ],
    [
        "at most to double and at least to half, ten times in a rolling 24 hours",
        "crates/weir-control/src/machine/reshard/tests.rs",
        "a_shard_count_is_at_most_doubled_at_least_halved_and_updated_ten_times_a_day",
    ],
    [
        "and go when their last record is past its retention",
        "crates/weir-control/src/machine/reshard/tests.rs",
        "closed_shards_go_when_their_records_are_too_old_parents_first",
    ],
    [
        "A key is changed 25 times in any 24 hours",
        "crates/weir-control/src/machine/settings/tests.rs",
        "encryption_is_started_with_another_key_and_stopped_so_many_times_a_day",
    ],
    [
        "the seven shard-level metrics are counted",
        "crates/weir-frontend/src/metrics/shards.rs",
        "no_more_shards_are_kept_than_there_may_be",
    ],
];

fn listed(flag: &str, member: &str) -> Vec<Value> {
    let ended = output(Command::new(weir()).args(["serve", flag, "--json"]), Duration::from_secs(60));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    told[member].as_array().unwrap().clone()
}

fn text(row: &Value, member: &str) -> String {
    row[member].as_str().unwrap().to_owned()
}

#[test]
fn the_table_of_operations_is_what_the_command_line_prints() {
    let told: Vec<_> = listed("--list-operations", "operations")
        .iter()
        .map(|row| ["name", "semantics", "difference"].map(|member| text(row, member)).to_vec())
        .collect();
    assert_eq!(told.len(), 57);
    assert_eq!(table(PAGE, "| operation | is | how it differs |"), told);
}

#[test]
fn the_table_of_limits_is_what_the_command_line_prints() {
    let told: Vec<_> = listed("--list-limits", "limits")
        .iter()
        .map(|row| {
            let name = format!("`{}`", text(row, "name"));
            vec![name, text(row, "default"), text(row, "scope"), text(row, "source")]
        })
        .collect();
    assert_eq!(table(PAGE, "| limit | AWS | of each | who says so |"), told);
}

/// The sources of the tests from outside but this one, each text on one line however it is broken.
fn sources() -> String {
    let mut sources = String::new();
    for folder in ["kinesis", "hostile"] {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name != "semantics_doc.rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    sources.split_whitespace().collect::<Vec<_>>().join(" ").replace("( \"", "(\"")
}

/// The file at this place of the repository.
fn file(place: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(place);
    fs::read_to_string(path).unwrap_or_else(|_| panic!("{place} is gone"))
}

fn assert_has_test(place: &str, test: &str) {
    assert!(file(place).contains(&format!("fn {test}(")), "{place} has no test {test}");
}

#[test]
fn every_difference_is_quoted_by_the_test_that_proves_it() {
    let sources = sources();
    let rows: Vec<String> = differences(PAGE).into_iter().map(|row| row[0].clone()).collect();
    assert!(rows.len() > 50, "the tables were found");
    for what in &rows {
        let quoted = sources.contains(&format!("says(\"{what}\","));
        let elsewhere = ELSEWHERE.iter().any(|[row, ..]| row == what);
        let unproven = UNPROVEN.iter().any(|[row, ..]| row == what);
        assert!(quoted || elsewhere || unproven, "{what:?} is to be quoted by a test, or listed");
    }
    for [row, in_weir, place, test] in ELSEWHERE {
        says(row, in_weir);
        assert_has_test(place, test);
    }
    for [row, in_weir, place, line] in NUMBERS {
        says(row, in_weir);
        assert!(file(place).contains(line), "{place}: {line:?}, as of {row:?} it is {in_weir:?}");
    }
    for [row, in_weir, _] in UNPROVEN {
        says(row, in_weir);
    }
}

#[test]
fn every_point_that_is_as_in_kinesis_is_quoted_by_the_test_that_proves_it() {
    let sources = sources();
    let quotes = sources.split("says_same(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let quotes: Vec<&str> = quotes.chain(SAME_ELSEWHERE.iter().map(|[words, ..]| *words)).collect();
    let points = same(PAGE);
    assert!(points.len() > 20, "the lists were found");
    for point in &points {
        assert!(quotes.iter().any(|words| point.contains(words)), "no test quotes {point:?}");
    }
    for [words, place, test] in SAME_ELSEWHERE {
        says_same(words);
        assert_has_test(place, test);
    }
}
