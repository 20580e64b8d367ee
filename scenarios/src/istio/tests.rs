//! Directories of Istio configuration, and what they come to.

use std::path::Path;

use record::{IstioField, IstioVerdict, Mtls, Sidecars, WorkerRule};

use super::{Istio, settings};
use crate::{Error, Scenario};

/// A workload that the rules below can be for.
const REVIEWS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1, namespace: shop}
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: reviews, version: v1}
    spec:
      containers:
      - name: reviews
        image: reviews:1
        ports: [{name: web, containerPort: 9080}, {containerPort: 9090}]
";

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn read_with(files: &[(&str, &str)], workload: Option<&str>, accepted: &[&str]) -> Result<Istio, Error> {
    let accepted: Vec<String> = accepted.iter().map(|word| (*word).to_owned()).collect();
    Istio::read(directory(files).path(), workload, &accepted)
}

/// With the workload beside the rules.
fn read(rules: &str) -> Istio {
    read_with(&[("app.yaml", REVIEWS), ("rules.yaml", rules)], None, &[]).unwrap()
}

fn refused(rules: &str) -> String {
    match read_with(&[("app.yaml", REVIEWS), ("rules.yaml", rules)], None, &[]) {
        Err(error @ Error::Istio { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn scenario(istio: &Istio) -> Scenario {
    let mut scenario = Scenario::default();
    istio.put_in(&mut scenario);
    scenario.check().unwrap();
    scenario
}

fn setting(istio: &Istio, factor: &str) -> String {
    settings::texts(&scenario(istio)).into_iter().find(|(name, _)| *name == factor).unwrap().1
}

fn field(istio: &Istio, path: &str) -> IstioField {
    let reading = istio.reading(&scenario(istio));
    let found = reading.fields.iter().find(|field| field.path == path);
    found.unwrap_or_else(|| panic!("no {path} in {:#?}", reading.fields)).clone()
}

fn reason(istio: &Istio, path: &str) -> String {
    match field(istio, path).verdict {
        IstioVerdict::NoEffect { reason } => reason,
        other => panic!("{path}: {other:?}"),
    }
}

fn peers(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: \
         {namespace}}}\nspec: {spec}\n"
    )
}

fn destination(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d, namespace: \
         shop}}\nspec:\n{spec}"
    )
}

fn virtual_service(http: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: \
         shop}}\nspec:\n  hosts: [reviews]\n  http:\n{http}"
    )
}

const SUBSETS: &str = "  host: reviews.shop.svc.cluster.local\n  subsets:\n  - {name: v1, labels: {version: v1}}\n  - \
                       {name: v2, labels: {version: v2}}\n";

#[test]
fn a_workload_without_a_rule_is_as_istio_has_it() {
    let istio = read_with(&[("app.yaml", REVIEWS)], None, &[]).unwrap();
    for (factor, value) in [
        ("mtls", "permissive"),
        ("port_mtls", "same"),
        ("sidecars", "both"),
        ("protocol", "http"),
        ("retries", "2"),
        ("requests_per_connection", "0"),
        ("access_log", "off"),
        ("log_flush", "1000 ms"),
        ("log_flush_kb", "64"),
        ("cpu_limit", "2"),
        ("cpu_request", "100m"),
        ("memory_limit", "1Gi"),
        ("workers", "istio"),
        ("canary", "none"),
    ] {
        assert_eq!(setting(&istio, factor), value, "{factor}");
    }
    let reading = istio.reading(&scenario(&istio));
    assert_eq!(reading.workload, "Deployment reviews-v1 in shop");
    assert!(reading.defaults.iter().any(|d| d.factor == "mtls" && d.value == "permissive"), "{reading:#?}");
    let no_effect = |f: &IstioField| matches!(f.verdict, IstioVerdict::NoEffect { .. });
    assert!(reading.fields.iter().all(no_effect), "{reading:#?}");
}

