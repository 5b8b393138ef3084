#!/bin/bash
# Slurm of one node on the loopback interface, without systemd, for tests: one-node.sh up DIR, one-node.sh down DIR.
# `up` writes DIR/slurm.conf (for SLURM_CONF) and DIR/pids. Needs root, slurm-wlm and munge.
set -euo pipefail
action=${1:?up or down} folder=${2:?a folder}
if [ "$action" = down ]; then
    for pid in $(tac "$folder/pids"); do kill "$pid" 2>/dev/null || true; done
    rm -rf "$(cat "$folder/socket-folder")"
    exit
fi
fail() { echo "one-node.sh: $1; see $folder/log" >&2; "$0" down "$folder"; exit 1; }
node=$(hostname -s)
mkdir -p "$folder"/{munge,state,spool,log}
folder=$(realpath "$folder")
sockets=$(mktemp -d /tmp/one-node.XXXXXX)               # munged wants all folders above its socket searchable for all
chmod 0711 "$sockets"
echo "$sockets" > "$folder/socket-folder"
[ -f "$folder/munge/key" ] || (umask 077; dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none)
cat > "$folder/slurm.conf" <<CONF
ClusterName=loop
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$sockets/munge
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
KillWait=5
MinJobAge=3600
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
export SLURM_CONF=$folder/slurm.conf
munged --foreground --socket="$sockets/munge" --key-file="$folder/munge/key" --pid-file="$folder/munge/pid" --num-threads=2 \
    --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed" > "$folder/log/munged.out" 2>&1 < /dev/null &
echo $! > "$folder/pids"
for _ in $(seq 300); do [ -S "$sockets/munge" ] && break; sleep 0.1; done
[ -S "$sockets/munge" ] || fail "munged did not start"
slurmctld -D -i > "$folder/log/slurmctld.out" 2>&1 < /dev/null &
echo $! >> "$folder/pids"
slurmd -D -N "$node" > "$folder/log/slurmd.out" 2>&1 < /dev/null &
echo $! >> "$folder/pids"
for _ in $(seq 120); do
    sinfo --noheader --format=%T 2>/dev/null | grep -q idle && exit
    sleep 0.5
done
fail "no idle node after 60 s"
