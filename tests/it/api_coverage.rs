//! Keeps `docs/api-coverage.md` true: against the contract, the table of operations, and the
//! running service.

use std::{collections::BTreeSet, fs};

use flagstaff::{
    rest::{Binding, bindings},
    wire,
};
use prost_reflect::DescriptorPool;
use serde_json::json;

use crate::support::{Service, operations::OPERATIONS};

const SERVICE: &str = "flagstaff.v1.FeatureFlagService";
const BASE: &str = "/api/projects/{project_id}";

/// One line of the table.
#[derive(Debug)]
struct Line {
    rpc: String,
    /// Verbs and paths below [`BASE`]; none for gRPC alone.
    paths: Vec<String>,
    scope: String,
    /// Files under `tests/it`; none for what is not built.
    tests: Vec<String>,
}

fn lines() -> Vec<Line> {
    let text = fs::read_to_string("docs/api-coverage.md").unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let line = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let quoted = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let [_, rpc, paths, scope, tests] = cells[..] else { panic!("not five cells: {row}") };
        if quoted(paths).is_empty() {
            assert_eq!(paths, "gRPC alone", "{row}");
        }
        if quoted(tests).is_empty() {
            assert_eq!(tests, "not built yet", "{row}");
        }
        let (rpc, scope) = (quoted(rpc).remove(0), quoted(scope).remove(0));
        Line { rpc, paths: quoted(paths), scope, tests: quoted(tests) }
    };
    rows.map(line).collect()
}

fn of_service() -> impl Iterator<Item = Binding> {
    bindings().into_iter().filter(|binding| binding.rpc.starts_with(SERVICE))
}

#[test]
fn every_rpc_and_every_path_of_the_contract_is_listed_once() {
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
    let service = pool.get_service_by_name(SERVICE).unwrap();
    let mut rpcs: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
    let mut listed: Vec<_> = lines().into_iter().map(|line| line.rpc).collect();
    rpcs.sort();
    listed.sort();
    assert_eq!(listed, rpcs);
    let bound: BTreeSet<_> = of_service()
        .map(|binding| {
            let rpc = binding.rpc.rsplit('.').next().unwrap().to_owned();
            (rpc, format!("{} {}", binding.method, binding.path.strip_prefix(BASE).unwrap()))
        })
        .collect();
    let listed: BTreeSet<_> = lines()
        .into_iter()
        .flat_map(|line| line.paths.into_iter().map(move |path| (line.rpc.clone(), path)))
        .collect();
    assert_eq!(listed, bound);
}

#[test]
fn each_line_has_its_scope_and_tests_that_exist() {
    for line in lines().into_iter().filter(|line| !line.tests.is_empty()) {
        let operation = OPERATIONS.into_iter().find(|operation| operation.name == line.rpc);
        let operation = operation.unwrap_or_else(|| panic!("access is not tested: {line:?}"));
        assert_eq!(line.scope, operation.scope, "{line:?}");
        for file in &line.tests {
            let text = fs::read_to_string(format!("tests/it/{file}.rs"));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains("both_databases!"), "{file} tests one database alone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_is_listed_as_not_built_answers_so() {
    let service = Service::on_sqlite().await;
    let is_built = |rpc: &str| {
        let name = rpc.rsplit('.').next().unwrap();
        lines().iter().any(|line| line.rpc == name && !line.tests.is_empty())
    };
    for binding in of_service() {
        let path = binding.path.replace("{project_id}", "1");
        let parts = path.split('/').map(|part| if part.starts_with('{') { "999999" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        let body = json!({});
        let answer =
            service.call(binding.method.clone(), &path, Some(&service.key), Some(&body)).await;
        assert_eq!(answer.status != 501, is_built(&binding.rpc), "{binding:?}");
    }
    service.stop().await;
}
