use std::{collections::BTreeMap, sync::Arc};

use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::{
    engine::{self, Facts, Flag, FlagSet, FlagSource, Selection, Settings, Subject},
    wire::{
        convert::timestamp,
        v1::{
            BatchEvaluateFlagsResponse, EvaluateFlagResponse, EvaluateFlagsResponse, EvaluatedFlag,
            EvaluationReason, FlagMetadata,
        },
    },
};

/// Flags of every outcome, with numbers of every length.
fn set() -> FlagSet {
    let variants = json!([{"key": "a", "rollout_percentage": 100}]);
    let filters = [
        (1, "on", json!({"groups": [{}], "payloads": {"true": "{\"a\": 1}"}})),
        (300, "off", json!({"groups": [{"rollout_percentage": 0}]})),
        (70_000, "variant", json!({"groups": [{}], "multivariate": {"variants": variants}})),
        (5, "failed", json!({"groups": 7})),
        (6, "no conditions", json!({"groups": []})),
        (7, "of a group", json!({"aggregation_group_type_index": 0, "groups": [{}]})),
        (
            i64::MAX,
            "ключ с длинным именем, которое занимает больше ста двадцати восьми байтов \
            и потому длина его пишется двумя",
            json!({"groups": [{}, {}]}),
        ),
    ];
    let flag = |(id, key, filters): &(i64, &str, Value)| {
        let version = (id % 2 == 1).then_some(*id);
        let has_experiment = id % 3 == 0;
        let source = FlagSource { version, has_experiment, ..FlagSource::new(*id, key, filters) };
        Arc::new(Flag::compile(&source))
    };
    FlagSet::new(Settings::default(), filters.iter().map(flag).collect(), Vec::new())
}

fn stamp() -> Stamp {
    let evaluated_at = DateTime::from_timestamp(1_700_000_000, 123_456_000).expect("an instant");
    Stamp { request_id: Uuid::from_u128(0x1234), evaluated_at }
}

fn evaluated(set: &FlagSet) -> Evaluation<'_> {
    let subject = Subject::new("someone", Facts::default());
    engine::evaluate(set, &subject, &Selection::default(), DateTime::UNIX_EPOCH)
}

fn by_key(evaluation: &Evaluation<'_>) -> BTreeMap<String, EvaluatedFlag> {
    evaluation.outcomes.iter().map(|o| (o.flag.key().to_owned(), told(o))).collect()
}

#[test]
fn all_there_is_of_an_outcome_is_told() {
    let filters = json!({"groups": [{}], "multivariate":
        {"variants": [{"key": "a", "rollout_percentage": 100}]}, "payloads": {"a": "1"}});
    let source =
        FlagSource { version: Some(3), has_experiment: true, ..FlagSource::new(7, "f", &filters) };
    let set = FlagSet::new(Settings::default(), vec![Arc::new(Flag::compile(&source))], Vec::new());
    let expected = EvaluatedFlag {
        key: "f".into(),
        enabled: true,
        variant: Some("a".into()),
        reason: Some(EvaluationReason {
            code: "condition_match".into(),
            condition_index: Some(0),
            description: "Matched condition set 1".into(),
        }),
        metadata: Some(FlagMetadata {
            id: 7,
            version: 3,
            description: None,
            payload: Some("1".into()),
            has_experiment: true,
        }),
        failed: false,
    };
    assert_eq!(told(&evaluated(&set).outcomes[0]), expected);
}

#[test]
fn answers_are_the_same_each_time() {
    let set = set();
    let written = || {
        let evaluation = evaluated(&set);
        let alone = evaluation.outcomes.iter().map(|outcome| flag(outcome, stamp()));
        alone.chain([flags(&evaluation, stamp())]).collect::<Vec<_>>()
    };
    assert_eq!(written(), written());
}

#[test]
fn one_flag_is_written_byte_for_byte_as_the_generated_message_is() {
    let set = set();
    let evaluation = evaluated(&set);
    assert_eq!(evaluation.outcomes.len(), 7);
    for outcome in &evaluation.outcomes {
        let generated = EvaluateFlagResponse {
            flag: Some(told(outcome)),
            request_id: stamp().request_id.to_string(),
            evaluated_at: Some(timestamp(stamp().evaluated_at)),
        };
        let written = flag(outcome, stamp()).encode_to_vec();
        assert_eq!(written, generated.encode_to_vec(), "{}", outcome.flag.key());
    }
}

#[test]
fn many_flags_are_read_back_as_the_generated_message() {
    let set = set();
    let evaluation = evaluated(&set);
    let written = flags(&evaluation, stamp()).encode_to_vec();
    let generated = EvaluateFlagsResponse {
        flags: by_key(&evaluation),
        errors_while_computing_flags: true,
        request_id: stamp().request_id.to_string(),
        evaluated_at: Some(timestamp(stamp().evaluated_at)),
        quota_limited: Vec::new(),
    };
    assert_eq!(EvaluateFlagsResponse::decode(&*written).expect("a message"), generated);
    assert_eq!(written.len(), generated.encoded_len());
}

#[test]
fn an_answer_of_a_batch_is_read_back_as_the_generated_message() {
    let set = set();
    let evaluation = evaluated(&set);
    for (index, id) in [(0, "someone"), (9_999, "")] {
        let written = of_batch(index, id, &evaluation, stamp()).encode_to_vec();
        let generated = BatchEvaluateFlagsResponse {
            index: i32::try_from(index).expect("a small number"),
            distinct_id: id.to_owned(),
            flags: by_key(&evaluation),
            errors_while_computing_flags: true,
            request_id: stamp().request_id.to_string(),
            evaluated_at: Some(timestamp(stamp().evaluated_at)),
            quota_limited: Vec::new(),
        };
        assert_eq!(BatchEvaluateFlagsResponse::decode(&*written).expect("a message"), generated);
        assert_eq!(written.len(), generated.encoded_len());
    }
}
