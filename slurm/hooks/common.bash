# shellcheck shell=bash
# What cmfd's hooks have in common: read by each of them, never run.
#
# A hook has to be quick and must not fail, whatever is wrong on the node: it hands its work to a
# process in a session of its own, waits for it a short while, and ends with 0. Work that takes
# longer (a disk that hangs) goes on without it. Of what SLURM says only numbers and names are
# used; what a user chose freely is text in a file, and never part of a command or path.

# shellcheck source=hooks.conf
. "${0%/*}/hooks.conf"

PATH=/usr/bin:/bin # for what commands start in turn; nothing here is looked up in it
LC_ALL=C           # of patterns
umask 022

note() { # TEXT: to syslog, as cmfd[hook]
    /usr/bin/logger -t "cmfd[${0##*/}]" -p daemon.warning -- "job ${SLURM_JOB_ID-?}: $1"
}

# Run the hook's `work`, which is this same script called with "work", and wait a short while.
main() { # ARGUMENTS OF THE HOOK
    if [ "${1-}" = work ]; then
        if [ -n "${node_dir-}" ]; then work; else note "${0%/*}/hooks.conf cannot be read"; fi
        return
    fi
    # The pipe ends when the work does. Nothing of the hook's own descriptors is handed on: SLURM
    # waits until the last one who has them has closed them.
    exec 9< <(exec /usr/bin/setsid "$0" work </dev/null 2>/dev/null)
    read -r -t "$limit_s" -u 9
    if [ $? -gt 128 ]; then # and not 1, the pipe's end
        (note "more than $limit_s s are not waited for; it goes on in the background" &) \
            </dev/null >/dev/null 2>&1 9<&-
    fi
}

is_whole() { # TEXT...: is each a whole number?
    local text
    for text; do
        case $text in '' | *[!0-9]*) return 1 ;; esac
    done
}

# Learn which job this is; the file names that begin with `prefix` are its. Fails where SLURM did
# not say.
read_job() {
    cluster=${SLURM_CLUSTER_NAME-}
    component=${SLURM_JOB_ID-}
    job=${SLURM_HET_JOB_ID:-$component}
    restart=${SLURM_JOB_RESTART_COUNT:-0}
    if ! is_whole "$component" "$job" "$restart" "${SLURM_JOB_UID-}"; then
        note "SLURM did not say which job this is, or whose; nothing is told of it"
        return 1
    fi
    prefix=${cluster//[!A-Za-z0-9.-]/-}_$component
}

# Write what is known of the job; the file is there whole or not at all.
write_job() { # FILE FILE_TO_WRITE_FIRST
    local boot='' time_us=${EPOCHREALTIME/./}
    : "${time_us:=$(/usr/bin/date +%s%6N)}" # bash before 5 has no clock
    read -r boot </proc/sys/kernel/random/boot_id
    printf '%s=%s\n' \
        cluster "$cluster" job "$job" component "$component" restart "$restart" \
        uid "$SLURM_JOB_UID" gid "${SLURM_JOB_GID-}" user "${SLURM_JOB_USER-}" \
        account "${SLURM_JOB_ACCOUNT-}" partition "${SLURM_JOB_PARTITION-}" \
        nodes "${SLURM_JOB_NODELIST:-${SLURM_NODELIST-}}" node "${SLURMD_NODENAME-}" \
        time_us "$time_us" boot "$boot" >"$2" && /bin/mv -T -- "$2" "$1"
}
