#!/usr/bin/env bash
# PID 1 of the virtual machine: what an init does before services, then the commands of the second disk.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc none /proc
mount -t sysfs none /sys
mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup
echo "+memory +pids +cpu" >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none /dev/pts
ln -sf pts/ptmx /dev/ptmx
mount -t tmpfs none /dev/shm
for folder in /tmp /run; do
	mount -t tmpfs none "$folder"
done
ip link set lo up
cat /dev/vdb >/run/commands
bash /run/commands
echo o >/proc/sysrq-trigger
while :; do
	sleep 1
done
