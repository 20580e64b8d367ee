#!/usr/bin/env bash
# Stops the target or the generator for a second in mid-load, and judges whether meshtax tells the whole of it.
#
#   load-gen/benches/stalls.sh [--repeats 3] [--only c,d,g]
#
#   c   nginx is stopped for 1 s in mid-run
#   d   the generator is stopped for 1 s in mid-run
#   g   nginx is stopped from 0.5 s before the end until 0.5 s after it
#
# 2 000 requests/s for 10 s over 32 connections; in each case 1 % of them wait between 0.90 and 1.00 s. Ends with 1
# when a p99 is more than 0.02 s away from that, a request is missing, or the wrong side is named. It needs nginx,
# openssl and python3, and two CPUs: the server has one, the generator another. MESHTAX names the program to measure;
# without it, what this tree holds is built.
set -euo pipefail
# shellcheck source=load-gen/benches/driver.sh
. "$(dirname "$0")/driver.sh"