#[test]
fn the_mode_closest_to_the_workload_wins() {
    let mesh = peers("default", "istio-system", "{mtls: {mode: STRICT}}");
    let namespace = peers("default", "shop", "{mtls: {mode: DISABLE}}");
    let workload = peers("own", "shop", "{selector: {matchLabels: {app: reviews}}, mtls: {mode: PERMISSIVE}}");
    let other = peers("other", "shop", "{selector: {matchLabels: {app: ratings}}, mtls: {mode: STRICT}}");
    let elsewhere = peers("default", "bank", "{mtls: {mode: STRICT}}");
    let unset = peers("own", "shop", "{selector: {matchLabels: {app: reviews}}, mtls: {mode: UNSET}}");
    for (rules, mode) in [
        (vec![&mesh], Mtls::Strict),
        (vec![&mesh, &namespace], Mtls::Disable),
        (vec![&workload, &namespace, &mesh], Mtls::Permissive),
        (vec![&unset, &namespace, &mesh], Mtls::Disable),
        (vec![&other, &elsewhere, &mesh], Mtls::Strict),
        (vec![&other, &elsewhere], Mtls::Permissive),
    ] {
        let rules: String = rules.into_iter().map(String::as_str).collect();
        assert_eq!(scenario(&read(&rules)).mesh.mtls, [mode], "{rules}");
    }
    let istio = read(&format!("{namespace}{mesh}"));
    let reading = istio.reading(&scenario(&istio));
    let modes: Vec<_> = reading.fields.iter().filter(|f| f.path == "PeerAuthentication.spec.mtls.mode").collect();
    assert!(matches!(&modes[0].verdict, IstioVerdict::Used { factors } if factors[0].value == "disable"), "{modes:#?}");
    let IstioVerdict::NoEffect { reason } = &modes[1].verdict else { panic!("{modes:#?}") };
    assert_eq!(reason, "rules.yaml:5:15 is closer to the workload and wins");
}

#[test]
fn a_selector_in_the_root_namespace_is_for_nobody_elsewhere() {
    let rule = peers("own", "istio-system", "{selector: {matchLabels: {app: reviews}}, mtls: {mode: STRICT}}");
    let istio = read(&rule);
    assert_eq!(setting(&istio, "mtls"), "permissive");
    assert!(reason(&istio, "PeerAuthentication.spec").contains("others than Deployment reviews-v1 in shop"));
}

#[test]
fn the_root_namespace_is_the_one_that_the_mesh_names() {
    let mesh = "---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {meshConfig: {rootNamespace: \
                carrier}}\n";
    let rules = format!("{mesh}{}", peers("default", "carrier", "{mtls: {mode: STRICT}}"));
    assert_eq!(setting(&read(&rules), "mtls"), "strict");
}

#[test]
fn a_port_has_its_own_mode_if_it_is_the_one_that_is_called() {
    let rule = |port: u16| {
        let selector = "selector: {matchLabels: {app: reviews}}";
        peers(
            "own",
            "shop",
            &format!("{{{selector}, mtls: {{mode: STRICT}}, portLevelMtls: {{{port}: {{mode: DISABLE}}}}}}"),
        )
    };
    let istio = read(&rule(9080));
    assert_eq!((setting(&istio, "mtls"), setting(&istio, "port_mtls")), ("strict".into(), "disable".into()));
    let istio = read(&rule(9090));
    assert_eq!((setting(&istio, "mtls"), setting(&istio, "port_mtls")), ("strict".into(), "same".into()));
    assert_eq!(reason(&istio, "PeerAuthentication.spec.portLevelMtls.9090"), "callers call port 9080");
    // A Service says which port callers end at.
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: reviews, namespace: shop}\nspec:\n  selector: \
                   {app: reviews}\n  ports: [{name: http-metrics, port: 80, targetPort: 9090}]\n";
    let istio = read(&format!("{service}{}", rule(9090)));
    assert_eq!(setting(&istio, "port_mtls"), "disable");
    let without_selector = peers("all", "shop", "{portLevelMtls: {9080: {mode: DISABLE}}}");
    assert!(refused(&without_selector).contains("only together with a selector"));
}

#[test]
fn both_sides_in_clear_are_disable() {
    let rules = peers("default", "shop", "{mtls: {mode: DISABLE}}")
        + &destination("  host: '*.shop.svc.cluster.local'\n  trafficPolicy: {tls: {mode: DISABLE}}\n");
    let istio = read(&rules);
    assert_eq!(setting(&istio, "mtls"), "disable");
    assert!(matches!(field(&istio, "DestinationRule.spec.trafficPolicy.tls.mode").verdict, IstioVerdict::Used { .. }));
}

