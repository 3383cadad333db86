//! Who holds a key, what hangs on a flag, and what may become of it (management-api 3.7 and 5).

use flagstaff::wire::v1::{
    ArchiveFeatureFlagRequest, DisableFeatureFlagRequest, EnableFeatureFlagRequest,
    FeatureFlagInput, ListDependentFlagsRequest, UnarchiveFeatureFlagRequest,
    UpdateFeatureFlagRequest,
};
use http::Method;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure, Write},
    grpc::mask,
    rest::told,
};

both_databases! {
    a_deleted_flag_gives_up_its_key_for_good,
    a_rename_follows_the_same_rules_as_a_creation,
    a_flag_whose_key_is_reused_takes_its_labels_along,
    a_key_that_a_live_product_still_needs_is_not_reused,
    what_holds_on_to_a_flag_keeps_it_from_deletion,
    a_flag_that_others_read_stays_on,
    a_flag_is_not_switched_on_before_what_it_reads,
    an_experiments_flag_is_renamed_when_deleted_and_named_back_when_restored,
    links_are_shown_in_the_flag,
    dependents_are_listed_by_key,
    switches_are_idempotent_and_refuse_deleted_flags,
    an_archived_flag_is_never_on_by_whatever_operation,
    archived_flags_are_off_and_out_of_sight,
}

const DELETED: fn(bool) -> Value = |deleted| json!({"deleted": deleted});

fn reads(ids: &[i64]) -> Value {
    let property = |id: &i64| {
        json!({"key": id.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true})
    };
    json!({"groups": [{"properties": ids.iter().map(property).collect::<Vec<_>>()}]})
}

async fn keyed(service: &Service, key: &str) -> i64 {
    service.create(json!({"key": key})).await.0
}

async fn reader(service: &Service, key: &str, of: &[i64]) -> i64 {
    service.create(json!({"key": key, "filters": reads(of)})).await.0
}

