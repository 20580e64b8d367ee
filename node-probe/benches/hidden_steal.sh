#!/usr/bin/env bash
# Boots a guest whose hypervisor hides steal, beside a spinner on the same CPU, and compares what the guest's gap
# detector says with what the host knows: the run delay of QEMU's threads.
#
#   KERNEL=/boot/vmlinuz-... node-probe/benches/hidden_steal.sh [--seconds 8] [--cpu N] [--rounds 1]
#
# QEMU emulates the guest in software, so no /dev/kvm is needed, and its CPU has neither a paravirtual clock nor a
# steal counter. Each round boots it three times: beside nothing, beside a spinner of nice 10, beside one of nice 0.
# It needs qemu-system-x86_64, cpio, python3, and a kernel with a serial console built in: a distribution's cloud
# kernel has one (Debian: apt-get download linux-image-cloud-amd64's own dependency, and dpkg-deb -x it). The guest's
# disk is made of the programs and the libraries they are linked to. Ends with 1 when, beside a spinner of nice 0, the
# guest's figure is more than 10 % away from the run delay of the thread that is its CPU; that of all threads together
# is printed too, and is larger when QEMU's other threads wait as well. MESHTAX and SENSOR (node-probe's example gap_sensor) name programs to take;
# without them, what this tree holds is built.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
case "${1:-}" in
  -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' "$here/hidden_steal.sh"; exit 0 ;;
esac
for needed in qemu-system-x86_64 cpio python3 ldd taskset; do
  command -v "$needed" >/dev/null || { echo "hidden_steal.sh needs $needed; install it first" >&2; exit 2; }
done
[ -z "${MESHTAX:-}" ] || MESHTAX=$(realpath "$MESHTAX")
[ -z "${SENSOR:-}" ] || SENSOR=$(realpath "$SENSOR")
kernel=${KERNEL:-$(find /boot -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -n 1)}
[ -f "$kernel" ] || { echo "no kernel: name one with KERNEL=PATH (there is none in /boot)" >&2; exit 2; }
kernel=$(realpath "$kernel")
cd "$here/../.." || exit 2
target=${CARGO_TARGET_DIR:-target}
if [ -z "${MESHTAX:-}" ]; then
  cargo build --locked --release --quiet -p bench-runner
  MESHTAX=$target/release/meshtax
fi
if [ -z "${SENSOR:-}" ]; then
  cargo build --locked --release --quiet -p node-probe --example gap_sensor
  SENSOR=$target/release/examples/gap_sensor
fi

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

tree=$temp/tree
mkdir -p "$tree"/{bin,proc,sys,dev}
put() { # FILE PLACE: a program with the libraries it is linked to, each at its own place
  cp -L "$1" "$tree$2"
  ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$tree$(dirname "$library")"
    cp -Ln "$library" "$tree$library"
  done || true
}
put "$(command -v sh)" /bin/sh
put "$(command -v mount)" /bin/mount
put "$MESHTAX" /bin/meshtax
put "$SENSOR" /bin/gap_sensor
cat >"$tree/init" <<'INIT'
#!/bin/sh
# The guest: waits for a line with the seconds to watch, and says when each part begins and ends.
/bin/mount -t proc proc /proc
/bin/mount -t sysfs sys /sys
/bin/mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
echo "MARK ready"
read -r seconds
echo "MARK begin"
/bin/meshtax probe --gaps "${seconds}s" --format json
echo "MARK end"
/bin/gap_sensor "$seconds"
while read -r line; do case $line in "cpu "*) echo "MARK stat $line" ;; esac; done </proc/stat
echo "MARK done"
echo b >/proc/sysrq-trigger
INIT
chmod +x "$tree/init"
(cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$temp/initramfs.gz"

python3 -B "$here/hidden_steal.py" --kernel "$kernel" --initramfs "$temp/initramfs.gz" "$@" &
driver=$!
wait "$driver"
