#!/bin/sh
# What the tests of Slurm need, from Debian's packages; as anyone but root only a note, and those tests are skipped.
command -v sbatch > /dev/null && command -v munged > /dev/null && command -v parallel > /dev/null && exit 0
[ "$(id -u)" = 0 ] || { echo "install.sh: not root: apt-get install slurm-wlm munge parallel" >&2; exit 0; }
export DEBIAN_FRONTEND=noninteractive
apt-get update -q && apt-get install -q -y --no-install-recommends slurm-wlm munge parallel