/// The status, and a field of the answer.
async fn answered(service: &Service, id: i64, field: &str) -> (u16, Value) {
    let (status, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    (status, flag[field].clone())
}

async fn a_deleted_flag_gives_up_its_key_for_good(service: &Service) {
    for edge in EDGES {
        let key = format!("again-{edge:?}");
        let old = keyed(service, &key).await;
        service.patch(old, DELETED(true)).await;
        let made = service.write(edge, Write::Create, &json!({"key": key})).await.unwrap().unwrap();
        assert_eq!((&made["key"], &made["version"]), (&json!(key), &json!(1)));
        assert_eq!(answered(service, old, "key").await.0, 404, "its number is gone");
        assert_eq!(service.patch(old, DELETED(false)).await.0, 404);
        let (_, rows) = service.get(&format!("{FLAGS}activity/?limit=3")).await;
        let told: Vec<_> = rows["results"].as_array().unwrap().iter().map(|r| told(r).0).collect();
        assert_eq!(told, ["created", "deleted", "created"], "its rows are not");
    }
    // A survey is not among what keeps a deleted flag's row (3.7, create).
    let surveyed = keyed(service, "surveyed").await;
    service.link(surveyed, "survey", 1, "draft").await;
    service.patch(surveyed, DELETED(true)).await;
    keyed(service, "surveyed").await;
    assert_eq!(answered(service, surveyed, "key").await.0, 404);
}

async fn a_rename_follows_the_same_rules_as_a_creation(service: &Service) {
    let (id, live, gone) =
        (keyed(service, "mine").await, keyed(service, "live").await, keyed(service, "gone").await);
    let unique = Failure::field("key", "unique", "There is already a feature flag with this key.");
    service.refuses(Write::Patch(id), &json!({"key": "live"}), &unique).await;
    service.patch(gone, DELETED(true)).await;
    let (status, flag) = service.patch(id, json!({"key": "gone"})).await;
    assert_eq!((status, &flag["key"]), (200, &json!("gone")));
    assert_eq!(answered(service, gone, "key").await.0, 404);
    let newest = service.history(id).await.remove(0);
    assert_eq!(newest, ("updated".into(), vec!["key".into(), "version".into()]));
    service.patch(live, json!({"key": "mine"})).await;
    // A softly deleted flag may be changed too, and its key is still its own.
    service.patch(live, DELETED(true)).await;
    let (status, flag) = service.patch(live, json!({"name": "still here"})).await;
    assert_eq!((status, &flag["key"], &flag["version"]), (200, &json!("mine"), &json!(4)));
}

async fn a_flag_whose_key_is_reused_takes_its_labels_along(service: &Service) {
    let labels = json!({"tags": ["only-here", "shared"], "evaluation_contexts": ["web"]});
    let labelled = |key: &str| {
        let mut body = labels.clone();
        body["key"] = json!(key);
        body
    };
    let (gone, _) = service.create(labelled("gone")).await;
    let (stays, _) = service.create(json!({"key": "stays", "tags": ["shared"]})).await;
    service.patch(gone, DELETED(true)).await;
    let (_, anew) = service.create(json!({"key": "gone"})).await;
    assert_eq!((&anew["tags"], &anew["evaluation_contexts"]), (&json!([]), &json!([])));
    let links = |table: &str| format!("{table} WHERE flag_id = {gone}");
    assert_eq!(service.count(&links("feature_flag_tag")).await, 0);
    assert_eq!(service.count(&links("feature_flag_evaluation_context")).await, 0);
    assert_eq!(service.count("tag WHERE name = 'only-here'").await, 0);
    assert_eq!(service.count("evaluation_context").await, 0);
    assert_eq!(answered(service, stays, "tags").await, (200, json!(["shared"])));
}

async fn a_key_that_a_live_product_still_needs_is_not_reused(service: &Service) {
    let held = keyed(service, "held").await;
    service.patch(held, DELETED(true)).await;
    for (kind, number) in [("experiment", 2), ("experiment", 1), ("early_access", 3)] {
        service.link(held, kind, number, "draft").await;
    }
    let refusal = Failure::rule(
        "Cannot reuse key 'held': a soft-deleted flag with this key is still referenced by \
         active experiment(s) with ID(s): 1, 2 and 1 early access feature(s). \
         Please contact support.",
    );
    let other = keyed(service, "other").await;
    service.refuses(Write::Create, &json!({"key": "held"}), &refusal).await;
    service.refuses(Write::Patch(other), &json!({"key": "held"}), &refusal).await;
    let blocked = service.write_grpc(Write::Create, &json!({"key": "held"})).await.unwrap();
    assert_eq!(blocked.unwrap_err().code(), Code::FailedPrecondition);
    service.execute("UPDATE flag_link SET deleted = true").await;
    keyed(service, "held").await;
    let kept = answered(service, held, "key").await;
    assert_eq!(kept, (200, json!(format!("held:deleted:{held}"))), "what was linked is kept");
}

async fn what_holds_on_to_a_flag_keeps_it_from_deletion(service: &Service) {
    let early = "Cannot delete a feature flag that is in use with early access features. \
                 Please delete the early access feature before deleting the flag.";
    let running = "Cannot delete a feature flag that is linked to running experiment(s): \
                   \"Link 7\" (ID: 7). Please stop the experiment(s) before deleting the flag.";
    let replay = "This feature flag is used in session replay settings. \
                  Please remove it from replay settings before deleting.";
    let cases = [
        ("experiment", "running", Some(running)),
        ("experiment", "draft", None),
        ("experiment", "stopped", None),
        ("experiment", "deleted", None),
        ("early_access", "draft", Some(early)),
        ("early_access", "deleted", None),
        ("survey", "draft", None),
        ("replay", "draft", Some(replay)),
        ("replay", "deleted", None),
    ];
    for (kind, state, refusal) in cases {
        let id = keyed(service, &format!("{kind}-{state}")).await;
        service.link(id, kind, 7, state).await;
        match refusal {
            Some(detail) => {
                service.refuses(Write::Patch(id), &DELETED(true), &Failure::rule(detail)).await;
                let blocked = service.write_grpc(Write::Patch(id), &DELETED(true)).await.unwrap();
                assert_eq!(blocked.unwrap_err().code(), Code::FailedPrecondition);
            }
            None => assert_eq!(service.patch(id, DELETED(true)).await.0, 200, "{kind} {state}"),
        }
    }
    // Where several are in the way, they are named in the documented order.
    let id = keyed(service, "all").await;
    let first = reader(service, "first", &[id]).await;
    let dependents = format!(
        "Cannot delete this feature flag because other flags depend on it: first (ID: {first}). \
         Please update or disable the dependent flags first."
    );
    let order = [
        ("replay", "draft", dependents.as_str()),
        ("experiment", "running", running),
        ("early_access", "draft", early),
    ];
    for (kind, state, detail) in order {
        service.link(id, kind, 7, state).await;
        service.refuses(Write::Patch(id), &DELETED(true), &Failure::rule(detail)).await;
    }
}

async fn a_flag_that_others_read_stays_on(service: &Service) {
    let id = keyed(service, "base").await;
    let mut readers = Vec::new();
    for number in (1..=8).rev() {
        readers.push(reader(service, &format!("r{number}"), &[id]).await);
    }
    readers.reverse();
    let off = readers.pop().unwrap();
    service.patch(off, json!({"active": false})).await;
    let refused = |verb: &str, readers: &[i64]| {
        let named = readers.iter().enumerate().take(5);
        let mut names: Vec<_> = named.map(|(n, id)| format!("r{} (ID: {id})", n + 1)).collect();
        if readers.len() > 5 {
            names.push(format!("and {} more", readers.len() - 5));
        }
        Failure::rule(&format!(
            "Cannot {verb} this feature flag because other flags depend on it: {}. \
             Please update or disable the dependent flags first.",
            names.join(", ")
        ))
    };
    let disable = json!({"active": false});
    service.refuses(Write::Patch(id), &DELETED(true), &refused("delete", &readers)).await;
    service.refuses(Write::Patch(id), &disable, &refused("disable", &readers)).await;
    for gone in readers.drain(5..) {
        service.patch(gone, DELETED(true)).await;
    }
    service.refuses(Write::Patch(id), &disable, &refused("disable", &readers)).await;
    for (n, reader) in readers.into_iter().enumerate() {
        let body =
            if n % 2 == 0 { json!({"active": false}) } else { json!({"filters": reads(&[])}) };
        assert_eq!(service.patch(reader, body).await.0, 200);
    }
    assert_eq!(service.patch(id, disable).await.0, 200);
    assert_eq!(service.patch(id, DELETED(true)).await.0, 200);
}

async fn a_flag_is_not_switched_on_before_what_it_reads(service: &Service) {
    let mut ids = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        ids.push(keyed(service, key).await);
    }
    let id = reader(service, "reader", &ids).await;
    service.patch(id, json!({"active": false})).await;
    service.patch(ids[0], json!({"active": false})).await;
    let refused = |named: String| {
        Failure::rule(&format!(
            "Cannot enable this feature flag because it depends on disabled flags: {named}. \
             Please enable the dependency flags first."
        ))
    };
    let enable = json!({"active": true});
    let one = refused(format!("a (ID: {})", ids[0]));
    service.refuses(Write::Patch(id), &enable, &one).await;
    for off in &ids[1..] {
        service.patch(*off, json!({"active": false})).await;
    }
    let named = ["a", "b", "c", "d", "e"].iter().zip(&ids);
    let named: Vec<_> = named.map(|(key, id)| format!("{key} (ID: {id})")).collect();
    let all = refused(format!("{}, and 1 more", named.join(", ")));
    service.refuses(Write::Patch(id), &enable, &all).await;
    assert_eq!(service.patch(id, json!({"name": "x"})).await.0, 200, "it may be changed");
    for off in ids {
        service.patch(off, json!({"active": true})).await;
    }
    assert_eq!(service.patch(id, enable).await.0, 200);
}

