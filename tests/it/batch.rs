//! `BatchEvaluateFlags`: many subjects in one call, answered as one by one.

use std::{collections::BTreeMap, time::Duration};

use flagstaff::wire::v1::{
    BatchEvaluateFlagsRequest, BatchEvaluateFlagsResponse, EvaluateFlagsRequest, EvaluatedFlag,
    EvaluationSubject,
};
use prost::Message;
use prost_types::{Struct, Value as Wire, value::Kind};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tonic::{Code, Request, Status, codec::CompressionEncoding};

use crate::support::{Service, grpc::reason};

both_databases! {
    a_batch_answers_as_one_by_one,
    the_largest_batch_comes_in_order_and_costs_few_queries,
    the_largest_batch_takes_ordinary_subjects,
    a_batch_that_is_not_understood_is_refused_before_anything_is_evaluated,
    a_batch_ends_with_its_callers_deadline,
    a_batch_that_nobody_reads_is_not_evaluated,
    the_first_logins_of_a_batch_are_fixed_together,
}

const READS: &str = "flagstaff_facts_reads_total";
const SEED: u64 = 20_261_123;

fn subject(distinct_id: impl Into<String>) -> EvaluationSubject {
    EvaluationSubject { distinct_id: distinct_id.into(), ..Default::default() }
}

async fn batch(
    service: &Service,
    subjects: Vec<EvaluationSubject>,
) -> Result<Vec<BatchEvaluateFlagsResponse>, Status> {
    let mut client = service.evaluation_as(Some(&service.token));
    let request = BatchEvaluateFlagsRequest { subjects, ..Default::default() };
    let mut stream = client.batch_evaluate_flags(request).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}

/// One by one, as `EvaluateFlags` answers.
async fn single(
    service: &Service,
    subject: EvaluationSubject,
) -> (BTreeMap<String, EvaluatedFlag>, bool) {
    let mut client = service.evaluation_as(Some(&service.token));
    let request = EvaluateFlagsRequest { subject: Some(subject), ..Default::default() };
    let answer = client.evaluate_flags(request).await.unwrap().into_inner();
    (answer.flags.into_iter().collect(), answer.errors_while_computing_flags)
}

async fn flag(service: &Service, key: &str, filters: Value) {
    service.create(json!({"key": key, "filters": filters})).await;
}

/// People, groups, a static cohort, and flags that go by each.
async fn a_project(service: &Service) {
    service.group_type(0, "company").await;
    service.cohort(1, 7, true, "{}").await;
    for (n, plan) in ["pro", "free", "pro", "team"].into_iter().enumerate() {
        let id = i64::try_from(n).unwrap() + 1;
        service
            .stored_person(id, &[&format!("person-{n}")], &json!({"plan": plan, "age": n}))
            .await;
    }
    service.member(7, 2).await;
    service.member(7, 3).await;
    service.stored_group(0, "acme", &json!({"size": "big"})).await;
    let person = json!({"key": "plan", "type": "person", "value": "pro"});
    let listed = json!({"key": "id", "type": "cohort", "value": 7, "operator": "not_in"});
    let big = json!({"key": "size", "type": "group", "group_type_index": 0, "value": "big"});
    flag(service, "half", json!({"groups": [{"rollout_percentage": 50}]})).await;
    flag(service, "pros", json!({"groups": [{"properties": [person], "rollout_percentage": 70}]}))
        .await;
    flag(service, "unlisted", json!({"groups": [{"properties": [listed]}]})).await;
    let by_company = json!({"aggregation_group_type_index": 0, "groups": [{"properties": [big]}]});
    flag(service, "big", by_company).await;
    let variants =
        json!([{"key": "a", "rollout_percentage": 50}, {"key": "b", "rollout_percentage": 50}]);
    let filters =
        json!({"groups": [{}], "multivariate": {"variants": variants}, "payloads": {"a": "\"x\""}});
    flag(service, "split", filters).await;
    service.reload().await;
}