#[test]
fn what_would_fail_in_the_cluster_is_an_error_that_nobody_can_accept() {
    let clear = destination("  host: reviews\n  trafficPolicy: {tls: {mode: DISABLE}}\n");
    let mutual = destination("  host: reviews\n  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}\n");
    for (mode, rule, why) in [
        ("STRICT", &clear, "in clear to a workload that takes mTLS alone (rules.yaml:5:15)"),
        ("DISABLE", &mutual, "mTLS to a workload that takes none (rules.yaml:5:15)"),
    ] {
        let rules = peers("default", "shop", &format!("{{mtls: {{mode: {mode}}}}}")) + rule;
        let files = [("app.yaml", REVIEWS), ("rules.yaml", rules.as_str())];
        let said = read_with(&files, None, &["DestinationRule.spec.trafficPolicy.tls.mode"]).unwrap_err().to_string();
        assert!(said.contains("rules.yaml:12:25: DestinationRule.spec.trafficPolicy.tls.mode: "), "{said}");
        assert!(said.contains(why) && said.contains("would fail in the cluster too"), "{said}");
        assert!(!said.contains("--istio-accept"), "{said}");
    }
    let said = refused(&clear);
    assert!(said.contains("--entry plain") && said.contains("--istio-accept DestinationRule.spec"), "{said}");
}

#[test]
fn weights_are_those_of_the_route_that_every_request_takes() {
    let split = "  - route:\n    - {destination: {host: reviews, subset: v1}, weight: 90}\n    - {destination: {host: \
                 reviews, subset: v2}, weight: 10}\n";
    let istio = read(&(destination(SUBSETS) + &virtual_service(split)));
    assert_eq!(setting(&istio, "canary"), "v1=90,v2=10");
    for path in ["VirtualService.spec.http[0].route[0].weight", "VirtualService.spec.http[0].route[1].weight"] {
        let IstioVerdict::Used { factors } = field(&istio, path).verdict else { panic!("{path}") };
        assert_eq!((factors[0].factor.as_str(), factors[0].value.as_str()), ("canary", "v1=90,v2=10"));
    }
    // Without a rule that has the subsets the cluster would answer 503.
    let said = refused(&virtual_service(split));
    assert!(said.contains("no DestinationRule here has the subset v1"), "{said}");
    // Of services of their own.
    let hosts = "  - route:\n    - {destination: {host: reviews}, weight: 1}\n    - {destination: {host: \
                 reviews-next}, weight: 3}\n";
    assert_eq!(setting(&read(&virtual_service(hosts)), "canary"), "reviews=1,reviews-next=3");
}

#[test]
fn a_match_is_refused_and_passed_over_where_that_is_accepted() {
    let rules = destination(SUBSETS)
        + &virtual_service(
            "  - match: [{headers: {end-user: {exact: jason}}}]\n    timeout: 1s\n    route: [{destination: {host: \
             reviews, subset: v2}}]\n  - retries: {attempts: 5, retryOn: '5xx'}\n    route: [{destination: {host: \
             reviews, subset: v1}}]\n",
        );
    let said = refused(&rules);
    for line in [
        "rules.yaml:17:5: VirtualService.spec.http[0].match: requests are not told apart here",
        "rules.yaml:20:28: VirtualService.spec.http[1].retries.retryOn: tries are repeated",
        "--istio-accept VirtualService.spec.http.match --istio-accept VirtualService.spec.http.retries.retryOn",
    ] {
        assert!(said.contains(line), "'{line}' is missing: {said}");
    }
    let files = [("app.yaml", REVIEWS), ("rules.yaml", rules.as_str())];
    let istio = read_with(&files, None, &["match", "retries.retryOn"]).unwrap();
    assert_eq!((setting(&istio, "retries"), setting(&istio, "canary")), ("5".into(), "none".into()));
    assert!(matches!(field(&istio, "VirtualService.spec.http[0].match").verdict, IstioVerdict::Accepted { .. }));
    assert!(reason(&istio, "VirtualService.spec.http[0].timeout").contains("no request takes the route"));
    // A word that accepts nothing is a slip.
    let said = read_with(&files, None, &["match", "retryOn", "fault"]).unwrap_err().to_string();
    assert!(said.contains("--istio-accept fault: no field here"), "{said}");
}

