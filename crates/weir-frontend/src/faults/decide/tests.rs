//! Decisions of rules: repeatable, in their windows, at their rates.

use std::sync::LazyLock;

use proptest::prelude::*;
use weir_core::id::{Region, StreamName};

use super::*;

fn decider(text: &str) -> Decider {
    Decider::new(&FaultPlan::parse(text, "f").unwrap())
}

static STREAM: LazyLock<StreamRef> = LazyLock::new(|| StreamRef {
    account: AccountId::DEFAULT,
    region: Region::US_EAST_1,
    name: StreamName::new("s"),
});

fn facts(operation: Operation) -> Facts<'static> {
    let shard = Some("shardId-000000000000");
    Facts { operation, account: AccountId::DEFAULT, stream: Some(&*STREAM), shard }
}

fn hits(decider: &mut Decider, calls: usize) -> usize {
    let struck = (0..calls)
        .filter(|_| decider.decide(Duration::ZERO, &facts(Operation::PutRecord)) != Decision::default());
    struck.count()
}

#[test]
fn a_probability_is_met_and_a_count_ends_it() {
    let often = hits(&mut decider("seed = 1\n[[rule]]\nthrottle = true\nprobability = 0.3"), 10_000);
    assert!((2_800..3_200).contains(&often), "{often}");
    let mut counted = decider("[[rule]]\nthrottle = true\nskip = 2\ncalls = 3");
    let struck: Vec<_> = (0..7).map(|_| hits(&mut counted, 1)).collect();
    assert_eq!(struck, [0, 0, 1, 1, 1, 0, 0]);
    assert_eq!(counted.counts(), [RuleCount { meant: 7, hits: 3 }]);
    assert_eq!(hits(&mut decider("[[rule]]\nthrottle = true\nprobability = 0.0"), 1_000), 0);
}

#[test]
fn a_rule_is_for_the_calls_that_it_names_in_its_window() {
    let rule = "[[rule]]\nthrottle = true\n";
    let met = |more: &str, since, facts: &Facts<'_>| {
        decider(&format!("{rule}{more}")).decide(Duration::from_secs(since), facts).outcome.is_some()
    };
    let put = facts(Operation::PutRecord);
    for (more, expected) in [
        ("operations = [\"PutRecord\", \"GetRecords\"]", true),
        ("operations = [\"GetRecords\"]", false),
        ("stream = \"s\"", true),
        ("stream = \"t\"", false),
        ("stream = \"arn:aws:kinesis:us-east-1:000000000000:stream/s\"", true),
        ("stream = \"arn:aws:kinesis:us-east-1:000000000007:stream/s\"", false),
        ("shard = \"shardId-000000000000\"", true),
        ("shard = \"shardId-0\"", true),
        ("shard = \"0\"", true),
        ("shard = \"shardId-000000000001\"", false),
        ("account = \"000000000000\"", true),
        ("account = \"000000000001\"", false),
        ("from = \"5s\"\nuntil = \"6s\"", true),
        ("from = \"6s\"", false),
        ("until = \"5s\"", false),
    ] {
        assert_eq!(met(more, 5, &put), expected, "{more}");
    }
    let unknown = Facts { stream: None, shard: None, ..put };
    assert!(!met("stream = \"s\"", 5, &unknown) && !met("shard = \"0\"", 5, &unknown));
    let mut lists = decider("[[rule]]\nrecords = { probability = 1.0, error = \"InternalFailure\" }");
    assert_eq!(lists.decide(Duration::ZERO, &put), Decision::default(), "it is of PutRecords alone");
    assert!(lists.decide(Duration::ZERO, &facts(Operation::PutRecords)).records.is_some());
}

#[test]
fn latencies_add_up_and_the_first_outcome_is_taken() {
    let mut both = decider(
        "[[rule]]\nlatency = \"1s\"\n[[rule]]\nerror = \"InternalFailure\"\nlatency = \"2s\"\n[[rule]]\nthrottle = true",
    );
    let decision = both.decide(Duration::ZERO, &facts(Operation::PutRecord));
    assert_eq!(decision.latency, Duration::from_secs(3));
    assert_eq!(decision.outcome, Some(Outcome::Error(ErrorCode::InternalFailure, None)));
    let effects: Vec<_> = decision.marks.iter().map(|(rule, effect)| (rule.as_str(), *effect)).collect();
    assert_eq!(
        effects,
        [("rule 1", Effect::Latency), ("rule 2", Effect::Latency), ("rule 2", Effect::Error)]
    );
}

#[test]
fn each_record_is_thrown_for() {
    let text = "seed = 5\n[[rule]]\nrecords = { probability = 0.25, error = \"InternalFailure\" }";
    let mut decider = decider(text);
    let mut failed = 0;
    for _ in 0..100 {
        let decision = decider.decide(Duration::ZERO, &facts(Operation::PutRecords));
        let fault = decision.records.unwrap();
        let throws: Vec<_> = fault.throws(100).collect();
        assert_eq!(throws, fault.throws(100).collect::<Vec<_>>());
        failed += throws.into_iter().filter(|fails| *fails).count();
    }
    assert!((2_300..2_700).contains(&failed), "{failed} of 10,000");
}

proptest! {
    #[test]
    fn the_same_seed_and_the_same_calls_meet_the_same_faults(
        seed in 0..u64::from(u32::MAX),
        shares in prop::collection::vec(0.0..1.0f64, 1..6),
        calls in prop::collection::vec((0..Operation::ALL.len(), 0..20u64), 1..200),
    ) {
        let mut text = format!("seed = {seed}\n");
        for share in &shares {
            text += &format!(
                "[[rule]]\nprobability = {share:?}\nfrom = \"2s\"\nuntil = \"18s\"\nthrottle = true\n\
                 latency = {{ median = \"5ms\", p99 = \"1s\" }}\n"
            );
        }
        let longer = format!("{text}[[rule]]\nprobability = 0.5\ncut = \"after-effect\"\n");
        let run = |text: &str| -> Vec<Decision> {
            let mut decider = decider(text);
            calls.iter()
                .map(|&(at, secs)| decider.decide(Duration::from_secs(secs), &facts(Operation::ALL[at])))
                .collect()
        };
        let (one, other, longer) = (run(&text), run(&text), run(&longer));
        prop_assert_eq!(&one, &other);
        for (short, long) in one.iter().zip(&longer) {
            prop_assert_eq!(short.latency, long.latency, "a rule behind changes none before it");
            prop_assert!(short.outcome.is_none() || short.outcome == long.outcome);
        }
    }
}
