use super::*;

fn graph(reads: &[&[usize]]) -> Graph {
    Graph::new(reads.iter().map(|read| (*read).into()).collect())
}

#[test]
fn every_node_follows_what_it_reads() {
    let graph = graph(&[&[2], &[0, 2], &[], &[1]]);
    assert_eq!(graph.order(), [2, 0, 1, 3]);
}

#[test]
fn only_nodes_on_a_cycle_are_cyclic() {
    type Case = (&'static str, &'static [&'static [usize]], &'static [bool]);
    let cases: [Case; 4] = [
        ("a chain", &[&[1], &[2], &[]], &[false, false, false]),
        ("a node that reads itself", &[&[0], &[]], &[true, false]),
        (
            "one that reads a cycle, and one that a cycle reads",
            &[&[1], &[2, 3], &[1], &[]],
            &[false, true, true, false],
        ),
        ("one between two cycles", &[&[0, 1], &[2], &[2]], &[true, false, true]),
    ];
    for (name, reads, cyclic) in cases {
        let graph = graph(reads);
        let got: Vec<bool> = (0..reads.len()).map(|node| graph.is_cyclic(node)).collect();
        assert_eq!(got, cyclic, "{name}");
        assert_eq!(graph.order().len(), reads.len(), "{name}: each node has one place");
    }
}

#[test]
fn what_is_required_comes_in_order_and_nothing_else_comes() {
    let graph = graph(&[&[2], &[0, 2], &[], &[1], &[]]);
    assert_eq!(graph.required([1]), [2, 0, 1]);
    assert_eq!(graph.required([4, 2]), [2, 4]);
}

#[test]
fn a_very_long_chain_is_ordered() {
    let last = 100_000;
    let reads = (0..=last)
        .map(|node| if node == last { Box::default() } else { [node + 1].into() })
        .collect();
    let graph = Graph::new(reads);
    assert_eq!(graph.order().first(), Some(&last));
    assert_eq!(graph.required([0]).len(), last + 1);
}
