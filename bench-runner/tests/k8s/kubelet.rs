//! A kubelet of a kind: pods of controllers become processes of this program, each at a loopback address of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// What to do otherwise than a good one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mood {
    /// The status that every pod of a part gets, and nothing is started.
    pub(crate) status: BTreeMap<String, Value>,
    /// No pod is made, and an event says why.
    pub(crate) not_made: Option<String>,
    /// The digest of the image that pods are of, and that of their sidecars, where it is another than the first.
    pub(crate) image: Option<String>,
    pub(crate) sidecar_image: Option<String>,
    /// The clock that its pods ask.
    pub(crate) clock: Option<crate::clock::Clock>,
}

/// The pods that run.
#[derive(Debug)]
pub(crate) struct Kubelet {
    pub(crate) mood: Mood,
    /// The process that is every pod's injected sidecar, where there is a mesh.
    pub(crate) sidecar: Option<u32>,
    /// Where a gateway's proxy takes its certificate from, in the form of Envoy's SDS.
    pub(crate) door: Option<PathBuf>,
    folder: tempfile::TempDir,
    running: BTreeMap<String, Running>,
    /// Addresses of services by their names, in a namespace.
    services: BTreeMap<(String, String), String>,
    started: u32,
    /// The third part of loopback addresses, so that tests beside one another do not meet.
    net: u8,
}

#[derive(Debug)]
struct Running {
    child: Child,
    address: String,
    cgroup: PathBuf,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.running.values_mut().for_each(end);
    }
}

fn end(running: &mut Running) {
    let _ = running.child.kill();
    let _ = running.child.wait();
}