async fn an_experiments_flag_is_renamed_when_deleted_and_named_back_when_restored(
    service: &Service,
) {
    for (state, key) in [("stopped", "s"), ("draft", "d"), ("deleted", "x")] {
        let id = keyed(service, key).await;
        service.link(id, "experiment", 1, state).await;
        let away = format!("{key}:deleted:{id}");
        let (_, flag) = service.patch(id, DELETED(true)).await;
        assert_eq!(flag["key"], away, "{state}");
        let newest = service.history(id).await.remove(0);
        let fields = ["key", "deleted", "version"].map(str::to_owned).to_vec();
        assert_eq!(newest, ("deleted".into(), fields.clone()));
        let (_, flag) = service.patch(id, DELETED(false)).await;
        assert_eq!((&flag["key"], &flag["version"]), (&json!(key), &json!(3)));
        assert_eq!(service.history(id).await.remove(0), ("restored".into(), fields));
        // Others may have taken the key meanwhile, softly deleted ones included.
        service.patch(id, DELETED(true)).await;
        keyed(service, key).await;
        let second = keyed(service, &format!("{key}-2")).await;
        service.patch(second, DELETED(true)).await;
        let (_, flag) = service.patch(id, DELETED(false)).await;
        assert_eq!(flag["key"], format!("{key}-3"), "{state}");
    }
    let plain = keyed(service, "plain").await;
    let (_, flag) = service.patch(plain, DELETED(true)).await;
    assert_eq!(flag["key"], "plain", "without an experiment the key stays");
}

