#!/usr/bin/env bash
# Looks at what meshtax load takes of memory over time, and at a load over very many connections.
#
#   load-gen/benches/memory.sh [flat] [--seconds 600]
#   load-gen/benches/memory.sh connections [--seconds 20]
#
#   flat          20 000 requests/s over 1 000 connections: the resident memory, looked at every second, grows by less
#                 than 2 % after the first tenth of the time, and stays under 64 MiB
#   connections   5 000 requests/s over 10 000 connections: none fails or is reset
#
# Ends with 1 when that does not hold. It needs nginx, openssl and python3, and two CPUs: the server has one, the
# generator another. MESHTAX names the program to measure; without it, what this tree holds is built.
set -euo pipefail
# shellcheck source=load-gen/benches/driver.sh
. "$(dirname "$0")/driver.sh"
