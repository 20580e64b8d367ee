//! How each command of the documentation is run by the tests.

use Way::{Elsewhere, Measures, Mention, Parsed, Reads, Serves};

/// How a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As it stands, beside others; with the exit codes that it may have.
    Reads(&'static [i32]),
    /// In this shorter form.
    Measures(&'static str),
    /// In this form, until it has said where it listens.
    Serves(&'static str),
    /// The name of a command in a sentence.
    Mention,
    /// Its arguments are read and it goes no further, for this reason.
    Parsed(&'static str),
    /// It is no command of ours.
    Elsewhere(&'static str),
}

const DONE: &[i32] = &[0];
const CLUSTER: Way = Parsed("it needs a cluster; tests/k8s plays one");
const AGENTS: Way = Parsed("it needs agents; tests/several_hosts has them");
const OTHER_FACTORS: Way = Parsed("it takes minutes; what it sets is measured by the tests of the factors");

/// Every command of the documentation.
pub(super) const WAYS: &[(&str, Way)] = &[
    ("cargo run --release --locked -- run", Measures("run --quick --duration 300ms --repeats 2 --label first")),
    ("cargo test --workspace --locked", Elsewhere("it is what runs this")),
    ("meshtax agent", Mention),
    ("meshtax agent --listen 10.0.0.2:7464", AGENTS),
    ("meshtax baseline add runs/...", Reads(DONE)),
    ("meshtax baseline list", Reads(DONE)),
    ("meshtax baseline prune --keep 200 --older-than 30d", Reads(DONE)),
    ("meshtax compare small=runs/a large=runs/b", Reads(DONE)),
    ("meshtax compare small=runs/a large=runs/b --format html --output hosts.html", Reads(DONE)),
    ("meshtax completions bash", Reads(DONE)),
    ("meshtax disk DIR", Measures("disk disk-test --size 8MiB --seconds 0.1")),
    ("meshtax doctor", Reads(DONE)),
    ("meshtax doctor --card", Reads(DONE)),
    ("meshtax gate", Mention),
    (
        "meshtax gate --aa --candidate mine.toml --max-regress p99=10%",
        Parsed("pairs of trials; the one with two sides is made"),
    ),
    (
        "meshtax gate --baseline mesh/main.toml --candidate mesh/change.toml --max-regress p99=10% --budget 15m",
        Parsed("it is the one beside it with other files, of which the plan is made"),
    ),
    (
        "meshtax gate --candidate new.toml --baseline old.toml --max-regress p99=10% --budget 15m",
        Measures(
            "gate --candidate new.toml --baseline old.toml --max-regress p99=100000% --budget 15m \
             --pairs-max 5 --duration 200ms --warm-up 0s",
        ),
    ),
    // With one stored run it may say any of the three.
    ("meshtax gate RUN --baseline DIR --max-regress p99=20%,cpu=10% --slo errors=0.1%", Reads(&[0, 1, 3])),
    ("meshtax gate RUN --baseline baselines --max-regress p99=20%,cpu=10% --slo errors=0.1%", Reads(&[0, 1, 3])),
    ("meshtax history baselines --metric p99", Reads(DONE)),
    ("meshtax hosts fetch RUN", AGENTS),
    ("meshtax hosts pair cx22 10.0.0.2:7464 CODE", AGENTS),
    ("meshtax k8s clean", CLUSTER),
    ("meshtax k8s manifests --runner", Parsed("it is printed whole by tests/k8s")),
    ("meshtax k8s manifests first-look --mesh istio-sidecar", Reads(DONE)),
    ("meshtax k8s run SCENARIO --mesh none,istio-sidecar,istio-ambient,linkerd", CLUSTER),
    ("meshtax k8s run first-look --mesh none,istio-sidecar --image IMAGE", CLUSTER),
    (
        "meshtax load URL --find-max --slo p99=25ms,errors=0.1%",
        Measures(
            "load URL --find-max --slo p99=9s,errors=50% --from 5 --to 10 --step 200ms --confirm 300ms --budget 10s",
        ),
    ),
    ("meshtax load URL --ladder 100,200,500,1000", Measures("load URL --ladder 100,200 --step 200ms --repeats 1")),
    ("meshtax load http://127.0.0.1:8080/ --rate 500 --duration 10s", Measures("load URL --rate 500 --duration 300ms")),
    ("meshtax man --output DIR", Reads(DONE)),
    // 1 where this machine's one rate is shown to hold nothing.
    ("meshtax plan runs/... --slo p99=25ms,errors=0.1% --rps 5000 --services 50 --prices prices.toml", Reads(&[0, 1])),
    ("meshtax probe --format table --duration 5s", Measures("probe --format table --duration 1s")),
    ("meshtax probe --gaps 20s", Measures("probe --gaps 1s")),
    ("meshtax probe --pid proxy=4711 --format table", Measures("probe --pid proxy=4711 --format table --duration 1s")),
    ("meshtax probe --serve 9464", Serves("probe --serve 0")),
    ("meshtax report RUN --format fortio --output DIR", Reads(DONE)),
    ("meshtax report RUN --format hlog --output DIR", Reads(DONE)),
    ("meshtax report RUN --format intervals-csv", Reads(DONE)),
    ("meshtax report RUN --format open-metrics", Reads(DONE)),
    ("meshtax report RUN --format samples-csv", Reads(DONE)),
    ("meshtax report RUN --format smp --output DIR", Reads(DONE)),
    ("meshtax report RUN --png pictures", Reads(DONE)),
    ("meshtax report gate.json --format junit", Reads(DONE)),
    ("meshtax report runs/...", Reads(DONE)),
    ("meshtax report runs/... --format bencher", Reads(DONE)),
    ("meshtax report runs/... --format fortio --output DIR", Reads(DONE)),
    ("meshtax report runs/... --format markdown", Reads(DONE)),
    ("meshtax report runs/... --png pictures", Reads(DONE)),
    ("meshtax resume", Mention),
    ("meshtax resume runs/...", Reads(DONE)),
    ("meshtax run", Parsed("it is the README's first command")),
    ("meshtax run --canary v1=90,v2=10", Measures("run --canary v1=90,v2=10 --quick --duration 300ms --repeats 1")),
    ("meshtax run --dataplane none --aa", Measures("run --dataplane none --aa --quick --duration 300ms --repeats 1")),
    ("meshtax run --dataplane none,embedded", Parsed("it is the README's first command with its default said")),
    (
        "meshtax run --dataplane none,embedded,envoy",
        Measures("run --dataplane none,embedded,envoy --quick --duration 300ms --repeats 1"),
    ),
    ("meshtax run --dataplane none,embedded,envoy --rate 500 --repeats 5", Parsed("the shorter one is measured")),
    ("meshtax run --dataplane none,envoy --cpu-limit none,500m,200m", OTHER_FACTORS),
    ("meshtax run --dataplane none,envoy --label cx22 --disk", OTHER_FACTORS),
    ("meshtax run --dataplane none,envoy --rate 250,500,1000,2000 --cpu-limit none,500m,200m", OTHER_FACTORS),
    ("meshtax run --hosts hosts.toml", AGENTS),
    ("meshtax run --hosts hosts.toml --dataplane none,envoy", AGENTS),
    ("meshtax run --istio DIR", Parsed("tests/it/istio.rs measures it")),
    ("meshtax run --out /tmp/runs", Parsed("every other run here has an --out")),
    ("meshtax run --until p99=5%", Parsed("it goes on for as long as this machine is noisy")),
    ("meshtax run canary-90-10", OTHER_FACTORS),
    ("meshtax run cpu-limits", OTHER_FACTORS),
    ("meshtax run dataplanes", OTHER_FACTORS),
    ("meshtax run mine.toml", Measures("run mine.toml --quick --duration 300ms --repeats 1")),
    ("meshtax run mine.toml --rate 1000 --repeats 8", Parsed("it is the one before with other values")),
    ("meshtax run quick", Parsed("it is the README's first command with shorter trials")),
    ("meshtax run runs/...", Measures("run runs/... --quick --duration 300ms --repeats 1")),
    ("meshtax scenarios", Reads(DONE)),
    ("meshtax scenarios show envoy > mine.toml", Reads(DONE)),
    ("meshtax scenarios show first-look > mine.toml", Reads(DONE)),
    ("meshtax serve", Mention),
    ("meshtax serve runs", Serves("serve runs --listen 0")),
    ("meshtax service", Mention),
    ("meshtax service --name echo", Serves("service --name echo")),
    (
        "meshtax verify --dataplane envoy --mtls disable,permissive,strict --platform pods",
        Measures("verify --dataplane embedded --mtls disable,permissive,strict"),
    ),
    (
        "systemd-run --user --scope -p Delegate=yes meshtax run --cpu-limit none,500m",
        Parsed("it needs a session of systemd's; tests/it/errors.rs has limits"),
    ),
];

/// How this command is run.
pub(super) fn way(command: &str) -> Option<Way> {
    WAYS.iter().find(|(known, _)| *known == command).map(|(_, way)| *way)
}
