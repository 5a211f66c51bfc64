# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash

set -euo pipefail
readonly CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly TOP=$PWD

# Debian's own tools first: another python3, meson or pkg-config on PATH would bring its own CPython.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
unset PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PYTHONHOME PYTHONPATH

say() { printf '%s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}