#[test]
fn what_would_be_passed_over_is_refused_with_its_place() {
    let rules = destination(
        "  host: reviews\n  trafficPolicy:\n    outlierDetection: {consecutive5xxErrors: 3}\n    connectionPool:\n      \
         http: {maxRequestsPerConnection: 7, http1MaxPendingRequests: 1}\n    loadBalancer: {simple: LEAST_REQUEST}\n    \
         brandNew: {a: 1}\n",
    );
    let said = refused(&rules);
    for line in [
        "of Istio's configuration 3 fields cannot be kept",
        "rules.yaml:8:5: DestinationRule.spec.trafficPolicy.outlierDetection: hosts that fail are not ejected here",
        "rules.yaml:10:43: DestinationRule.spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests: waiting",
        "rules.yaml:12:16: DestinationRule.spec.trafficPolicy.brandNew.a: meshtax does not know this field",
    ] {
        assert!(said.contains(line), "'{line}' is missing: {said}");
    }
    let files = [("app.yaml", REVIEWS), ("rules.yaml", rules.as_str())];
    let istio = read_with(&files, None, &["outlierDetection", "http.http1MaxPendingRequests", "brandNew.a"]).unwrap();
    assert_eq!(setting(&istio, "requests_per_connection"), "7");
}

#[test]
fn a_filter_for_the_workload_is_refused_and_one_for_others_is_not() {
    let filter = |namespace: &str, app: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: f, namespace: \
             {namespace}}}\nspec: {{workloadSelector: {{labels: {{app: {app}}}}}, configPatches: []}}\n"
        )
    };
    for namespace in ["shop", "istio-system"] {
        let said = refused(&filter(namespace, "reviews"));
        assert!(said.contains("rules.yaml:2:1: EnvoyFilter: proxies here have the filters"), "{said}");
        assert!(said.contains("--istio-accept EnvoyFilter"), "{said}");
    }
    let istio = read(&(filter("shop", "ratings") + &filter("bank", "reviews")));
    assert!(reason(&istio, "EnvoyFilter").contains("others than"));
    let said = refused("apiVersion: flags.example.com/v1\nkind: Flag\nmetadata: {name: x}\n");
    assert!(said.contains("rules.yaml:1:1: Flag: meshtax does not know this kind"), "{said}");
    let said = refused("global: {proxy: {}}\n");
    assert!(
        said.contains("rules.yaml: a document without a kind") && said.contains("--istio-accept rules.yaml"),
        "{said}"
    );
}

fn annotated(annotations: &str) -> String {
    REVIEWS.replace("    metadata:\n", &format!("    metadata:\n      annotations:\n{annotations}"))
}

const OPERATOR: &str = "\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  values:
    global:
      proxy:
        resources:
          limits: {cpu: 1500m}
          requests: {memory: 40Mi}
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    defaultConfig: {concurrency: 3}
    defaultHttpRetryPolicy: {attempts: 1}
";

#[test]
fn one_annotation_drops_the_whole_default_block() {
    let amounts = |files: &[(&str, &str)]| {
        let istio = read_with(files, None, &[]).unwrap();
        ["cpu_request", "cpu_limit", "memory_limit"].map(|factor| setting(&istio, factor))
    };
    let of = |annotation: &str| {
        let app = annotated(&format!("        sidecar.istio.io/{annotation}\n"));
        amounts(&[("app.yaml", &app), ("mesh.yaml", OPERATOR)])
    };
    // Values are merged with the chart's own, key by key.
    assert_eq!(amounts(&[("app.yaml", REVIEWS), ("mesh.yaml", OPERATOR)]), ["100m", "1500m", "1Gi"]);
    assert_eq!(of("proxyCPU: 200m"), ["200m", "none", "none"]);
    assert_eq!(of("proxyMemoryLimit: \"256Mi\""), ["none", "none", "256Mi"]);
    assert_eq!(of("proxyMemory: 64Mi"), ["none", "none", "none"]);
    // Kubernetes takes the limit for a request that is not there.
    assert_eq!(of("proxyCPULimit: \"0.5\""), ["500m", "500m", "none"]);
    let app = annotated("        sidecar.istio.io/proxyCPU: 200m\n");
    let istio = read_with(&[("app.yaml", &app), ("mesh.yaml", OPERATOR)], None, &[]).unwrap();
    let why = reason(&istio, "IstioOperator.spec.values.global.proxy.resources.limits.cpu");
    assert_eq!(why, "an annotation of the pod (app.yaml:9:9) drops the whole default block");
    assert!(reason(&istio, "IstioOperator.spec.values.global.proxy.resources.requests.memory").contains("drops"));
    let told = istio.reading(&scenario(&istio)).defaults;
    let limit = told.iter().find(|d| d.factor == "cpu_limit").unwrap();
    assert_eq!((limit.value.as_str(), limit.reason.contains("app.yaml:9:9")), ("none", true), "{limit:?}");
    let app = annotated("        sidecar.istio.io/proxyCPU: a lot\n");
    let said = read_with(&[("app.yaml", &app)], None, &[]).unwrap_err().to_string();
    assert!(said.contains("app.yaml:9:9: ") && said.contains("'a lot'"), "{said}");
}

