//! `meshtax clean`: removes what a run left behind whose runner and warden were both killed.

use std::process::ExitCode;

use crate::exit::Exit;
use crate::report::print;

pub(crate) fn execute() -> anyhow::Result<ExitCode> {
    let mut removed = scenarios::limits::sweep_stale();
    removed.extend(scenarios::network::sweep_stale());
    removed.extend(crate::scratch::sweep_stale());
    if removed.is_empty() {
        print("nothing was left behind")?;
    }
    for path in removed {
        print(&format!("removed {}", path.display()))?;
    }
    Ok(Exit::Done.into())
}
