//! The whole life of a flag over gRPC, with the generated client.

use flagstaff::wire::v1::{
    ConditionGroup, CreateFeatureFlagRequest, DeleteFeatureFlagRequest, EvaluateFlagRequest,
    EvaluateFlagsRequest, EvaluatedFlag, EvaluationSubject, FeatureFlag, FeatureFlagInput,
    FeatureFlagStatus, Filters, GetFeatureFlagRequest, ListActivityRequest,
    ListFeatureFlagActivityRequest, ListFeatureFlagsRequest, UpdateFeatureFlagRequest,
};
use prost_types::FieldMask;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    Service,
    grpc::{keyed, mask, named, reason, said},
};

both_databases! {
    a_flag_lives_from_creation_to_deletion,
    lists_are_paged_by_token,
    a_mask_says_which_fields_are_meant,
    a_bad_mask_changes_nothing,
    activity_is_listed_by_flag_and_by_project,
    flags_are_evaluated_with_each_kind_of_credential,
    a_failure_carries_all_that_rest_would_say,
    what_is_not_there_is_not_found,
}

async fn create(service: &Service, input: FeatureFlagInput) -> Result<FeatureFlag, Status> {
    let request = CreateFeatureFlagRequest { feature_flag: Some(input), ..Default::default() };
    let answer = service.flags().create_feature_flag(request).await?;
    Ok(answer.into_inner().feature_flag.unwrap())
}

async fn get(service: &Service, id: i64) -> Result<FeatureFlag, Status> {
    let request = GetFeatureFlagRequest { id, ..Default::default() };
    Ok(service.flags().get_feature_flag(request).await?.into_inner().feature_flag.unwrap())
}

async fn update(
    service: &Service,
    id: i64,
    input: FeatureFlagInput,
    update_mask: Option<FieldMask>,
) -> Result<FeatureFlag, Status> {
    let feature_flag = Some(input);
    let request = UpdateFeatureFlagRequest { id, feature_flag, update_mask, ..Default::default() };
    Ok(service.flags().update_feature_flag(request).await?.into_inner().feature_flag.unwrap())
}

async fn evaluated(service: &Service, key: &str) -> Result<EvaluatedFlag, Status> {
    let request = EvaluateFlagRequest {
        flag_key: key.into(),
        subject: Some(somebody()),
        ..Default::default()
    };
    let answer = service.evaluation_as(Some(&service.token)).evaluate_flag(request).await?;
    Ok(answer.into_inner().flag.unwrap())
}

fn somebody() -> EvaluationSubject {
    EvaluationSubject { distinct_id: "somebody".into(), ..Default::default() }
}

fn rollout(percent: f64) -> Option<Filters> {
    let group = ConditionGroup { rollout_percentage: Some(percent), ..Default::default() };
    Some(Filters { groups: vec![group], ..Default::default() })
}

async fn a_flag_lives_from_creation_to_deletion(service: &Service) {
    let made = create(service, FeatureFlagInput { filters: rollout(100.0), ..keyed("life") })
        .await
        .unwrap();
    assert_eq!((made.key.as_str(), made.version, made.active), ("life", Some(1), true));
    assert_eq!(made.status(), FeatureFlagStatus::Active);
    assert_eq!((made.can_edit, made.user_access_level.as_str()), (true, "editor"));
    assert_eq!(made.rollback_conditions_json, "null");
    assert_eq!(get(service, made.id).await.unwrap(), made);
    assert!(evaluated(service, "life").await.unwrap().enabled);

    let input = FeatureFlagInput { filters: rollout(0.0), ..named("A name") };
    let changed = update(service, made.id, input, None).await.unwrap();
    assert_eq!((changed.version, changed.name.as_str()), (Some(2), "A name"));
    assert_eq!(get(service, made.id).await.unwrap(), changed);
    let off = evaluated(service, "life").await.unwrap();
    assert_eq!((off.enabled, off.reason.unwrap().code.as_str()), (false, "out_of_rollout_bound"));

    let request = DeleteFeatureFlagRequest { id: made.id, ..Default::default() };
    let gone = service.flags().delete_feature_flag(request.clone()).await.unwrap().into_inner();
    let gone = gone.feature_flag.unwrap();
    assert_eq!((gone.deleted, gone.version), (true, Some(3)));
    assert_eq!(gone.status(), FeatureFlagStatus::Deleted);
    let again = service.flags().delete_feature_flag(request).await.unwrap().into_inner();
    assert_eq!(again.feature_flag, Some(gone.clone()), "deleting twice changes nothing more");
    assert_eq!(get(service, made.id).await.unwrap(), gone);
    assert_eq!(evaluated(service, "life").await.unwrap_err().code(), Code::NotFound);

    let reborn = create(service, keyed("life")).await.unwrap();
    assert_ne!(reborn.id, made.id);
    assert_eq!(get(service, made.id).await.unwrap_err().code(), Code::NotFound);
}