async fn links_are_shown_in_the_flag(service: &Service) {
    let id = keyed(service, "linked").await;
    let links = [
        ("experiment", 4, "running"),
        ("experiment", 2, "stopped"),
        ("experiment", 3, "deleted"),
        ("early_access", 5, "draft"),
        ("early_access", 6, "deleted"),
        ("survey", 7, "draft"),
        ("survey", 8, "deleted"),
        ("replay", 9, "deleted"),
    ];
    for (kind, number, state) in links {
        service.link(id, kind, number, state).await;
    }
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!(flag["experiment_set"], json!([2, 4]));
    let numbers = |list: &Value| {
        list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&flag["experiment_set_metadata"]), [2, 4]);
    assert_eq!(flag["experiment_set_metadata"][0]["name"], "Link 2");
    assert_eq!((numbers(&flag["features"]), numbers(&flag["surveys"])), (vec![5], vec![7]));
    assert_eq!(flag["is_used_in_replay_settings"], false);
    service.link(id, "replay", 10, "draft").await;
    let (_, list) = service.get(FLAGS).await;
    assert_eq!(list["results"][0]["is_used_in_replay_settings"], true);
    assert_eq!(list["results"][0]["experiment_set"], json!([2, 4]), "lists show the same");
    let (_, changed) = service.patch(id, json!({"name": "x"})).await;
    assert_eq!(changed["experiment_set"], json!([2, 4]), "and so do answers to writes");
}

async fn dependents_are_listed_by_key(service: &Service) {
    let id = keyed(service, "base").await;
    let none = service.get(&format!("{FLAGS}{id}/dependent_flags/")).await;
    assert_eq!(none, (200, json!([])));
    let b = reader(service, "b", &[id]).await;
    let body = json!({"key": "a", "name": "Called A", "filters": reads(&[id])});
    let (a, _) = service.create(body).await;
    let off = reader(service, "off", &[id]).await;
    service.patch(off, json!({"active": false})).await;
    let gone = reader(service, "gone", &[id]).await;
    service.patch(gone, DELETED(true)).await;
    let expected = json!([{"id": a, "key": "a", "name": "Called A"},
        {"id": b, "key": "b", "name": "b"}]);
    assert_eq!(service.get(&format!("{FLAGS}{id}/dependent_flags")).await, (200, expected));
    let request = ListDependentFlagsRequest { id, ..Default::default() };
    let answer = service.flags().list_dependent_flags(request).await.unwrap().into_inner();
    let keys: Vec<_> = answer.flags.iter().map(|flag| (flag.id, flag.name.as_str())).collect();
    assert_eq!((keys, answer.total_size), (vec![(a, "Called A"), (b, "b")], 2));
    assert_eq!(service.get(&format!("{FLAGS}999999/dependent_flags/")).await.0, 404);
}

async fn switches_are_idempotent_and_refuse_deleted_flags(service: &Service) {
    let id = keyed(service, "switch").await;
    let call = async |verb: &str| {
        let path = format!("{FLAGS}{id}/{verb}/");
        let answer = service.call(Method::POST, &path, Some(&service.key), None).await;
        (answer.status, answer.json())
    };
    let steps = [
        ("enable", true, false, 1),
        ("disable", false, false, 2),
        ("disable", false, false, 2),
        ("enable", true, false, 3),
        ("unarchive", true, false, 3),
        ("disable", false, false, 4),
        ("archive", false, true, 5),
        ("archive", false, true, 5),
        ("disable", false, true, 5),
        ("unarchive", false, false, 6),
    ];
    for (verb, active, archived, version) in steps {
        let (status, flag) = call(verb).await;
        let state = (status, &flag["active"], &flag["archived"], &flag["version"]);
        assert_eq!(state, (200, &json!(active), &json!(archived), &json!(version)), "{verb}");
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1, flag);
    }
    let mut flags = service.flags();
    macro_rules! switch {
        ($method:ident, $request:ident) => {
            flags.$method($request { id, ..Default::default() }).await.map(|answer| {
                let flag = answer.into_inner().feature_flag.unwrap();
                (flag.active, flag.archived, flag.version)
            })
        };
    }
    let archived = switch!(archive_feature_flag, ArchiveFeatureFlagRequest).unwrap();
    assert_eq!(archived, (false, true, Some(7)));
    let open = switch!(unarchive_feature_flag, UnarchiveFeatureFlagRequest).unwrap();
    assert_eq!(open, (false, false, Some(8)));
    let on = switch!(enable_feature_flag, EnableFeatureFlagRequest).unwrap();
    assert_eq!(on, (true, false, Some(9)));
    let off = switch!(disable_feature_flag, DisableFeatureFlagRequest).unwrap();
    assert_eq!(off, (false, false, Some(10)));
    service.patch(id, DELETED(true)).await;
    let verbs = [
        ("enable", "enabling"),
        ("disable", "disabling"),
        ("archive", "archiving"),
        ("unarchive", "unarchiving"),
    ];
    for (verb, doing) in verbs {
        let text = format!("This feature flag has been deleted. Restore it before {doing} it.");
        assert_eq!(call(verb).await, (400, json!({"success": false, "error": text})), "{verb}");
    }
    let error = switch!(enable_feature_flag, EnableFeatureFlagRequest).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(answered(service, id, "version").await, (200, json!(11)), "nothing was written");
    // What depends on a flag is looked at here too.
    let base = keyed(service, "base").await;
    reader(service, "reader", &[base]).await;
    for verb in ["disable", "archive"] {
        let path = format!("{FLAGS}{base}/{verb}/");
        let answer = service.call(Method::POST, &path, Some(&service.key), None).await;
        assert_eq!(answer.status, 400, "{verb}: {}", answer.text);
    }
}

