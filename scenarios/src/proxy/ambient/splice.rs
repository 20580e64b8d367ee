//! The bytes of a connection, carried through a stream of a tunnel or from one socket to another, both ways at once.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::stats::Carried;

/// How much is read at once: little at first, since most connections carry little; what fits in a TLS record beside
/// the frame's head once it carried more; and much for one that moves files. The steps are those of ztunnel 1.24.
fn reading_size(carried: u64) -> usize {
    match carried {
        0..0x2_0000 => 1024,
        0x2_0000..0xA0_0000 => 16_384 - 64,
        _ => 16 * 16_384 - 64,
    }
}

/// Whose connection it is at the socket's end.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The caller's.
    Caller,
    /// The callee's.
    Callee,
}

/// Carries the bytes of a connection through a stream until both sides have ended it, or one broke off.
pub(super) async fn through_tunnel(
    mut socket: TcpStream,
    mut send: SendStream<Bytes>,
    mut receive: RecvStream,
    end: End,
    carried: &Carried,
) -> io::Result<()> {
    let (mut from, mut to) = socket.split();
    let (sent, received) = match end {
        End::Caller => (&carried.there, &carried.back),
        End::Callee => (&carried.back, &carried.there),
    };
    // Where one way breaks off, the other is of no use: both ends learn of it by what is dropped here.
    tokio::try_join!(into_stream(&mut from, &mut send, sent), out_of_stream(&mut receive, &mut to, received))?;
    Ok(())
}

/// Carries the bytes of a caller that came in clear to its callee.
pub(super) async fn in_clear(mut caller: TcpStream, mut callee: TcpStream, carried: &Carried) -> io::Result<()> {
    let (mut from_caller, mut to_caller) = caller.split();
    let (mut from_callee, mut to_callee) = callee.split();
    tokio::try_join!(
        across(&mut from_caller, &mut to_callee, &carried.there),
        across(&mut from_callee, &mut to_caller, &carried.back)
    )?;
    Ok(())
}

async fn into_stream(from: &mut ReadHalf<'_>, to: &mut SendStream<Bytes>, counter: &AtomicU64) -> io::Result<()> {
    let (mut buffer, mut carried) = (BytesMut::new(), 0);
    loop {
        buffer.reserve(reading_size(carried));
        let n = from.read_buf(&mut buffer).await?;
        if n == 0 {
            return to.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        carried += n as u64;
        counter.fetch_add(n as u64, Relaxed);
        let mut data = buffer.split().freeze();
        while !data.is_empty() {
            let room = room(to, data.len()).await?;
            to.send_data(data.split_to(room.min(data.len())), false).map_err(io::Error::other)?;
        }
    }
}

/// Waits until the other side takes at least one more byte.
async fn room(to: &mut SendStream<Bytes>, wanted: usize) -> io::Result<usize> {
    to.reserve_capacity(wanted);
    while to.capacity() == 0 {
        match poll_fn(|cx| to.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
    Ok(to.capacity())
}

async fn out_of_stream(from: &mut RecvStream, to: &mut WriteHalf<'_>, counter: &AtomicU64) -> io::Result<()> {
    while let Some(data) = from.data().await {
        let data = data.map_err(io::Error::other)?;
        to.write_all(&data).await?;
        counter.fetch_add(data.len() as u64, Relaxed);
        from.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
    }
    to.shutdown().await
}

async fn across(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, counter: &AtomicU64) -> io::Result<()> {
    let (mut buffer, mut carried) = (BytesMut::new(), 0);
    loop {
        buffer.reserve(reading_size(carried));
        let n = from.read_buf(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        carried += n as u64;
        counter.fetch_add(n as u64, Relaxed);
        to.write_all_buf(&mut buffer).await?;
    }
}