#[test]
fn concurrency_is_that_of_the_closest() {
    let config = |selector: &str, n: u32| {
        format!(
            "---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {{name: p{n}, namespace: \
             shop}}\nspec: {{{selector}concurrency: {n}}}\n"
        )
    };
    let app = annotated("        proxy.istio.io/config: |\n          concurrency: 4\n");
    let workers = |app: &str, rules: &str| {
        scenario(&read_with(&[("app.yaml", app), ("mesh.yaml", OPERATOR), ("r.yaml", rules)], None, &[]).unwrap())
            .mesh
            .workers
    };
    let (own, all) = (config("selector: {matchLabels: {app: reviews}}, ", 6), config("", 5));
    let nothing = peers("default", "shop", "{}");
    assert_eq!(workers(REVIEWS, &nothing), [WorkerRule::Fixed(3)]);
    assert_eq!(workers(REVIEWS, &all), [WorkerRule::Fixed(5)]);
    assert_eq!(workers(&app, &all), [WorkerRule::Fixed(4)]);
    assert_eq!(workers(&app, &(own + &all)), [WorkerRule::Fixed(6)]);
    let zero = annotated("        proxy.istio.io/config: '{concurrency: 0}'\n");
    assert_eq!(workers(&zero, &nothing), [WorkerRule::Fixed(crate::scenario::cpus())]);
}

#[test]
fn a_text_within_yaml_is_read_with_the_places_it_has_in_the_file() {
    let app =
        annotated("        proxy.istio.io/config: |\n          concurrency: 4\n          tracing: {sampling: 9}\n");
    let said = read_with(&[("app.yaml", &app)], None, &[]).unwrap_err().to_string();
    let path = "Deployment.spec.template.metadata.annotations.proxy.istio.io/config.tracing";
    assert!(said.contains(&format!("app.yaml:11:11: {path}: no trace is sent here")), "{said}");
    let istio = read_with(&[("app.yaml", &app)], None, &["tracing"]).unwrap();
    let used = field(&istio, "Deployment.spec.template.metadata.annotations.proxy.istio.io/config.concurrency");
    assert_eq!((used.line, used.column, used.value.as_str()), (10, 11, "4"));
}

#[test]
fn what_the_mesh_says_of_logs_and_tries_is_used_unless_a_closer_rule_says_otherwise() {
    let files = |rules: &'static str| [("app.yaml", REVIEWS), ("mesh.yaml", OPERATOR), ("r.yaml", rules)];
    let telemetry = |rest: &str| -> &'static str {
        let text = format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t, namespace: shop}}\nspec:\n  \
             accessLogging:\n  - {rest}\n"
        );
        Box::leak(text.into_boxed_str())
    };
    let log = |istio: &Istio| (setting(istio, "access_log"), setting(istio, "access_log_to"));
    let istio = read_with(&files("# nothing\n"), None, &[]).unwrap();
    assert_eq!(log(&istio), ("json".into(), "stdout".into()));
    assert_eq!(setting(&istio, "retries"), "1");
    let istio = read_with(&files(telemetry("disabled: true")), None, &[]).unwrap();
    assert_eq!(setting(&istio, "access_log"), "off");
    assert!(reason(&istio, "IstioOperator.spec.meshConfig.accessLogFile").contains("r.yaml:6:5"));
    let istio = read_with(&files(telemetry("providers: [{name: envoy}]")), None, &[]).unwrap();
    assert_eq!(log(&istio), ("text".into(), "stdout".into()));
    let said = read_with(&files(telemetry("{providers: [{name: envoy}], filter: {expression: 'a'}}")), None, &[]);
    assert!(said.unwrap_err().to_string().contains("every request has its line here"));
}