async fn lists_are_paged_by_token(service: &Service) {
    for key in ["a", "b", "c", "d", "e"] {
        create(service, keyed(key)).await.unwrap();
    }
    let (mut keys, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListFeatureFlagsRequest { page_size: 2, page_token, ..Default::default() };
        let page = service.flags().list_feature_flags(request).await.unwrap().into_inner();
        assert_eq!(page.total_size, 5);
        keys.extend(page.results.into_iter().map(|flag| flag.key));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((keys.join(""), pages), ("edcba".into(), 3), "newest first");
    let odd = [
        ListFeatureFlagsRequest { page_size: -1, ..Default::default() },
        ListFeatureFlagsRequest { page_token: "elsewhere".into(), ..Default::default() },
    ];
    for request in odd {
        let error = service.flags().list_feature_flags(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}

async fn a_mask_says_which_fields_are_meant(service: &Service) {
    let input =
        FeatureFlagInput { name: Some("before".into()), tags: vec!["x".into()], ..keyed("masked") };
    let id = create(service, input).await.unwrap().id;

    let ignored = FeatureFlagInput { active: Some(false), ..named("after") };
    let flag = update(service, id, ignored, mask(&["name"])).await.unwrap();
    assert_eq!((flag.name.as_str(), flag.active), ("after", true), "only what is masked is meant");

    let paths = ["evaluation_runtime", "bucketing_identifier", "tags"];
    let flag = update(service, id, named("ignored"), mask(&paths)).await.unwrap();
    assert_eq!((flag.evaluation_runtime, flag.bucketing_identifier), (None, None));
    assert_eq!((flag.tags, flag.name.as_str()), (vec![], "after"), "masked and unset is null");

    let flag = update(service, id, FeatureFlagInput::default(), None).await.unwrap();
    assert_eq!(flag.version, Some(4), "nothing meant still counts");

    let error = update(service, id, named("no key"), mask(&["*"])).await.unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::InvalidArgument, "required".into()));
    let flag = update(service, id, keyed("moved"), mask(&["*"])).await.unwrap();
    assert_eq!((flag.key.as_str(), flag.name.as_str(), flag.version), ("moved", "after", Some(5)));
}

async fn a_bad_mask_changes_nothing(service: &Service) {
    let made = create(service, keyed("steady")).await.unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["filters.groups"], "update_mask"),
        (&["nonsense"], "update_mask"),
        (&["name", "*"], "update_mask"),
        (&["key"], "key"),
        (&["active"], "active"),
    ];
    for (paths, blamed) in cases {
        let error = update(service, made.id, named("x"), mask(paths)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{paths:?}");
        assert_eq!(said(&error, "attr").as_deref(), Some(blamed), "{paths:?}");
    }
    assert_eq!(get(service, made.id).await.unwrap(), made);
    assert_eq!(service.totals().await, (1, 1));
}

