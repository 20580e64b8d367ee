//! The proxies of this machine that a plan needs: where they were named, found, and kept with a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use record::{Cell, Dataplane};
use scenarios::proxy::envoy::{self, EnvoyProgram};
use scenarios::proxy::packaged::{self, PackagedProgram};

use crate::exit::Usage;

/// Where proxies are that aren't on PATH.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ProgramArgs {
    /// The Envoy binary, if it isn't on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// The HAProxy binary, if it isn't on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) haproxy: Option<PathBuf>,
    /// The nginx binary, if it isn't on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) nginx: Option<PathBuf>,
}

/// Those that some cell needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs {
    pub(crate) envoy: Option<EnvoyProgram>,
    pub(crate) haproxy: Option<PackagedProgram>,
    pub(crate) nginx: Option<PackagedProgram>,
}

impl ProgramArgs {
    /// Finds what these cells need, and nothing else.
    pub(crate) fn find(&self, cells: &[Cell]) -> anyhow::Result<Programs> {
        let needed = |dataplane| cells.iter().any(|c| c.factors.dataplane == dataplane);
        let packaged = |dataplane, named: &Option<PathBuf>| {
            needed(dataplane).then(|| packaged::find(dataplane, named.as_deref())).transpose()
        };
        Ok(Programs {
            envoy: needed(Dataplane::Envoy).then(|| envoy::find(self.envoy.as_deref())).transpose()?,
            haproxy: packaged(Dataplane::Haproxy, &self.haproxy)?,
            nginx: packaged(Dataplane::Nginx, &self.nginx)?,
        })
    }
}

impl Programs {
    /// Where they are.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let Self { envoy, haproxy, nginx } = self;
        let packaged = [haproxy, nginx].into_iter().flatten().map(|program| program.path.as_path());
        envoy.iter().map(|program| program.path.as_path()).chain(packaged)
    }

    /// Their versions, as a run keeps them.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let Self { envoy, haproxy, nginx } = self;
        let mut versions = BTreeMap::new();
        if let Some(envoy) = envoy {
            versions.insert("envoy".to_owned(), envoy.version.clone());
            versions.insert("envoy build".to_owned(), envoy.build.clone());
        }
        for program in [haproxy, nginx].into_iter().flatten() {
            versions.insert(program.dataplane.to_string(), program.version.clone());
        }
        versions
    }

    /// Whether they are those that a run was begun with.
    pub(crate) fn expect(&self, begun_with: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let Self { envoy, haproxy, nginx } = self;
        let then = |what: &str| begun_with.get(what).map_or("?", String::as_str);
        if let Some(found) = envoy {
            let was = format!("{} {}", then("envoy"), then("envoy build"));
            same("Envoy", "envoy", &was, &format!("{} {}", found.version, found.build), &found.path)?;
        }
        for found in [haproxy, nginx].into_iter().flatten() {
            let (name, flag) =
                (if found.dataplane == Dataplane::Haproxy { "HAProxy" } else { "nginx" }, found.dataplane);
            same(name, flag.word(), then(flag.word()), &found.version, &found.path)?;
        }
        Ok(())
    }
}

fn same(name: &str, flag: &str, was: &str, is: &str, path: &std::path::Path) -> anyhow::Result<()> {
    if was == is {
        return Ok(());
    }
    let said = format!(
        "this run was begun with {name} {was}, and {} is {is}\n  try: --{flag} PATH with the same; figures of two do not belong in one run",
        path.display(),
    );
    Err(Usage(said).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nginx(version: &str) -> Programs {
        let nginx =
            PackagedProgram { dataplane: Dataplane::Nginx, path: "/x/nginx".into(), version: version.to_owned() };
        Programs { nginx: Some(nginx), ..Programs::default() }
    }

    #[test]
    fn a_run_goes_on_with_the_version_that_it_was_begun_with() {
        let begun = nginx("1.22.1").versions();
        assert_eq!(begun, [("nginx".to_owned(), "1.22.1".to_owned())].into());
        nginx("1.22.1").expect(&begun).unwrap();
        let said = nginx("1.26.0").expect(&begun).unwrap_err().to_string();
        assert_eq!(
            said,
            "this run was begun with nginx 1.22.1, and /x/nginx is 1.26.0\n  \
             try: --nginx PATH with the same; figures of two do not belong in one run"
        );
        assert!(nginx("1.22.1").expect(&BTreeMap::new()).unwrap_err().to_string().contains("begun with nginx ?"));
    }
}
