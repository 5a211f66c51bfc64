#!/bin/sh
# The format of the C files, and what shellcheck says of the scripts and groff of the manual pages.
#
#   style.sh format|manual|shell
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
format)
	# Another version formats differently.
	if ! clang-format --version | grep -q 'version 14\.'; then
		echo "not run: clang-format 14 (Debian 12's) is missing"
		exit 77
	fi
	bad=$(find common director pluginhost plugins test \( -name node_modules -prune \) -o \
		\( -name '*.c' -o -name '*.h' \) -print0 |
		xargs -0 clang-format --dry-run -Werror --style=file 2>&1 |
		sed -n 's/^\([^ ]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort -u)
	if [ -n "$bad" ]; then
		echo "not formatted (clang-format -i):"
		echo "$bad"
		exit 1
	fi
	;;
manual)
	if ! command -v groff >/dev/null; then
		echo "not run: groff is missing"
		exit 77
	fi
	bad=$(find common director pluginhost plugins -name '*.[1-8]' -print0 |
		xargs -0 -n 1 groff -K utf8 -man -Tutf8 -rLL=100n -ww -z 2>&1)
	if [ -n "$bad" ]; then
		echo "$bad"
		exit 1
	fi
	;;
shell)
	if ! command -v shellcheck >/dev/null; then
		echo "not run: shellcheck is missing"
		exit 77
	fi
	grep -rlE '^#!.*\b(ba)?sh$' scripts .ci test --include='*' |
		xargs shellcheck -x -P SCRIPTDIR
	;;
*)
	echo "usage: style.sh format|manual|shell" >&2
	exit 2
	;;
esac
