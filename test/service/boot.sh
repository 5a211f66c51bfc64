#!/usr/bin/env bash
# Becomes a machine of its own: systemd as PID 1 of new namespaces, on an overlay of / that is gone with it.
#
#   boot.sh enter FOLDER CGROUP...  joins the cgroups, makes the namespaces
#   boot.sh start FOLDER            in them: builds the tree, starts systemd
#
# FOLDER/files is laid over /. The cgroups are entered before their namespace is made: systemd takes the
# whole tree that it sees for its own. Where the controllers are those of version 1, the tree is a hybrid
# one, as systemd knows it. What belongs to the kernel of all (/proc/sys, /sys) is read-only.
set -euo pipefail

folder=$2
case $1 in
enter)
	for cgroup in "${@:3}"; do
		echo $$ >"$cgroup/cgroup.procs"
	done
	exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child --propagation private \
		-- bash "$0" start "$folder"
	;;
start)
	# Until our parent has left the cgroup.
	until [ -e "$folder/alone" ]; do
		sleep 0.02
	done
	;;
*) exit 2 ;;
esac

mount -t tmpfs -o mode=755 none "$folder/tree"
cd "$folder/tree"
mkdir upper work root
cp -a "$folder/files/." upper/
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work none root
cd root

mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro none sys
if [ -d /sys/fs/cgroup/memory ]; then
	mount -t tmpfs -o mode=755 none sys/fs/cgroup
	mkdir sys/fs/cgroup/unified
	mount -t cgroup2 none sys/fs/cgroup/unified
	for controller in memory pids cpu cpuacct; do
		mkdir "sys/fs/cgroup/$controller"
		mount -t cgroup -o "$controller" none "sys/fs/cgroup/$controller"
	done
else
	mount -t cgroup2 none sys/fs/cgroup
fi
mount -t tmpfs -o mode=755 none dev
# Nodes of its own: systemd changes the mode of what it takes for a terminal.
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs none dev/shm
: >dev/console
# The log of systemd itself goes where our standard error goes, a pty.
console=$(readlink /proc/self/fd/2)
case $console in
/dev/pts/*) mount --bind "$console" dev/console ;;
*)
	echo "boot.sh: standard error must be a pty" >&2
	exit 2
	;;
esac
mount -t tmpfs -o mode=755 none run
mount -t tmpfs none tmp

mkdir old
pivot_root . old
umount -l /old
# As on any machine; mounts for credentials travel that way.
mount --make-rshared /
exec env -i container=mozaiks PATH=/usr/sbin:/usr/bin \
	/lib/systemd/systemd --system --unit=mozaiks-test.target --log-target=console --show-status=0
