#!/usr/bin/env bash
# Measures meshtax beside other load generators on this machine, in alternation, and prints the ratios.
#
#   load-gen/benches/peers.sh max|h2|tls|rate|arrivals|all ... [--repeats 5] [--seconds 5] [--only meshtax,wrk]
#
#   max       HTTP/1.1 as fast as it goes, 32 connections
#   h2        HTTP/2 in cleartext as fast as it goes, 8 connections of 10 streams
#   tls       HTTP/1.1 over TLS 1.3 as fast as it goes, 32 connections
#   rate      10 000 requests/s, 32 connections
#   arrivals  1 000 and 10 000 requests/s as a server sees them come
#
# Of wrk, wrk2, h2load, oha and fortio it takes those on PATH. It needs nginx, openssl and python3, and two CPUs: the
# server has one, the generator another. MESHTAX names the program to measure; without it, and for `arrivals`, what
# this tree holds is built.
set -euo pipefail
here=$(dirname "$0")
[ $# -gt 0 ] || set -- --help
case " $* " in
  *' arrivals '* | *' all '*)
    (cd "$here/../.." && cargo build --release --locked --quiet -p load-gen --example recording_server)
    ;;
esac
# From the top of the tree, which is where the driver is run.
export RECORDING_SERVER=${CARGO_TARGET_DIR:-target}/release/examples/recording_server
# shellcheck source=load-gen/benches/driver.sh
. "$here/driver.sh"
