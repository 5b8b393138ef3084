#!/bin/bash
# Submits tables of results, or a sweep, to Slurm: an array of shards, and a merge that waits for all of them to end. Where a shard did
# not get to its end, the merge ends with 1 and its tables have empty places.
#
#   tools/slurm/reproduce.sh SHARDS DIR [options of fedclamp reproduce]
#   tools/slurm/reproduce.sh SHARDS DIR sweep GRID.conf [options of fedclamp sweep]
#   tools/slurm/reproduce.sh 16 results/paper main --scale paper --data data/fashion-mnist.h5 --synthetic holdout:10000
#
# DIR must be on a file system that all nodes share; DIR/part-I is the folder of shard I, DIR/merged the result, DIR/log the
# output. Safe to call again with the same arguments after a failure, a time limit or scancel: what is finished is skipped,
# what was begun is resumed. Refuses while jobs of an earlier call are still in the queue.
#
# A time limit loses nothing: Slurm sends USR1 half a minute before it (up to a minute earlier still), and the executable saves
# and ends within 5 s, with 138. The same call again goes on from there.
#
#   FEDCLAMP=fedclamp     the executable, on every node
#   SBATCH_OPTIONS=       for every shard, such as "--time=4:00:00 --cpus-per-task=8 --partition=short"
set -euo pipefail
[ $# -ge 2 ] && [[ $1 =~ ^[1-9][0-9]*$ ]] || { sed -n '5,7s/^# *//p' "$0" >&2; exit 64; }
shards=$1 folder=$(mkdir -p "$2/log" && realpath "$2"); shift 2
command=reproduce
[ "${1-}" != sweep ] || { command=sweep; shift; }
fedclamp=$(command -v "${FEDCLAMP:-fedclamp}") || { echo "reproduce.sh: the executable ${FEDCLAMP:-fedclamp} is not there" >&2; exit 2; }
fedclamp=$(realpath "$fedclamp")
name="fedclamp-$(printf %s "$folder" | cksum | cut -d ' ' -f 1)"
command -v sbatch squeue > /dev/null || { echo "reproduce.sh: expected Slurm's commands sbatch and squeue on the PATH" >&2; exit 2; }
queued=$(squeue --noheader --name="$name" --format=%A | sort -u | tr '\n' ' ')
[ -z "$queued" ] || { echo "reproduce.sh: jobs of $folder are in the queue: $queued(scancel --name=$name removes them)" >&2; exit 2; }

# Task I is shard I of $shards, also when Slurm runs only some of them again. B: the signal goes to the batch shell, which exec
# has made the executable; so do those of scancel and of a requeue (TERM: 143).
options=$(printf ' %q' "$@")
read -ra extra <<< "${SBATCH_OPTIONS:-}"
array=$(sbatch --parsable --job-name="$name" --array="1-$shards" --requeue --open-mode=append --signal=B:USR1@30 --output="$folder/log/%a.log" "${extra[@]}" --wrap \
    "exec $(printf %q "$fedclamp") $command$options --threads \${SLURM_CPUS_PER_TASK:-1} --shard \$SLURM_ARRAY_TASK_ID/$shards --out $(printf %q "$folder")/part-\$SLURM_ARRAY_TASK_ID")
# "id", or "id;cluster" where sites have several clusters: the merge goes to the same one. What else a site's sbatch says is left out.
array=$(grep -E '^[0-9]+(;[^;]+)?$' <<< "$array" | tail -n 1) || { echo "reproduce.sh: expected the number of a job from sbatch" >&2; exit 2; }
cluster=${array#"${array%%;*}"} array=${array%%;*}
merge=$(sbatch --parsable --job-name="$name" ${cluster:+--clusters="${cluster#;}"} --dependency="afterany:$array" --open-mode=append --output="$folder/log/merge.log" --wrap \
    "exec $(printf %q "$fedclamp") merge $(for shard in $(seq "$shards"); do printf '%q ' "$folder/part-$shard"; done)--out $(printf %q "$folder/merged")")
echo "array $array of $shards shards, merge ${merge%%;*}${cluster:+ on ${cluster#;}}: $folder/merged"