fn random_subject(random: &mut StdRng) -> EvaluationSubject {
    let mut subject = subject(match random.random_range(0..10) {
        0..6 => format!("person-{}", random.random_range(0..4)),
        _ => format!("stranger-{}", random.random_range(0..1_000)),
    });
    if random.random_bool(0.3) {
        let plan = prost_types::Value::from(["pro", "free"][random.random_range(0..2)].to_owned());
        let fields = BTreeMap::from([("plan".to_owned(), plan)]);
        subject.person_properties = Some(prost_types::Struct { fields });
    }
    if random.random_bool(0.5) {
        let key = ["acme", "other", ""][random.random_range(0..3)];
        subject.groups = [("company".to_owned(), key.to_owned())].into();
    }
    subject
}

async fn a_batch_answers_as_one_by_one(service: &Service) {
    a_project(service).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let subjects: Vec<_> = (0..150).map(|_| random_subject(&mut random)).collect();
    let answers = batch(service, subjects.clone()).await.unwrap();
    assert_eq!(answers.len(), subjects.len());
    for (at, (answer, subject)) in answers.into_iter().zip(subjects).enumerate() {
        let expected = single(service, subject.clone()).await;
        let flags: BTreeMap<_, _> = answer.flags.into_iter().collect();
        assert_eq!(
            (flags, answer.errors_while_computing_flags),
            expected,
            "{SEED} {at} {subject:?}"
        );
        assert_eq!(
            (answer.index, answer.distinct_id),
            (at.try_into().unwrap(), subject.distinct_id)
        );
        assert!(answer.evaluated_at.is_some() && answer.quota_limited.is_empty());
    }
}

async fn the_largest_batch_comes_in_order_and_costs_few_queries(service: &Service) {
    a_project(service).await;
    let subjects = (0..10_000).map(|n| subject(format!("person-{n}"))).collect();
    let answers = batch(service, subjects).await.unwrap();
    assert_eq!(answers.len(), 10_000);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.index, i32::try_from(at).unwrap());
        assert_eq!(answer.distinct_id, format!("person-{at}"));
        assert_eq!(answer.request_id, answers[0].request_id);
        assert_eq!(answer.flags.len(), 5);
    }
    let on = |at: usize| answers[at].flags["unlisted"].enabled;
    assert_eq!([on(0), on(1), on(2), on(3), on(9_999)], [true, false, false, true, true]);
    assert_eq!(service.counter(READS).await, 20, "five hundred a query");
}

/// A subject as programs send them: some properties, a group, and its properties.
fn ordinary_subject(n: usize) -> EvaluationSubject {
    let text = |text: String| Wire { kind: Some(Kind::StringValue(text)) };
    let number = |number: f64| Wire { kind: Some(Kind::NumberValue(number)) };
    let person_properties = [
        ("plan", text((if n.is_multiple_of(2) { "pro" } else { "free" }).into())),
        ("email", text(format!("person-{n}@customers.example.com"))),
        ("country", text("NZ".into())),
        ("$browser", text("Firefox".into())),
        ("$os", text("Linux".into())),
        ("app_version", text("4.18.2".into())),
        ("signed_up_at", text("2026-04-01T10:00:00Z".into())),
        ("seats", number(25.0)),
        ("age", number(42.0)),
        ("is_admin", Wire { kind: Some(Kind::BoolValue(false)) }),
    ];
    let named = |(name, value): (&str, Wire)| (name.to_owned(), value);
    let properties = Struct { fields: person_properties.into_iter().map(named).collect() };
    let size = Struct { fields: [named(("size", text("big".into())))].into() };
    EvaluationSubject {
        person_properties: Some(properties),
        groups: [("company".to_owned(), format!("company-{}", n % 100))].into(),
        group_properties: [("company".to_owned(), size)].into(),
        ..subject(format!("0190c5d2-7a4e-7c3b-9b1f-{n:012}"))
    }
}

