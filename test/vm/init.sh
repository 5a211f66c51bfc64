#!/bin/busybox sh
# shellcheck shell=dash
# The first program of the virtual machine: finds its disk and goes there.
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t devtmpfs none /dev
for module in /modules/*; do
	insmod "$module"
done
mount -t ext4 /dev/vda /disk && mount --move /dev /disk/dev && umount /proc &&
	exec switch_root /disk /bin/bash /inside.sh
poweroff -f