async fn activity_is_listed_by_flag_and_by_project(service: &Service) {
    let id = create(service, keyed("watched")).await.unwrap().id;
    create(service, keyed("other")).await.unwrap();
    update(service, id, named("seen"), None).await.unwrap();
    update(service, id, named("seen"), None).await.unwrap();

    let request = ListFeatureFlagActivityRequest { id, page_size: 2, ..Default::default() };
    let page = service.flags().list_feature_flag_activity(request).await.unwrap().into_inner();
    assert_eq!((page.total_size, page.results.len()), (3, 2));
    let changes = page.results[1].detail.clone().unwrap().changes;
    let fields: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["name", "version"]);
    assert_eq!((changes[1].before_json.as_str(), changes[1].after_json.as_str()), ("1", "2"));
    let request = ListFeatureFlagActivityRequest {
        id,
        page_token: page.next_page_token,
        ..Default::default()
    };
    let last = service.flags().list_feature_flag_activity(request).await.unwrap().into_inner();
    assert_eq!((last.results[0].activity.as_str(), last.next_page_token.as_str()), ("created", ""));

    let request = ListActivityRequest::default();
    let all = service.flags().list_activity(request).await.unwrap().into_inner();
    let items: Vec<_> = all.results.iter().map(|row| row.item_id == id.to_string()).collect();
    assert_eq!((all.total_size, items), (4, vec![true, true, false, true]));
    assert_eq!(
        all.results[0].user.clone().unwrap().email,
        last.results[0].user.clone().unwrap().email
    );
}

async fn flags_are_evaluated_with_each_kind_of_credential(service: &Service) {
    let flag = create(service, FeatureFlagInput { filters: rollout(100.0), ..keyed("on") }).await;
    let id = flag.unwrap().id;
    create(service, FeatureFlagInput { filters: rollout(0.0), ..keyed("off") }).await.unwrap();
    for key in [&service.token, &service.secret, &service.key] {
        for project_id in ["", "@current", "1"] {
            let request = EvaluateFlagsRequest {
                project_id: project_id.into(),
                subject: Some(somebody()),
                ..Default::default()
            };
            let answer = service.evaluation_as(Some(key)).evaluate_flags(request).await.unwrap();
            let flags = answer.into_inner().flags;
            assert_eq!(flags.len(), 2);
            assert_eq!((flags["on"].enabled, flags["off"].enabled), (true, false));
            assert_eq!(flags["on"].metadata.as_ref().unwrap().id, id);
        }
    }
    let request = EvaluateFlagsRequest {
        subject: Some(somebody()),
        flag_keys: vec!["off".into(), "unknown".into()],
        ..Default::default()
    };
    let answer = service.evaluation_as(Some(&service.token)).evaluate_flags(request).await;
    assert_eq!(answer.unwrap().into_inner().flags.into_keys().collect::<Vec<_>>(), ["off"]);
    let nobody = [None, Some(EvaluationSubject::default())];
    for subject in nobody {
        let request = EvaluateFlagsRequest { subject, ..Default::default() };
        let answer = service.evaluation_as(Some(&service.token)).evaluate_flags(request).await;
        assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    }
}

async fn a_failure_carries_all_that_rest_would_say(service: &Service) {
    create(service, keyed("mine")).await.unwrap();
    let error = create(service, keyed("mine")).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.message(), "There is already a feature flag with this key.");
    let details = error.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("unique", "flagstaff"));
    let expected = [
        ("http_status", "400"),
        ("type", "validation_error"),
        ("attr", "key"),
        ("body", "envelope"),
    ];
    for (name, value) in expected {
        assert_eq!(info.metadata.get(name).map(String::as_str), Some(value), "{name}");
    }
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(
        (violation.field.as_str(), violation.description.as_str()),
        ("key", error.message())
    );
}

async fn what_is_not_there_is_not_found(service: &Service) {
    let errors = [
        get(service, 999_999).await.unwrap_err(),
        update(service, 999_999, named("x"), None).await.unwrap_err(),
        service
            .flags()
            .delete_feature_flag(DeleteFeatureFlagRequest { id: 999_999, ..Default::default() })
            .await
            .unwrap_err(),
        service
            .flags()
            .list_feature_flag_activity(ListFeatureFlagActivityRequest {
                id: 999_999,
                ..Default::default()
            })
            .await
            .unwrap_err(),
        service
            .flags()
            .list_feature_flags(ListFeatureFlagsRequest {
                project_id: "nonsense".into(),
                ..Default::default()
            })
            .await
            .unwrap_err(),
        evaluated(service, "unknown").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.code(), error.message()), (Code::NotFound, "Not found."));
        assert_eq!(said(&error, "http_status").as_deref(), Some("404"));
    }
}
