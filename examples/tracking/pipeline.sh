#!/bin/bash
# The pipeline, with variants of every stage.
#
#   pipeline.sh here|mpi|slurm DIRECTORY [VARIANT...]
#
# here: one program after the other. mpi: the same, with stages that take events one by one on two
# ranks. slurm: a job for each, which waits for those whose results it needs.
#
# A variant shares with `base` all that comes before the stage in which it differs.
set -eu

mode=$1 out=$2
shift 2
variants=${*:-base cylindrical few narrow trees components}
tracking=$(cd "$(dirname "$0")" && pwd)
export TRACKING=$tracking
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # the matrices are small
declare -A job_of=()

stage() { # NAME DIRECTORY OPTION...: runs or submits a stage that writes to DIRECTORY
    local name=$1 to=$2 words=() after='' word
    shift 2
    case $mode:$name in
    slurm:*)
        for word; do
            after+=${job_of[$word]:+:${job_of[$word]}}
        done
        job_of[$to]=$(
            cmfd slurm submit --job-name="$name" ${after:+"--dependency=afterok$after"} \
                "$tracking/jobs/$name.sh" --out "$to" "$@"
        )
        echo "${job_of[$to]} $to"
        ;;
    mpi:generate | mpi:preprocess | mpi:graph | mpi:tracks)
        words=(mpirun -n 2 python "$tracking/$name.py" --ranks)
        ;;
    *)
        words=(python "$tracking/$name.py")
        ;;
    esac
    if [[ $mode != slurm ]]; then
        cmfd run --quiet --pipeline tracking --stage "$name" --name "${to#"$out/"}" -- \
            "${words[@]}" --out "$to" "$@"
    fi
}

# Each of these does a stage and all that come after it.
from_preprocess() { # VARIANT OPTION...
    stage preprocess "$out/$1/events" --raw "$out/raw" "${@:2}"
    from_embed "$1" "$out/$1/events"
}
from_embed() { # VARIANT EVENTS OPTION...
    stage embed "$out/$1/embedding" --events "$2" "${@:3}"
    from_graph "$1" "$2" "$out/$1/embedding"
}
from_graph() { # VARIANT EVENTS EMBEDDING OPTION...
    stage graph "$out/$1/graphs" --events "$2" --embedding "$3" "${@:4}"
    from_filter "$1" "$2" "$3" "$out/$1/graphs"
}
from_filter() { # VARIANT EVENTS EMBEDDING GRAPHS OPTION...
    stage filter "$out/$1/filter" --graphs "$4" "${@:5}"
    from_tracks "$1" "$2" "$3" "$out/$1/filter"
}
from_tracks() { # VARIANT EVENTS EMBEDDING FILTER OPTION...
    stage tracks "$out/$1/tracks" --events "$2" --embedding "$3" --filter "$4" "${@:5}"
    stage evaluate "$out/$1/evaluation" --events "$2" --tracks "$out/$1/tracks"
}

stage generate "$out/raw"
base=$out/base
for variant in $variants; do
    case $variant in
    base) from_preprocess base ;;
    cylindrical) from_preprocess cylindrical --features cylindrical ;;
    few) from_embed few "$base/events" --use 2 ;;
    narrow) from_graph narrow "$base/events" "$base/embedding" --radius 0.4 ;;
    trees)
        from_filter trees "$base/events" "$base/embedding" "$base/graphs" \
            --classifier trees --lr 0.1
        ;;
    components)
        from_tracks components "$base/events" "$base/embedding" "$base/filter" \
            --builder components
        ;;
    *) echo "there is no variant $variant" >&2 && exit 2 ;;
    esac
done
