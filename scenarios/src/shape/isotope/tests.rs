//! Known answers: the structures that isotope's examples have, and what is refused with its line and column.

use super::*;

/// Two calls at once and then one; c calls twice, one after another.
const CANONICAL: &str = "
defaults:
  requestSize: 2 KB
  responseSize: 1.5k
  numRbacPolicies: 3
services:
- {name: leaf-a}
- {name: leaf-b, errorRate: 5%, responseSize: 80}
- name: middle
  script: [call: leaf-a, call: leaf-b]
- name: front
  isEntrypoint: true
  script:
  - - call: leaf-a
    - call: {service: middle, size: 10, probability: 40}
    - sleep: 2ms
  - sleep: 1.5ms
  - call: leaf-b
";

fn refused(text: &str) -> String {
    read(text, "t.yaml").unwrap_err().to_string()
}

#[test]
fn the_canonical_structure_is_read_whole() {
    let shape = read(CANONICAL, "topologies/two-leaves.yaml").unwrap();
    assert_eq!(shape.name, "two-leaves");
    let names: Vec<&str> = shape.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["front", "leaf-a", "leaf-b", "middle"]);
    let call = |callee, probability, bytes| Call { callee, request_bytes: Some(bytes), probability };
    assert_eq!(
        shape.services[0].steps,
        [
            Step { calls: vec![call(1, 1.0, 2048), call(3, 0.4, 10)], sleep_ns: 2_000_000 },
            Step { calls: vec![], sleep_ns: 1_500_000 },
            Step { calls: vec![call(2, 1.0, 2048)], sleep_ns: 0 },
        ]
    );
    let one = |callee| Step { calls: vec![call(callee, 1.0, 2048)], sleep_ns: 0 };
    assert_eq!(shape.services[3].steps, [one(1), one(2)]);
    let sizes: Vec<_> = shape.services.iter().map(|s| (s.response_bytes, s.error_rate)).collect();
    assert_eq!(sizes, [(Some(1536), None), (Some(1536), None), (Some(80), Some(0.05)), (Some(1536), None)]);
    // In; middle and its two; leaf-b.
    assert_eq!(shape.hops(), 1 + 3 + 1);
    assert!((shape.calls_per_request() - (1.0 + 1.0 + 0.4 * 3.0 + 1.0)).abs() < 1e-12);
    assert_eq!(shape.visits(), ["front", "leaf-a", "middle", "leaf-a", "leaf-b", "leaf-b"]);
    assert_eq!(
        shape.notes,
        ["line 5: numRbacPolicies has no effect here: isotope no longer makes policies of it either"]
    );
}

#[test]
fn a_tree_of_threes_is_read() {
    let mut text = "defaults: {numReplicas: 1}\nservices:\n".to_owned();
    let calls = |of: &str| (0..3).map(|k| format!("call: {of}-{k}")).collect::<Vec<_>>().join(", ");
    text.push_str(&format!("- {{name: t, isEntrypoint: true, script: [[{}]]}}\n", calls("t")));
    for k in 0..3 {
        text.push_str(&format!("- {{name: t-{k}, script: [[{}]]}}\n", calls(&format!("t-{k}"))));
        (0..3).for_each(|l| text.push_str(&format!("- name: t-{k}-{l}\n")));
    }
    let shape = read(&text, "tree.yaml").unwrap();
    assert_eq!((shape.services.len(), shape.hops(), shape.calls_per_request()), (13, 3, 13.0));
}

#[test]
fn what_is_kubernetes_alone_is_noted_with_its_line() {
    let text = "
apiVersion: v1alpha1
kind: MockServiceGraph
services:
- name: a
  isEntrypoint: yes
";
    // Whoever means a truth writes true.
    assert!(refused(text).contains("line 6, column 17: expected true or false, found the text 'yes'"));
    let text = "
services:
- name: y
  namespace: demo1
  isEntrypoint: true
  labels: {team: red}
  script: [call: {service: no, hostname: no.demo2.svc.cluster.local:8080}]
- {name: no, namespace: demo2, cluster: one, type: http}
";
    let shape = read(text, "-").unwrap();
    assert_eq!(
        shape.notes,
        [
            "line 4: namespace has no effect here: it is Kubernetes' alone",
            "line 6: labels has no effect here: it is Kubernetes' alone",
            "line 8: namespace has no effect here: it is Kubernetes' alone",
            "line 8: cluster has no effect here: all services are on this host",
        ]
    );
    assert_eq!(shape.services[0].callees(), [1]);
    // Nothing is said of sizes, so that the scenario's hold.
    assert_eq!((shape.services[1].response_bytes, shape.services[0].steps[0].calls[0].request_bytes), (None, None));
}

#[test]
fn an_error_shows_the_line_and_the_way_out() {
    let said = refused("services:\n- name: a\n  isEntrypoint: true\n  script:\n  - call: b\n");
    assert_eq!(
        said,
        "t.yaml line 5, column 11: there is no service 'b'\n    5 |   - call: b\n      |           ^\n  try: one of a"
    );
}

