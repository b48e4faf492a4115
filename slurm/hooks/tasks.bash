# shellcheck shell=bash
# What TaskProlog and TaskEpilog have in common: read by each of them, never run.
#
# SLURM runs them as the user, around every task of every step. They note in the user's own directory
# for journals when a task began and ended; the node's daemon puts that into the run when the job is
# over. It is for tasks that nothing else stands beside: it says nothing of how they ended.

# shellcheck source=hooks.conf
. "${0%/*}/hooks.conf"

tell() { # begin|end
    local at_us=${EPOCHREALTIME/[.,]/}
    if may_fork; then
        # The pipe ends when the line is written; a disk that hangs is not waited for.
        exec 9< <(exec </dev/null 2>/dev/null && tell_at_once "$1")
        read -r -t "$limit_s" -u 9
    else
        [ -n "$at_us" ] || printf -v at_us '%(%s)T000000' -1
        tell_at_once "$1" </dev/null 2>/dev/null
    fi
}

# Is there surely room for a process more? At the user's limit bash would try for 15 seconds to make
# one. (Counted are all that there are, of all users: those are known at once.)
may_fork() {
    local what='' limit='' all=''
    while [ "$what" != processes ] && read -r _ what limit _; do :; done </proc/$$/limits
    read -r _ _ _ all _ </proc/loadavg
    [[ $limit == *[!0-9]* ]] || [ $((limit - ${all#*/})) -gt 64 ]
}

tell_at_once() { # begin|end
    local directory=$node_dir/journals/$EUID step
    [ -d "$directory" ] || return
    : "${at_us:=$(/usr/bin/date +%s%6N)}" # bash before 5 has no clock
    case ${SLURM_STEP_ID-} in
        '' | 4294967291) step='batch' ;;
        4294967290) step=interactive ;;
        *) step=$SLURM_STEP_ID ;;
    esac
    umask 027 # the daemon reads it by its group
    local LC_ALL=C cluster=${SLURM_CLUSTER_NAME//[!A-Za-z0-9.-]/-}
    echo "$1 $step ${SLURM_PROCID:-0} $at_us" \
        >>"$directory/${cluster}_${SLURM_JOB_ID//[!0-9]/}_${SLURM_RESTART_COUNT:-0}.tasks"
}
