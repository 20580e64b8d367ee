//! Sockets made inside a workload's pod by a process that stands outside of it.
//!
//! A socket belongs for life to the namespace its thread was in when it was made, and to that thread's user: who uses
//! it later, and where, makes no difference. So whoever makes one enters the pod first, and since nobody makes a socket
//! without that, a thread may stay where it was last.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::process::Signal;
use rustix::thread::{CapabilitySet, LinkNameSpaceType};
use tokio::net::{TcpSocket, TcpStream};

use crate::error::file_error;
use crate::launch::take_credentials;
use crate::ports::in_time;
use crate::{Error, Result};

/// Connections the kernel keeps until we take them: a generator may open all of its own at once.
const BACKLOG: u32 = 4096;

/// Where the sockets of a workload are made.
pub(super) struct Inside {
    /// None is where the process is.
    namespace: Option<File>,
}

impl Inside {
    pub(super) fn of(namespace: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| File::open(path).map_err(file_error("open the namespace", path));
        Ok(Self { namespace: namespace.map(open).transpose()? })
    }

    /// Listens inside; port 0 lets the kernel choose. Returns the address it chose.
    pub(super) fn listen(&self, part: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
        let bound = || {
            let socket = self.socket()?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?.into_std()?;
            let chosen = listener.local_addr()?;
            Ok((listener, chosen))
        };
        bound().map_err(|source| Error::Listen { part: part.to_owned(), address, source })
    }

    /// Connects from inside, without Nagle's delay.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket()?;
        let stream = in_time(socket.connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn socket(&self) -> io::Result<TcpSocket> {
        if let Some(namespace) = &self.namespace {
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        TcpSocket::new_v4()
    }
}

/// Becomes a user and its group, and keeps of all rights that to enter namespaces.
///
/// Must come before the first thread is started: it is about the calling thread and those that it starts later. A pod's
/// rules know what is not to be redirected to the proxy again by the user who made the socket.
pub(super) fn become_user(part: &str, id: u32) -> Result<()> {
    let parent = rustix::process::getppid();
    let become_it = || {
        take_credentials(id, CapabilitySet::SYS_ADMIN)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
    };
    let refused = |source: io::Error| Error::Thread {
        part: part.to_owned(),
        what: format!("it may not become user and group {id} with the right to enter namespaces"),
        source,
    };
    become_it().map_err(|e| refused(e.into()))?;
    if rustix::process::getppid() != parent {
        return Err(refused(io::Error::other("the parent ended meanwhile")));
    }
    Ok(())
}