#[test]
fn whatever_cannot_be_done_is_refused_where_it_stands() {
    let a = "{name: a, isEntrypoint: true}";
    for (text, place, problem) in [
        ("[]".to_owned(), "1, column 1", "expected a table with services"),
        ("services:\n".to_owned(), "1, column 1", "there are no services"),
        ("services: []\n".to_owned(), "1, column 11", "no service is the entry"),
        (format!("services: [{a}]\nrate: 3\n"), "2, column 1", "unknown key 'rate' at the top"),
        (format!("default: {{}}\nservices: [{a}]\n"), "1, column 1", "isotope itself does not read 'default'"),
        ("services:\n- isEntrypoint: true\n".to_owned(), "2, column 3", "a service without a name"),
        ("services:\n- name: A_b\n".to_owned(), "2, column 9", "'A_b' is no name of a service"),
        ("services:\n- name: gateway\n".to_owned(), "2, column 9", "'gateway' is what a part"),
        ("services:\n- name: 7\n".to_owned(), "2, column 9", "expected a name such as frontend, found the number 7"),
        ("services:\n- name: a\n- name: a\n".to_owned(), "3, column 9", "'a' is in line 2 already"),
        ("services:\n- name: a\n- name: b\n".to_owned(), "2, column 3", "no service is the entry"),
        (format!("services:\n- {a}\n- {{name: b, isEntrypoint: true}}\n"), "3, column 27", "a second entry"),
        (format!("services:\n- {a}\n- name: b\n"), "3, column 9", "no request reaches 'b'"),
        ("services:\n- name: a\n  type: grpc\n".to_owned(), "3, column 9", "over HTTP here, and not over gRPC"),
        ("services:\n- name: a\n  type: tcp\n".to_owned(), "3, column 9", "expected http, found the text 'tcp'"),
        ("defaults:\n  numReplicas: 6\n".to_owned(), "2, column 16", "6 replicas: each service is one process here"),
        ("services:\n- name: a\n  numReplicas: 2\n".to_owned(), "3, column 16", "2 replicas"),
        ("defaults:\n  memoryUsage: 80%\n".to_owned(), "2, column 3", "unknown key 'memoryUsage' in defaults"),
        ("services:\n- name: a\n  computeUsage: 1\n".to_owned(), "3, column 3", "unknown key 'computeUsage'"),
        ("defaults:\n  errorRate: 0.1\n  responseSize: 1 zb\n".to_owned(), "3, column 17", "expected a size"),
        ("defaults:\n  errorRate: 120%\n".to_owned(), "2, column 14", "expected a share such as 10% or 0.1"),
        ("defaults:\n  errorRate: '0.1'\n".to_owned(), "2, column 14", "expected a share"),
        ("defaults:\n  script:\n  - pause: 1s\n".to_owned(), "3, column 5", "unknown command 'pause'"),
        ("defaults:\n  script:\n  - sleep: 10\n".to_owned(), "3, column 12", "expected a duration such as 10ms"),
        ("defaults:\n  script:\n  - - - call: a\n".to_owned(), "3, column 7", "a list within a list"),
        ("defaults:\n  script:\n  - call: a\n    sleep: 1s\n".to_owned(), "4, column 5", "'call' and 'sleep' in one"),
        ("defaults:\n  script:\n  - call: {size: 1}\n".to_owned(), "3, column 11", "a call without a service"),
        ("defaults:\n  script:\n  - call: {service: a, payloadSize: 1}\n".to_owned(), "3, column 24", "payloadSize"),
        (
            "defaults:\n  script:\n  - call: {service: a, extra-header: {b: c}}\n".to_owned(),
            "3, column 24",
            "no headers",
        ),
        (
            "defaults:\n  script:\n  - call: {service: a, probability: 101}\n".to_owned(),
            "3, column 37",
            "from 1 to 100",
        ),
        (
            "defaults:\n  script:\n  - call: {service: a, hostname: 'b:80'}\n".to_owned(),
            "3, column 34",
            "not the service 'a'",
        ),
    ] {
        let said = refused(&text);
        assert!(said.starts_with(&format!("t.yaml line {place}: ")), "{text}{said}");
        assert!(said.contains(problem) && said.contains("\n  try: "), "{text}{said}");
    }
}

#[test]
fn circles_second_clusters_and_floods_of_calls_are_refused() {
    let circle = "services:\n- {name: a, isEntrypoint: true, script: [call: b]}\n- {name: b, script: [call: c]}\n- {name: c, script: [call: b]}\n";
    assert!(refused(circle).contains("line 3, column 10: requests would never end: b calls c calls b"));
    // A default script that every service has would have its callee call itself.
    let all = "defaults: {script: [call: a]}\nservices:\n- {name: a, isEntrypoint: true}\n";
    assert!(refused(all).contains("requests would never end: a calls a"));
    let clusters =
        "services:\n- {name: a, cluster: one, isEntrypoint: true, script: [call: b]}\n- {name: b, cluster: two}\n";
    assert!(refused(clusters).contains("line 3, column 22: a second cluster, 'two'"));
    let link =
        |k: u32| format!("- {{name: s{k}, isEntrypoint: {}, script: [call: s{}, call: s{}]}}\n", k == 0, k + 1, k + 1);
    let flood = format!("services:\n{}- name: s60\n", (0..60).map(link).collect::<String>());
    // 2^61 - 1, which is told and not tried.
    assert!(refused(&flood).contains("a request to 's0' becomes 2305843009213694000 calls"), "{}", refused(&flood));
}
