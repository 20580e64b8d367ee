//! Ports of loopback for proxies that must be told which to listen on, kept free of others until they do.
//!
//! HAProxy and nginx do not say which port the kernel gave them, so theirs are chosen before they start. A port that is
//! chosen, let go and bound later can be taken in between. Here it is bound, and stays so until the proxy listens: the
//! kernel gives a bound port to no one who asks for any. Who asks for this very port gets it where both sides set
//! SO_REUSEADDR and no one listens yet (tcp(7), socket(7)), which is what the proxies do with all their ports.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port that nobody gets by chance; dropping it lets it go.
#[derive(Debug)]
pub(super) struct HeldPort {
    _socket: Socket,
    pub(super) address: SocketAddr,
}

impl HeldPort {
    /// Has the kernel choose one of this address.
    ///
    /// # Errors
    /// What the kernel says where there is none left.
    pub(super) fn any(at: IpAddr) -> std::io::Result<Self> {
        let socket = Socket::new(if at.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }, Type::STREAM.cloexec(), None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(at, 0).into())?;
        let bound = socket.local_addr()?;
        let address = bound.as_socket().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { _socket: socket, address })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    /// Listens as HAProxy and nginx do.
    fn listening(address: SocketAddr, reuse: bool) -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(reuse)?;
        socket.bind(&address.into())?;
        socket.listen(16)?;
        Ok(socket)
    }

    #[test]
    fn its_proxy_may_listen_on_a_held_port_and_others_do_not_get_it() {
        let held = HeldPort::any(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert!(TcpStream::connect(held.address).is_err(), "nobody listens yet");
        assert!(listening(held.address, false).is_err(), "only who says so may share it");
        for _ in 0..2000 {
            assert_ne!(HeldPort::any(Ipv4Addr::LOCALHOST.into()).unwrap().address, held.address);
        }
        let proxy = listening(held.address, true).unwrap();
        TcpStream::connect(held.address).unwrap();
        assert!(listening(held.address, true).is_err(), "one listens");
        let address = held.address;
        drop(held);
        TcpStream::connect(address).unwrap();
        drop(proxy);
    }
}
