//! `meshtax service`: the answering or forwarding program of a chain.

use std::net::SocketAddr;
use std::process::ExitCode;

use scenarios::service::{NextHop, Script, ServiceConfig, serve};

/// One service. It says on standard output where it listens, takes `next URL` (or, for a callee of its script, `next
/// NAME URL`) on standard input, and ends with it.
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
    /// What it does for each request instead of calling one next service: JSON, or a file with it, such as
    /// [{"calls":[{"service":"s2"},{"service":"s3","request_bytes":100,"probability":0.5}]},{"sleep_ns":1000000}]. The
    /// calls of a step are made at once, steps one after another. It answers 503 until all callees are named on standard
    /// input.
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["next", "expect_next"])]
    script: Option<Script>,
    /// The share of requests that it answers with an error of its own, 500, instead of calling anyone: 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    error_rate: f64,
    /// What errors and calls of a probability are drawn from; each of its threads draws for itself.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The subset it is of, such as v2: its answers say so in the header x-meshtax-subset, which comes back to the first
    /// caller.
    #[arg(long, value_name = "LABEL")]
    subset: Option<String>,
    /// Where it listens, once or several times; port 0 lets the kernel choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

pub(crate) fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let Args { name, work_us, response_bytes, next, expect_next, script, error_rate, seed, subset, listen, threads } =
        args;
    let script = script.unwrap_or_default();
    serve(ServiceConfig {
        name,
        listen,
        work_us,
        response_bytes,
        next,
        expect_next,
        script,
        error_rate,
        seed,
        subset,
        threads,
    })?;
    Ok(ExitCode::SUCCESS)
}
