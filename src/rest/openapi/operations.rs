//! The management paths, from the RPCs that they are bound to.

use std::collections::HashSet;

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MethodDescriptor};
use serde_json::{Value, json};

use super::{
    comments::{Commented, first_sentence},
    schemas::{Schemas, name},
};
use crate::{
    model::json::Object,
    rest::paths::{Binding, bindings},
};

/// What gRPC pages by, or asks with; REST has a query or a header of its own for each.
const NOT_ASKED: [&str; 3] = ["page_size", "page_token", "if_none_match"];
/// The one parameter that may come several times; other lists are JSON texts.
const SEVERAL: &str = "flag_keys";

/// One tag for each service that has paths, and one for what SDKs call.
pub(super) fn tags(pool: &DescriptorPool) -> Value {
    let bound: HashSet<String> = bindings().into_iter().map(|binding| binding.rpc).collect();
    let sdks = json!({"name": "SDKs", "description": "What PostHog's SDKs call"});
    pool.services()
        .filter(|service| service.methods().any(|method| bound.contains(method.full_name())))
        .map(|service| {
            json!({"name": service.name(), "description": first_sentence(&service.comment())})
        })
        .chain([sdks])
        .collect()
}

/// Every path of the contract, with its verbs.
pub(super) fn paths(pool: &DescriptorPool, schemas: &mut Schemas) -> Object {
    let (mut paths, mut seen) = (Object::new(), HashSet::new());
    for binding in bindings() {
        let (service, short) = binding.rpc.rsplit_once('.').unwrap_or_default();
        let method = pool
            .get_service_by_name(service)
            .and_then(|service| service.methods().find(|method| method.name() == short));
        let Some(method) = method else { continue };
        let is_first = seen.insert(binding.rpc.clone());
        let operation = operation(&binding, &method, is_first, schemas);
        let verb = binding.method.as_str().to_ascii_lowercase();
        let path = paths.entry(format!("{}/", binding.path)).or_insert_with(|| json!({}));
        path[verb] = operation;
    }
    paths
}

fn operation(
    binding: &Binding,
    method: &MethodDescriptor,
    is_first: bool,
    schemas: &mut Schemas,
) -> Value {
    let comment = method.comment();
    // The second verb of one RPC.
    let suffix = if is_first { String::new() } else { format!("By{}", binding.method) };
    let mut operation = json!({
        "operationId": format!("{}{suffix}", method.name()),
        "tags": [method.parent_service().name()],
        "summary": first_sentence(&comment),
        "description": comment,
        "parameters": parameters(binding, method, schemas),
        "responses": responses(binding, method, schemas),
    });
    if let Some(body) = request_body(binding, method, schemas) {
        operation["requestBody"] = body;
    }
    operation
}

fn in_path(binding: &Binding) -> Vec<&str> {
    binding.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

fn parameters(binding: &Binding, method: &MethodDescriptor, schemas: &mut Schemas) -> Vec<Value> {
    let (input, parts) = (method.input(), in_path(binding));
    let mut parameters: Vec<Value> = parts
        .iter()
        .map(|part| {
            let field = input.get_field_by_name(part);
            json!({
                "name": part,
                "in": "path",
                "required": true,
                "description": field.as_ref().map(Commented::comment).unwrap_or_default(),
                "schema": {"type": "string"},
            })
        })
        .collect();
    if binding.body.is_some() {
        return parameters;
    }
    let asked = input
        .fields()
        .filter(|field| !parts.contains(&field.name()) && !NOT_ASKED.contains(&field.name()));
    parameters.extend(asked.map(|field| query(&field, schemas)));
    if input.get_field_by_name("page_token").is_some() {
        let place = if is_activity(method) { "page" } else { "offset" };
        for (name, what) in [("limit", "Results in one page."), (place, "Where it begins.")] {
            let schema = json!({"type": "integer", "format": "int64"});
            parameters
                .push(json!({"name": name, "in": "query", "description": what, "schema": schema}));
        }
    }
    parameters
}

fn query(field: &FieldDescriptor, schemas: &mut Schemas) -> Value {
    let (name, mut comment) = (name(field), field.comment());
    let schema = match field.cardinality() {
        Cardinality::Repeated if name == SEVERAL => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        Cardinality::Repeated => {
            comment += " As a JSON list.";
            json!({"type": "string"})
        }
        _ => {
            let mut schema = schemas.field(field);
            if let Some(schema) = schema.as_object_mut() {
                schema.shift_remove("description");
            }
            schema
        }
    };
    json!({"name": name, "in": "query", "description": comment, "schema": schema})
}

fn request_body(
    binding: &Binding,
    method: &MethodDescriptor,
    schemas: &mut Schemas,
) -> Option<Value> {
    let input = method.input();
    let schema = match binding.body.as_deref()? {
        "*" => schemas.object(&input, &in_path(binding)),
        field => match input.get_field_by_name(field)?.kind() {
            Kind::Message(message) => schemas.message(&message),
            _ => json!({}),
        },
    };
    Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
}

fn responses(binding: &Binding, method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let (status, what) = match method.name() {
        "CreateFeatureFlag" | "CreateCohort" => ("201", "Made."),
        "DeletePerson" => ("204", "Done."),
        _ => ("200", "Done."),
    };
    let mut answer = json!({"description": what});
    if status != "204" {
        let schema = answered(binding, method, schemas);
        answer["content"] = json!({"application/json": {"schema": schema}});
    }
    json!({status: answer, "default": {"$ref": "#/components/responses/Error"}})
}

fn answered(binding: &Binding, method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let output = method.output();
    if let Some(field) = &binding.response_body {
        let field = output.get_field_by_name(field);
        return match field.as_ref().map(|field| (field, field.kind())) {
            // An answer is never null as a whole.
            Some((field, Kind::Message(message))) if !field.is_list() && !field.is_map() => {
                schemas.message(&message)
            }
            Some((field, _)) => schemas.field(field),
            None => json!({}),
        };
    }
    // The one list that is never long enough for a second page.
    let is_list =
        output.get_field_by_name("next_page_token").is_some() || method.name() == "ListGroupTypes";
    match output.get_field_by_name("results") {
        Some(results) if is_list => page(&results, is_activity(method), schemas),
        _ => schemas.object(&output, &[]),
    }
}

/// What lists answer in place of page tokens.
fn page(results: &FieldDescriptor, is_activity: bool, schemas: &mut Schemas) -> Value {
    let link =
        |what: &str| json!({"type": ["string", "null"], "format": "uri", "description": what});
    let total = if is_activity { "total_count" } else { "count" };
    json!({
        "type": "object",
        "required": [total, "next", "previous", "results"],
        "properties": {
            total: {"type": "integer", "format": "int64", "description": "Results in all pages."},
            "next": link("The page after this one."),
            "previous": link("The page before this one."),
            "results": schemas.field(results),
        },
    })
}

fn is_activity(method: &MethodDescriptor) -> bool {
    method.name().contains("Activity")
}
