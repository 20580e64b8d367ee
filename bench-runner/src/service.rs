//! `meshtax service`: the answering or forwarding program of a chain.

use std::net::SocketAddr;
use std::process::ExitCode;

use scenarios::service::{NextHop, ServiceConfig, serve};

/// One service. It says on standard output where it listens, takes `next URL` on standard input, and ends with it.
///
/// It answers HTTP/1.1 and, by prior knowledge, HTTP/2 with gRPC: meshtax.Echo/Unary and meshtax.Echo/ServerStream send
/// the message back, the latter as often as the header x-meshtax-messages says (10 times). A gRPC call is answered by
/// this service and not by the next.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its name in stamps and messages.
    #[arg(long)]
    name: String,
    /// CPU it burns for each request, in microseconds.
    #[arg(long, default_value_t = 0)]
    work_us: u64,
    /// Body bytes of its responses.
    #[arg(long, default_value_t = 0)]
    response_bytes: u64,
    /// The service it calls for each request: http://127.0.0.1:8080/.
    #[arg(long, value_name = "URL")]
    next: Option<NextHop>,
    /// Answer 503 until a next service is named on standard input.
    #[arg(long)]
    expect_next: bool,
    /// Where it listens; port 0 lets the kernel choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let Args { name, work_us, response_bytes, next, expect_next, listen, threads } = args;
    serve(ServiceConfig { name, listen, work_us, response_bytes, next, expect_next, threads })?;
    Ok(ExitCode::SUCCESS)
}