impl Kubelet {
    pub(crate) fn new(net: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            mood: Mood::default(),
            sidecar: None,
            door: None,
            folder,
            running: BTreeMap::new(),
            services: BTreeMap::new(),
            started: 0,
            net,
        }
    }

    /// The pods of a controller.
    pub(crate) fn pods(&mut self, controller: &Value) -> Vec<Value> {
        let template = &controller["spec"]["template"];
        let count = controller["spec"]["completions"].as_u64().unwrap_or(1);
        (0..count).map(|index| self.pod(controller, template, index)).collect()
    }

    fn pod(&mut self, controller: &Value, template: &Value, index: u64) -> Value {
        self.started += 1;
        let (n, net) = (self.started, self.net);
        let namespace = controller["metadata"]["namespace"].as_str().unwrap().to_owned();
        let name = format!("{}-{n}", controller["metadata"]["name"].as_str().unwrap());
        let part = template["metadata"]["labels"]["meshtax/part"].as_str().unwrap().to_owned();
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(namespace);
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = json!(index.to_string());
        pod["spec"]["nodeName"] = json!("node-a");
        if let Some(status) = self.mood.status.get(&part) {
            pod["status"] = status.clone();
            return pod;
        }
        let address = format!("127.88.{net}.{n}");
        let app = template["metadata"]["labels"]["app"].as_str().unwrap_or_default().to_owned();
        self.services.insert((namespace.clone(), app), address.clone());
        let id = format!("{net:03}{n:013}abcdef");
        let container = &template["spec"]["containers"][0];
        let (work, cgroup) = (self.folder.path().join(&id), self.folder.path().join(format!("cgroup/cri-{id}.scope")));
        std::fs::create_dir_all(&work).unwrap();
        std::fs::create_dir_all(&cgroup).unwrap();
        std::fs::write(cgroup.join("cpu.stat"), "usage_usec 1000\nuser_usec 600\nsystem_usec 400\n").unwrap();
        std::fs::write(cgroup.join("cpu.max"), "max 100000\n").unwrap();
        std::fs::write(cgroup.join("memory.max"), "536870912\n").unwrap();
        std::fs::write(cgroup.join("cgroup.procs"), "").unwrap();
        let args: Vec<String> =
            container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()).collect();
        let args = self.told(args, &namespace, &address, &work);
        let log = std::fs::File::create(work.join("stderr")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshtax"));
        if let Some(clock) = &self.mood.clock {
            clock.told_to(&mut command);
        }
        let child = command
            .args(&args)
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.insert(format!("{namespace}/{name}"), Running { child, address: address.clone(), cgroup });
        pod["status"] = json!({
            "phase": "Running", "qosClass": "Burstable", "podIP": address,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": container["name"], "containerID": format!("containerd://{id}"),
                "imageID": self.mood.image.as_deref().unwrap_or("meshtax@sha256:0")}],
        });
        if let Some(process) = self.sidecar.filter(|_| pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "true") {
            self.inject(&mut pod, n, process);
        }
        pod
    }

    /// What a mesh's webhook adds: a native sidecar with a cgroup of its own.
    fn inject(&self, pod: &mut Value, n: u32, process: u32) {
        let id = format!("{:03}{n:013}fedcba", self.net);
        let cgroup = self.folder.path().join(format!("cgroup/cri-{id}.scope"));
        std::fs::create_dir_all(&cgroup).unwrap();
        for (file, text) in [
            ("cpu.stat", "usage_usec 1000\nuser_usec 600\nsystem_usec 400\n".to_owned()),
            ("cpu.max", "max 100000\n".to_owned()),
            ("memory.max", "max\n".to_owned()),
            ("cgroup.procs", format!("{process}\n")),
        ] {
            std::fs::write(cgroup.join(file), text).unwrap();
        }
        let image = self.mood.sidecar_image.as_deref().unwrap_or("proxyv2@sha256:1");
        let status = json!({"name": "istio-proxy", "containerID": format!("containerd://{id}"), "imageID": image});
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        // A gateway's manifest has the container already, and leaves its image to the webhook.
        if let Some(own) = containers.iter_mut().find(|c| c["name"] == "istio-proxy") {
            own["image"] = json!("proxyv2:1.29");
            pod["status"]["containerStatuses"].as_array_mut().unwrap().push(status);
            return;
        }
        pod["spec"]["initContainers"] =
            json!([{"name": "istio-proxy", "image": "proxyv2:1.29", "restartPolicy": "Always"}]);
        pod["status"]["initContainerStatuses"] = json!([status]);
    }

    /// Mounts the certificate of a gateway: its proxy takes it by SDS, its clients the authority from a file.
    pub(crate) fn mount(&self, secret: &Value) {
        let text = |key: &str| secret["stringData"][key].as_str().unwrap_or_default().to_owned();
        std::fs::write(self.folder.path().join("ca.crt"), text("ca.crt")).unwrap();
        if let Some(door) = &self.door {
            crate::envoy::give(door, "door", &text("tls.crt"), &text("tls.key"));
        }
    }

    /// A container's arguments as they are here: an address of its own, and names that no resolver has.
    fn told(&self, args: Vec<String>, namespace: &str, address: &str, work: &Path) -> Vec<String> {
        let mut told = Vec::new();
        for (at, arg) in args.into_iter().enumerate() {
            let mut arg = arg.replace("/host/cgroup", &self.folder.path().join("cgroup").to_string_lossy());
            arg = arg.replace("/gateway/ca.crt", &self.folder.path().join("ca.crt").to_string_lossy());
            if arg == "/work" {
                arg = work.to_string_lossy().into_owned();
            }
            for ((of, service), at) in &self.services {
                if of == namespace {
                    for scheme in ["http", "https"] {
                        arg = arg.replace(&format!("{scheme}://{service}:"), &format!("{scheme}://{at}:"));
                    }
                }
            }
            told.push(arg);
            if at == 1 {
                told.extend(["--address".to_owned(), address.to_owned()]);
                told.extend(["--record".to_owned(), work.to_string_lossy().into_owned()]);
            }
        }
        // Said once is enough.
        let mut seen = false;
        let mut once = Vec::new();
        let mut rest = told.into_iter();
        while let Some(arg) = rest.next() {
            if arg == "--record" && std::mem::replace(&mut seen, true) {
                rest.next();
                continue;
            }
            once.push(arg);
        }
        once
    }

    /// Where a pod listens, with its cgroups brought up to date.
    pub(crate) fn address(&self, namespace: &str, pod: &str) -> Option<String> {
        for running in self.running.values() {
            let pids: String = descendants(running.child.id()).iter().map(|pid| format!("{pid}\n")).collect();
            std::fs::write(running.cgroup.join("cgroup.procs"), pids).unwrap();
        }
        self.running.get(&format!("{namespace}/{pod}")).map(|running| running.address.clone())
    }

    pub(crate) fn stop(&mut self, namespace: &str, pod: &str) {
        if let Some(mut running) = self.running.remove(&format!("{namespace}/{pod}")) {
            end(&mut running);
        }
    }

    /// Whether nothing runs any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }
}

/// A process and all that came of it.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let children = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for task in children {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in text.split_whitespace().filter_map(|word| word.parse().ok()) {
            all.extend(descendants(child));
        }
    }
    all
}
