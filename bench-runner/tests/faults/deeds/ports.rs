//! A port that somebody else has when the part that it was chosen for comes to listen.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use rustix::thread::LinkNameSpaceType;

use super::ground;
use crate::live::Live;
use crate::scene::{Kind, Scene};

/// Where Istio's sidecars take what comes in.
const INBOUND: u16 = 15006;

/// A HAProxy that waits at a door before it reads its configuration: between the choice of its ports and their use.
pub(crate) struct Door {
    closed: PathBuf,
}

impl Door {
    /// Has the command use a HAProxy behind a closed door.
    pub(crate) fn closed(scene: &Scene, command: &mut Command) -> Self {
        let (folder, closed) = (scene.aside(), scene.aside().join("door-is-closed"));
        std::fs::write(&closed, "").unwrap();
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .map(|directory| directory.join("haproxy"))
            .find(|path| path.is_file())
            .expect("doctor found a HAProxy");
        let source = format!(
            r#"use std::os::unix::process::CommandExt as _;
            fn main() {{
                let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
                let asked = args.first().is_some_and(|word| word == "-v" || word == "-vv");
                while !asked && std::path::Path::new({closed:?}).exists() {{
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }}
                let failed = std::process::Command::new({real:?}).args(args).exec();
                eprintln!("{{failed}}");
            }}"#
        );
        let (from, haproxy) = (folder.join("door.rs"), folder.join("haproxy"));
        std::fs::write(&from, source).unwrap();
        let built = Command::new("rustc").arg("-o").arg(&haproxy).arg(&from).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        command.arg("--haproxy").arg(&haproxy);
        Self { closed }
    }

    fn open(&self) {
        std::fs::remove_file(&self.closed).unwrap();
    }
}

/// Listens where a proxy is about to.
pub(crate) fn take(scene: &Scene, live: &Live, door: Option<&Door>) -> TcpListener {
    match door {
        None => {
            assert_eq!(scene.kind, Kind::Pods, "only in pods is a port known beforehand");
            in_namespace(&ground::of_pod(live, "s1"), INBOUND)
        }
        Some(door) => {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, chosen(scene))).unwrap();
            door.open();
            taken
        }
    }
}

fn in_namespace(namespace: &std::path::Path, port: u16) -> TcpListener {
    let file = File::open(namespace).unwrap();
    // A thread of its own, which takes the namespace with it when it ends.
    let listening = std::thread::spawn(move || {
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
            .unwrap();
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
    });
    listening.join().unwrap()
}

/// The first port that a HAProxy was told to listen on.
fn chosen(scene: &Scene) -> u16 {
    let configs = std::fs::read_dir(scene.hit()).unwrap().flatten().map(|entry| entry.path());
    let texts = configs.filter(|path| path.is_file()).filter_map(|path| std::fs::read_to_string(path).ok());
    let ports = texts.flat_map(|text| {
        let binds = text.lines().filter_map(|line| line.trim().strip_prefix("bind 127.0.0.1:").map(str::to_owned));
        binds.filter_map(|rest| rest.split(' ').next().and_then(|port| port.parse().ok())).collect::<Vec<u16>>()
    });
    ports.into_iter().next().expect("a configuration with a port")
}
