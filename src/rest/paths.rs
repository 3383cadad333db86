//! Reads the REST paths from the contract's `google.api.http` options.

use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

use crate::wire;

/// One way to reach an RPC over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The RPC's full name, such as `flagstaff.v1.FeatureFlagService.GetFeatureFlag`.
    pub rpc: String,
    /// The verb.
    pub method: Method,
    /// The path, with `{names}` for its parts and no slash at the end.
    pub path: String,
    /// The field of the request that is the body; `*` is all that is not in the path. `None`: no body.
    pub body: Option<String>,
    /// The field of the answer that is the body; `None` is the whole answer.
    pub response_body: Option<String>,
}

/// Every binding of the contract.
///
/// # Panics
///
/// When the embedded descriptors cannot be read, which the build has proved they can.
#[must_use]
pub fn bindings() -> Vec<Binding> {
    let pool =
        DescriptorPool::decode(wire::DESCRIPTORS).expect("the embedded descriptors are whole");
    let http = pool.get_extension_by_name("google.api.http").expect("the contract imports it");
    let of_method = |method: MethodDescriptor| {
        let options = method.options();
        let rule = options.has_extension(&http).then(|| options.get_extension(&http).into_owned());
        match rule {
            Some(Value::Message(rule)) => of_rule(method.full_name(), &rule),
            _ => Vec::new(),
        }
    };
    pool.services()
        .flat_map(|service| service.methods().flat_map(of_method).collect::<Vec<_>>())
        .collect()
}

fn of_rule(rpc: &str, rule: &DynamicMessage) -> Vec<Binding> {
    let mut bindings: Vec<_> = of_pattern(rpc, rule).into_iter().collect();
    if let Some(Value::List(more)) = rule.get_field_by_name("additional_bindings").as_deref() {
        bindings.extend(more.iter().filter_map(|rule| of_pattern(rpc, rule.as_message()?)));
    }
    bindings
}

fn of_pattern(rpc: &str, rule: &DynamicMessage) -> Option<Binding> {
    let verbs = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    verbs.into_iter().find_map(|(field, method)| {
        let pattern = rule.get_field_by_name(field)?;
        let path = pattern.as_str().filter(|path| !path.is_empty())?;
        let named = |field: &str| {
            let value = rule.get_field_by_name(field)?;
            value.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
        };
        Some(Binding {
            rpc: rpc.to_owned(),
            method,
            path: path.to_owned(),
            body: named("body"),
            response_body: named("response_body"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_read_additional_ones_included() {
        let bindings = bindings();
        let update = "flagstaff.v1.FeatureFlagService.UpdateFeatureFlag";
        let verbs: Vec<_> =
            bindings.iter().filter(|b| b.rpc == update).map(|b| b.method.clone()).collect();
        assert_eq!(verbs, [Method::PATCH, Method::PUT]);
        assert!(bindings.iter().all(|b| b.path.starts_with("/api/") && !b.path.ends_with('/')));
        assert!(!bindings.iter().any(|b| b.rpc.ends_with("DeleteFeatureFlag")));
    }
}