#[test]
fn the_mesh_of_a_cluster_is_read_from_its_config_map_and_wins() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    \
               accessLogFile: ''\n    defaultConfig:\n      concurrency: 1\n    enableTracing: true\n  meshNetworks: \
               'networks: {}'\n";
    let files = [("app.yaml", REVIEWS), ("cluster/istio.yaml", map), ("mesh.yaml", OPERATOR)];
    let said = read_with(&files, None, &[]).unwrap_err().to_string();
    assert!(
        said.contains("cluster/istio.yaml:9:5: ConfigMap.data.mesh.enableTracing: no trace is sent here"),
        "{said}"
    );
    let istio = read_with(&files, None, &["enableTracing"]).unwrap();
    assert_eq!((setting(&istio, "workers"), setting(&istio, "access_log")), ("1".into(), "off".into()));
}

#[test]
fn an_installation_as_the_profile_writes_it_has_nothing_to_refuse() {
    let operator = "\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: installed, namespace: istio-system}
spec:
  profile: default
  components: {pilot: {enabled: true}}
  meshConfig:
    enableTracing: false
    enablePrometheusMerge: true
    defaultConfig: {proxyMetadata: {}, discoveryAddress: 'istiod:15012'}
    extensionProviders: []
  values:
    global:
      istioNamespace: istio-system
      proxy:
        autoInject: enabled
        excludeIPRanges: ''
        includeIPRanges: '*'
        logLevel: warning
        resources:
          limits: {cpu: 2000m, memory: null}
          requests: {cpu: 100m, memory: 128Mi}
        tracer: zipkin
    telemetry: {enabled: true}
";
    let istio = read_with(&[("app.yaml", REVIEWS), ("mesh.yaml", operator)], None, &[]).unwrap();
    assert_eq!(["cpu_limit", "memory_limit"].map(|factor| setting(&istio, factor)), ["2", "none"]);
    // What only another profile has is not known from its name.
    let demo = operator.replace("profile: default", "profile: demo").replace("logLevel: warning", "logLevel: debug");
    let said = read_with(&[("app.yaml", REVIEWS), ("mesh.yaml", &demo)], None, &[]).unwrap_err().to_string();
    for line in ["2 fields", "mesh.yaml:5:3: IstioOperator.spec.profile: ", "proxy.logLevel: proxies here log warnings"]
    {
        assert!(said.contains(line), "'{line}' is missing: {said}");
    }
}

#[test]
fn a_pod_without_a_sidecar_is_called_in_clear() {
    let app = REVIEWS.replace("labels: {app", "labels: {sidecar.istio.io/inject: 'false', app");
    let rules = peers("default", "shop", "{mtls: {mode: STRICT}}");
    let istio = read_with(&[("app.yaml", &app), ("rules.yaml", &rules)], None, &[]).unwrap();
    assert_eq!(scenario(&istio).mesh.sidecars, [Sidecars::Client]);
    assert!(reason(&istio, "PeerAuthentication.spec.mtls.mode").contains("no sidecar"));
}

#[test]
fn the_name_of_a_port_says_what_it_carries() {
    let service = |port: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: reviews, namespace: shop}}\nspec:\n  selector: \
             {{app: reviews}}\n  ports: [{{{port}port: 80, targetPort: web}}]\n"
        )
    };
    for (port, protocol) in [
        ("name: http-web, ", "http"),
        ("name: web, ", "auto"),
        ("", "auto"),
        ("name: web, appProtocol: http, ", "http"),
    ] {
        assert_eq!(setting(&read(&service(port)), "protocol"), protocol, "{port}");
    }
    assert!(refused(&service("name: grpc, ")).contains("HTTP/1.1"));
}

