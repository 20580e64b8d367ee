//! Entering a network namespace, and taking its name away.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::thread::LinkNameSpaceType;

use super::failed;
use crate::{Error, Result};

/// Moves the calling thread into a namespace, for good.
///
/// # Errors
/// [`Error::Network`] when there is none, or it may not be entered.
pub(crate) fn enter(namespace: &Path) -> Result<()> {
    let refused = |e: std::io::Error| failed(format!("enter the network namespace {}", namespace.display()), e);
    let file = File::open(namespace).map_err(refused)?;
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))
        .map_err(|e| refused(e.into()))
}

/// Runs something on a thread of its own inside a namespace, and waits for it. A panic in it goes on in the caller.
pub(super) fn within<T: Send>(namespace: &Path, f: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let inside = std::thread::Builder::new().name("pod".to_owned());
        let thread = inside.spawn_scoped(scope, || enter(namespace).map(|()| f())).map_err(|source| Error::Thread {
            part: "a network of pods".to_owned(),
            what: format!("no thread for the namespace {}", namespace.display()),
            source,
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Removes a name. The namespace itself goes when nobody is inside any more.
pub(super) fn remove_name(namespace: &Path) -> std::io::Result<()> {
    loop {
        match rustix::mount::unmount(namespace, UnmountFlags::DETACH) {
            // Mounts may lie on one another: until there is none left.
            Ok(()) => {}
            // Not mounted: a name whose maker was killed between its two steps, or which outlived a restart.
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(e) => return Err(e.into()),
        }
    }
    match std::fs::remove_file(namespace) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