async fn the_largest_batch_takes_ordinary_subjects(service: &Service) {
    a_project(service).await;
    let subjects: Vec<_> = (0..10_000).map(ordinary_subject).collect();
    let request = BatchEvaluateFlagsRequest { subjects: subjects.clone(), ..Default::default() };
    let size = request.encoded_len();
    assert!(size > 2 * 1024 * 1024, "larger than other messages may be: {size}");
    let answers = batch(service, subjects.clone()).await.unwrap();
    assert_eq!(answers.len(), 10_000);
    for at in [0, 1, 4_999, 9_999] {
        let one = single(service, subjects[at].clone()).await;
        assert_eq!((answers[at].flags.clone(), answers[at].errors_while_computing_flags), one);
    }
    let mut gzip =
        service.evaluation_as(Some(&service.token)).send_compressed(CompressionEncoding::Gzip);
    let mut stream = gzip.batch_evaluate_flags(request).await.unwrap().into_inner();
    let mut count = 0;
    while stream.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 10_000, "compressed");
}

async fn a_batch_that_is_not_understood_is_refused_before_anything_is_evaluated(service: &Service) {
    a_project(service).await;
    let last_is_blank = (0..20).map(|n| subject(if n < 19 { "x" } else { "" })).collect();
    let too_many = (0..10_001).map(|n| subject(n.to_string())).collect();
    for (subjects, code) in
        [(vec![], "required"), (last_is_blank, "blank"), (too_many, "max_length")]
    {
        let error = batch(service, subjects).await.unwrap_err();
        assert_eq!((error.code(), reason(&error)), (Code::InvalidArgument, code.to_owned()));
    }
    assert_eq!(service.counter(READS).await, 0);
}

/// A batch whose answers are far more than a connection holds unread.
fn large() -> BatchEvaluateFlagsRequest {
    let subjects = (0..10_000).map(|n| subject(format!("person-{n}"))).collect();
    BatchEvaluateFlagsRequest { subjects, ..Default::default() }
}

async fn a_batch_ends_with_its_callers_deadline(service: &Service) {
    a_project(service).await;
    let mut client = service.evaluation_as(Some(&service.token));
    let mut request = Request::new(large());
    request.set_timeout(Duration::from_millis(1_500));
    let mut stream = client.batch_evaluate_flags(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    // Nobody reads on before the deadline has passed.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the batch came to its end"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end:?}");
}

async fn a_batch_that_nobody_reads_is_not_evaluated(service: &Service) {
    a_project(service).await;
    let mut client = service.evaluation_as(Some(&service.token));
    let mut stream = client.batch_evaluate_flags(large()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    service.flags_for(&json!({"distinct_id": "somebody else"})).await;
    let reads = service.counter(READS).await;
    assert!(reads < 15, "{reads} of 20 chunks were read for nobody");
}

async fn the_first_logins_of_a_batch_are_fixed_together(service: &Service) {
    let filters = json!({"groups": [{"rollout_percentage": 50}]});
    let body = json!({"key": "kept", "filters": filters, "ensure_experience_continuity": true});
    service.create(body).await;
    for n in 1..=5 {
        service.stored_person(n, &[&format!("person-{n}")], &json!({})).await;
    }
    let login = |n: i64, anonymous: &str| EvaluationSubject {
        anon_distinct_id: Some(anonymous.into()),
        ..subject(format!("person-{n}"))
    };
    let mut subjects: Vec<_> = (1..=6).map(|n| login(n, &format!("visitor-{n}"))).collect();
    subjects.push(login(1, "another"));
    let answers = batch(service, subjects).await.unwrap();
    assert_eq!(service.counter(READS).await, 2, "who they are, and what was fixed");
    let query =
        "SELECT CAST(count(*) AS text) FROM hash_key_override WHERE hash_key LIKE 'visitor-%'";
    assert_eq!(service.stored(query).await.as_deref(), Some("5"), "the sixth is a stranger");
    let first = &answers[0].flags["kept"];
    assert_eq!(&answers[6].flags["kept"], first, "the first of two logins counts");
    for n in 1..=5_usize {
        let again = single(service, subject(format!("person-{n}"))).await.0;
        assert_eq!(again["kept"], answers[n - 1].flags["kept"]);
    }
}