async fn an_archived_flag_is_never_on_by_whatever_operation(service: &Service) {
    let (on, archived) = (keyed(service, "on").await, keyed(service, "archived").await);
    service.patch(archived, json!({"active": false, "archived": true})).await;
    let cases = [
        (on, "archive", "archived", "Cannot archive an enabled feature flag. Disable it first."),
        (
            archived,
            "enable",
            "active",
            "Cannot enable an archived feature flag. Unarchive it first.",
        ),
    ];
    for (id, verb, field, text) in cases {
        let before = service.get(&format!("{FLAGS}{id}/")).await;
        let (status, body) = service.patch(id, json!({field: true})).await;
        assert_eq!(Failure::of_rest(status, &body), Failure::rule(text), "PATCH {field}");
        let path = format!("{FLAGS}{id}/{verb}/");
        let answer = service.call(Method::POST, &path, Some(&service.key), None).await;
        let expected = json!({"success": false, "error": text});
        assert_eq!((answer.status, answer.json()), (400, expected), "{verb}");
        let error = match verb {
            "archive" => {
                let request = ArchiveFeatureFlagRequest { id, ..Default::default() };
                service.flags().archive_feature_flag(request).await.unwrap_err()
            }
            _ => {
                let request = EnableFeatureFlagRequest { id, ..Default::default() };
                service.flags().enable_feature_flag(request).await.unwrap_err()
            }
        };
        assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, text));
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await, before, "nothing was written");
    }
    let active = FeatureFlagInput { active: Some(true), ..Default::default() };
    let request = UpdateFeatureFlagRequest {
        id: archived,
        feature_flag: Some(active),
        update_mask: mask(&["active"]),
        ..Default::default()
    };
    let error = service.flags().update_feature_flag(request).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, cases[1].3));
    let body = json!({"key": "born-archived", "archived": true});
    let (status, body) = service.rest(Method::POST, FLAGS, body).await;
    assert_eq!(Failure::of_rest(status, &body), Failure::rule(cases[0].3), "new flags are on");
}

async fn archived_flags_are_off_and_out_of_sight(service: &Service) {
    let (away, here) = (keyed(service, "away").await, keyed(service, "here").await);
    service.patch(away, json!({"active": false})).await;
    service.rest(Method::POST, &format!("{FLAGS}{away}/archive/"), json!({})).await;
    let cases = [("", vec![here]), ("?archived=true", vec![away]), ("?archived=false", vec![here])];
    for (query, expected) in cases {
        let (_, list) = service.get(&format!("{FLAGS}{query}")).await;
        let ids: Vec<_> =
            list["results"].as_array().unwrap().iter().map(|f| f["id"].clone()).collect();
        assert_eq!(
            (json!(ids), &list["count"]),
            (json!(expected), &json!(expected.len())),
            "{query}"
        );
    }
    // 3.1: an archived flag must be inactive, whichever way it is written.
    let bodies = [(away, json!({"active": true})), (here, json!({"archived": true}))];
    for (id, body) in bodies {
        service.patch(id, body.clone()).await;
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        let both = flag["active"] == true && flag["archived"] == true;
        assert!(!both, "{body} made an archived flag that is on");
    }
}
