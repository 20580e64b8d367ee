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
here=$(cd "$(dirname "$0")" && pwd)
[ -z "${MESHTAX:-}" ] || MESHTAX=$(realpath "$MESHTAX")
cd "$here/../.."
target=${CARGO_TARGET_DIR:-target}

case "${1:-}" in
  '' | -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$here/peers.sh"; exit 0 ;;
esac
for needed in python3 nginx openssl; do
  command -v "$needed" >/dev/null || { echo "peers.sh needs $needed; install it first" >&2; exit 2; }
done
if [ -z "${MESHTAX:-}" ]; then
  cargo build --release --quiet -p bench-runner
  MESHTAX=$target/release/meshtax
fi
case " $* " in
  *' arrivals '* | *' all '*) cargo build --release --quiet -p load-gen --example recording_server ;;
esac
export MESHTAX RECORDING_SERVER=$target/release/examples/recording_server

# Whoever of the two is killed, the other one cleans up.
temp=$(mktemp -d)
driver=
cleanup() {
  [ -z "$driver" ] || { kill "$driver" 2>/dev/null || true; wait "$driver" 2>/dev/null || true; }
  rm -rf "$temp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
python3 "$here/peers.py" --temp "$temp" "$@" &
driver=$!
wait "$driver"
