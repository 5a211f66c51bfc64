#!/bin/sh
# Lets libFuzzer look for new inputs for FUZZ_SECONDS (60). What it finds stays out of the corpus; an
# input that breaks something is printed and kept in FUZZ_ARTIFACTS (the current directory).
#
#   long.sh PROGRAM CORPUS
set -eu
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
# libFuzzer's own status for a crash is 77, which meson takes for a test that could not run.
"$1" -error_exitcode=1 -timeout_exitcode=1 -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	-artifact_prefix="${FUZZ_ARTIFACTS:-.}/" "$found" "$2"