#[test]
fn several_workloads_that_differ_are_a_question_and_those_that_do_not_are_not() {
    let second = REVIEWS.replace("v1", "v2");
    let other = REVIEWS.replace("reviews", "ratings");
    let rule = peers("own", "shop", "{selector: {matchLabels: {app: reviews}}, mtls: {mode: STRICT}}");
    let apps = [("a.yaml", REVIEWS), ("b.yaml", &second), ("c.yaml", &other), ("r.yaml", &rule)];
    let said = read_with(&apps, None, &[]).unwrap_err().to_string();
    for line in
        ["3 workloads are set differently", "reviews-v2 in shop: mtls strict", "ratings-v1 in shop: mtls permissive"]
    {
        assert!(said.contains(line) && said.contains("--istio-workload"), "{said}");
    }
    for name in ["reviews", "shop/reviews", "reviews-v2"] {
        assert_eq!(setting(&read_with(&apps, Some(name), &[]).unwrap(), "mtls"), "strict", "{name}");
    }
    let istio = read_with(&apps, Some("reviews"), &[]).unwrap();
    assert_eq!(istio.reading(&scenario(&istio)).alike, ["Deployment reviews-v2 in shop"]);
    let said = read_with(&apps, Some("bank/reviews"), &[]).unwrap_err().to_string();
    assert!(said.contains("no workload here is called bank/reviews") && said.contains("ratings-v1"), "{said}");
}

#[test]
fn rules_without_a_deployment_are_for_the_workload_that_they_speak_of() {
    let rules = destination(SUBSETS) + &peers("default", "shop", "{mtls: {mode: STRICT}}");
    let istio = read_with(&[("rules.yaml", &rules)], None, &[]).unwrap();
    assert_eq!(setting(&istio, "mtls"), "strict");
    assert_eq!(istio.reading(&scenario(&istio)).workload, "workload reviews in shop");
    let istio = read_with(&[("mesh.yaml", OPERATOR)], None, &[]).unwrap();
    assert_eq!(setting(&istio, "cpu_limit"), "1500m");
}

#[test]
fn json_and_lists_are_read_as_kubectl_prints_them() {
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
   "metadata": {"name": "default", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]},
   "spec": {"mtls": {"mode": "STRICT"}}, "status": {"x": 1}}]}
"#;
    let istio = read_with(&[("app.yml", REVIEWS), ("deep/er/peers.json", json), ("notes.txt", "no: [yaml")], None, &[]);
    let istio = istio.unwrap();
    let used = field(&istio, "PeerAuthentication.spec.mtls.mode");
    assert_eq!((used.file.as_str(), used.line, used.column), ("deep/er/peers.json", 4, 22));
    assert_eq!(setting(&istio, "mtls"), "strict");
}

#[test]
fn what_cannot_be_read_says_where_and_what_would_be_right() {
    let broken = read_with(&[("a.yaml", "kind: X\nspec: [1, 2\nb: 3\n")], None, &[]).unwrap_err();
    assert!(matches!(&broken, Error::Scenario { origin, .. } if origin == "a.yaml"), "{broken}");
    let empty = read_with(&[("notes.txt", "x")], None, &[]).unwrap_err().to_string();
    assert!(empty.contains("0 files of YAML or JSON") && empty.contains("try:"), "{empty}");
    let missing = Istio::read(Path::new("/no/such"), None, &[]).unwrap_err().to_string();
    assert!(missing.contains("/no/such"), "{missing}");
}

#[test]
fn what_the_run_was_told_otherwise_is_said() {
    let istio = read(&peers("default", "shop", "{mtls: {mode: STRICT}}"));
    let mut told = scenario(&istio);
    told.mesh.mtls = vec![Mtls::Permissive, Mtls::Disable];
    told.mesh.retries = vec![0];
    let reading = istio.reading(&told);
    let mode = reading.fields.iter().find(|f| f.path.ends_with("mtls.mode")).unwrap();
    let IstioVerdict::Overridden { factors, by } = &mode.verdict else { panic!("{mode:#?}") };
    assert_eq!((factors[0].value.as_str(), by.as_str()), ("strict", "mtls = permissive, disable"));
    let retries = reading.defaults.iter().find(|d| d.factor == "retries").unwrap();
    assert_eq!((retries.value.as_str(), retries.reason.starts_with("a flag; by Istio it were 2")), ("0", true));
}
