# shellcheck shell=bash
# What the drivers of this directory share, each of which sources it: shows the comment at the driver's head, finds the
# program to measure, runs the Python file that is called as the driver is, and ends and removes what that leaves.
name=$(basename "$0" .sh)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -z "${MESHTAX:-}" ] || MESHTAX=$(realpath "$MESHTAX")
cd "$here/../.." || exit 2

case "${1:-}" in
  -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$here/$name.sh"; exit 0 ;;
esac
for needed in python3 nginx openssl; do
  command -v "$needed" >/dev/null || { echo "$name.sh needs $needed; install it first" >&2; exit 2; }
done
if [ -z "${MESHTAX:-}" ]; then
  cargo build --release --locked --quiet -p bench-runner
  MESHTAX=${CARGO_TARGET_DIR:-target}/release/meshtax
fi
export MESHTAX

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
python3 -B "$here/$name.py" --temp "$temp" "$@" &
driver=$!
wait "$driver"
