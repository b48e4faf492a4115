#!/bin/bash
# PID 1 of a machine of a test cluster: makes its file system, its network, and then runs what the
# machine is for. Started in namespaces of its own (see machine.py); killing it is a power cut.
#
#   init.sh DIRECTORY NAME ADDRESS [SOURCE TARGET]...
#
#   DIRECTORY   disk/ (what the machine writes), work/, new/ (where its root is put together)
#   SOURCE      a directory of this machine that is seen at TARGET, read-only unless it is ROOT
#
# Variables: ROOT, the cluster's directory; SLURM_CONF; LIFELINE, a FIFO, for the head: it ends when
# nobody holds that open any more; WATTS: a counter of energy is simulated at /sys/cray/pm_counters.
set -eu
umask 022
dir=$1 name=$2 address=$3
shift 3
new=$dir/new
environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    SLURM_CONF="$SLURM_CONF")

mount_sys() {
    if [ -z "${WATTS:-}" ]; then
        mount --rbind /sys "$new/sys"
        return
    fi
    # Nobody can make a directory in /sys: a tmpfs with all that is in the real one, and one more.
    mount -t tmpfs -o mode=755 tmpfs "$new/sys"
    local item
    for item in /sys/*; do
        mkdir "$new$item"
        mount --rbind "$item" "$new$item"
    done
    mkdir -p "$new/sys/cray/pm_counters"
}

mount_root() {
    mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/disk,workdir=$dir/work" "$new"
    mount --rbind /dev "$new/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"
    mount -t proc proc "$new/proc"
    mount -t tmpfs -o mode=755 tmpfs "$new/run"
    mount_sys
    while [ $# -gt 0 ]; do
        if [ "$1" = "$ROOT" ]; then
            mount --bind "$1" "$new$2"
        else
            mount -o bind,ro "$1" "$new$2"
        fi
        shift 2
    done
    cd "$new"
    mkdir -p .old
    pivot_root . .old
    umount -l /.old
    rmdir /.old
    cd /
}

# Millijoules, added up from the watts in a file that a test may change. As the kernel does, each
# file stays the same one, and a reader never sees half: it is written at once, over what was there.
count_energy() {
    local counters=/sys/cray/pm_counters energy=1000000 before now watts
    echo "$WATTS" >"$dir/watts"
    before=$(date +%s%3N)
    while true; do
        now=$(date +%s%3N)
        read -r watts <"$dir/watts" || watts=0
        energy=$((energy + watts * (now - before)))
        before=$now
        printf '%d J %d us\n' $((energy / 1000)) "${now}000" 1<>$counters/energy
        printf '%4d W %d us\n' "$watts" "${now}000" 1<>$counters/power
        sleep 0.2
    done
}

be_head() {
    ip link add br0 type bridge
    ip address add "$address/16" dev br0
    ip link set br0 up
    touch "$dir/ready"
    if [ -n "$LIFELINE" ]; then
        read -r _ <"$LIFELINE" || true
        exit
    fi
    while true; do
        sleep 86400 &
        wait $!
    done
}

be_node() {
    read -r _ <"$dir/gate" || true # it has eth0 now
    ip address add "$address/16" dev eth0
    ip link set eth0 up
    if [ -n "${WATTS:-}" ]; then count_energy & fi
    env -i "${environment[@]}" slurmd -D -N "$name" &
    wait $!
}

hostname "$name"
mount_root "$@"
ip link set lo up
if [ -n "${LIFELINE+head}" ]; then be_head; else be_node; fi
