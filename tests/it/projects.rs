//! Projects made and listed over gRPC, and by whom.

use flagstaff::wire::v1::{
    CreateProjectRequest, CreateProjectResponse, EvaluateFlagsRequest, EvaluationSubject,
    GetProjectRequest, ListProjectsRequest, ListProjectsResponse, ProjectInput,
};
use tonic::{Code, Status};

use crate::support::{
    Service,
    grpc::{reason, said},
};

both_databases! {
    a_project_is_made_whole_and_served_at_once,
    a_project_begins_with_the_documented_settings,
    a_bad_project_is_refused_and_nothing_is_made,
    only_a_key_for_all_projects_makes_one,
    a_list_holds_what_the_credential_opens,
    a_list_is_paged,
}

async fn create(
    service: &Service,
    key: &str,
    project: ProjectInput,
) -> Result<CreateProjectResponse, Status> {
    let request = CreateProjectRequest { project: Some(project) };
    service.projects_as(Some(key)).create_project(request).await.map(tonic::Response::into_inner)
}

async fn list(service: &Service, key: &str, page_size: i32, token: &str) -> ListProjectsResponse {
    let request = ListProjectsRequest { page_size, page_token: token.into() };
    service.projects_as(Some(key)).list_projects(request).await.unwrap().into_inner()
}

fn named(name: &str) -> ProjectInput {
    ProjectInput { name: Some(name.into()), ..Default::default() }
}

async fn a_project_is_made_whole_and_served_at_once(service: &Service) {
    let wanted = ProjectInput {
        timezone: Some("Pacific/Auckland".into()),
        property_matching_version: Some(2),
        feature_flag_limit: Some(7),
        require_evaluation_contexts: Some(true),
        ..named(" Web ")
    };
    let made = create(service, &service.key, wanted).await.unwrap();
    let project = made.project.unwrap();
    assert_eq!((project.name.as_str(), project.organization_id), ("Web", 1));
    assert_eq!((project.timezone.as_str(), project.feature_flag_limit), ("Pacific/Auckland", 7));
    assert!(project.require_evaluation_contexts && project.property_matching_version == 2);
    assert!(project.api_token.starts_with("phc_"), "{}", project.api_token);
    assert!(made.secret_api_token.starts_with("phs_"));

    let request = GetProjectRequest { project_id: project.id.to_string() };
    let read = service.projects_as(Some(&service.key)).get_project(request).await.unwrap();
    assert_eq!(read.into_inner().project, Some(project.clone()));
    for credential in [&project.api_token, &made.secret_api_token] {
        let subject = Some(EvaluationSubject { distinct_id: "x".into(), ..Default::default() });
        let request = EvaluateFlagsRequest { subject, ..Default::default() };
        let answer = service.evaluation_as(Some(credential)).evaluate_flags(request).await;
        assert_eq!(answer.unwrap().into_inner().flags.len(), 0);
    }
}

async fn a_project_begins_with_the_documented_settings(service: &Service) {
    let made = create(service, &service.key, named("Web")).await.unwrap().project.unwrap();
    assert_eq!((made.timezone.as_str(), made.property_matching_version), ("UTC", 1));
    assert_eq!((made.feature_flag_limit, made.require_evaluation_contexts), (2000, false));
    assert_eq!(service.new_project("Other").0, made.id + 1, "the command line makes the same");
    let listed = list(service, &service.key, 0, "").await.results;
    let like = |project: &flagstaff::wire::v1::Project| {
        (project.timezone.clone(), project.feature_flag_limit, project.property_matching_version)
    };
    assert_eq!(like(&listed[1]), like(&listed[2]));
}

async fn a_bad_project_is_refused_and_nothing_is_made(service: &Service) {
    let cases = [
        (ProjectInput::default(), "required", "name"),
        (named("  "), "blank", "name"),
        (named(&"x".repeat(201)), "max_length", "name"),
        (named("a\0b"), "null_characters_not_allowed", "name"),
        (
            ProjectInput { timezone: Some("Mars/Base".into()), ..named("x") },
            "invalid_choice",
            "timezone",
        ),
        (
            ProjectInput { property_matching_version: Some(3), ..named("x") },
            "invalid_choice",
            "property_matching_version",
        ),
        (
            ProjectInput { feature_flag_limit: Some(-1), ..named("x") },
            "min_value",
            "feature_flag_limit",
        ),
    ];
    for (project, code, attr) in cases {
        let error = create(service, &service.key, project.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{project:?}");
        assert_eq!((reason(&error).as_str(), said(&error, "attr")), (code, Some(attr.into())));
    }
    let nothing = CreateProjectRequest { project: None };
    let error = service.projects_as(Some(&service.key)).create_project(nothing).await.unwrap_err();
    assert_eq!(reason(&error), "required");
    assert_eq!(list(service, &service.key, 0, "").await.total_size, 1);
}

async fn only_a_key_for_all_projects_makes_one(service: &Service) {
    let key = service.new_key("--project 1 --scopes *");
    let error = create(service, &key, named("mine")).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(error.message(), "Creating a project needs an API key for all projects.");
    assert_eq!(list(service, &service.key, 0, "").await.total_size, 1);
    let key = service.new_key("--all-projects --scopes project:write");
    create(service, &key, named("ours")).await.unwrap();
    assert_eq!(list(service, &service.key, 0, "").await.total_size, 2);
}

async fn a_list_holds_what_the_credential_opens(service: &Service) {
    let (other, _) = service.new_project("Other");
    let (third, _) = service.new_project("Third");
    let ids = async |key: &str| {
        let listed = list(service, key, 0, "").await;
        let ids: Vec<_> = listed.results.iter().map(|project| project.id).collect();
        assert_eq!(usize::try_from(listed.total_size).unwrap(), ids.len());
        ids
    };
    assert_eq!(ids(&service.key).await, [1, other, third]);
    let one = service.new_key(&format!("--project {third} --scopes project:read"));
    assert_eq!(ids(&one).await, [third]);
    let two = service.new_key(&format!("--project {third} --project 1 --scopes project:read"));
    assert_eq!(ids(&two).await, [1, third]);
}

async fn a_list_is_paged(service: &Service) {
    for name in ["two", "three", "four", "five"] {
        create(service, &service.key, named(name)).await.unwrap();
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(service, &service.key, 2, &token).await;
        assert_eq!(page.total_size, 5);
        names.extend(page.results.into_iter().map(|project| project.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["Default project", "two", "three", "four", "five"]);
    for (page_size, page_token) in [(-1, ""), (1, "elsewhere")] {
        let request = ListProjectsRequest { page_size, page_token: page_token.into() };
        let error = service.projects_as(Some(&service.key)).list_projects(request).await;
        assert_eq!(error.unwrap_err().code(), Code::InvalidArgument);
    }
}
