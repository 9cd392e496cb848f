#!/usr/bin/env bash
# A Slurm of one node for tests, all of whose files are in one folder.
#
#     workflow/tests/slurm.sh start DIR [CPUS]    # then: export SLURM_CONF=DIR/slurm.conf
#     workflow/tests/slurm.sh stop DIR
#
# Needs root, the packages slurm-wlm and munge, and a machine that has no Slurm of its own. There is a partition `low`,
# whose jobs are put back into the queue when a job of the partition `urgent` needs their place. There is no accounting:
# snakemake asks squeue.
set -euo pipefail

action=${1:?start or stop}
mkdir -p "${2:?a folder}"
dir=$(cd "$2" && pwd)
conf=$dir/slurm.conf
# Where Slurm's programs look without SLURM_CONF, which Snakemake keeps from those that it starts within a job.
system_conf=/etc/slurm/slurm.conf

stop() {
  # Only what this folder's files name, and only while it is still the same program.
  for name in slurmd slurmctld munged; do
    pid=$(cat "$dir/$name.pid" 2>/dev/null || true)
    if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ]; then
      kill "$pid"
      for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
    fi
    rm -f "$dir/$name.pid"
  done
  if [ "$(readlink "$system_conf" 2>/dev/null)" = "$conf" ]; then rm "$system_conf"; fi
}

if [ "$action" = stop ]; then
  stop
  exit 0
fi

cpus=${3:-2}
for program in munged slurmctld slurmd; do
  command -v "$program" >/dev/null || { echo "error: $program is not installed (packages slurm-wlm, munge)" >&2; exit 3; }
done
stop
if [ -e "$system_conf" ]; then
  echo "error: there is a Slurm on this machine already ($system_conf)" >&2
  exit 3
fi
mkdir -p "$dir/state" "$dir/spool" "$dir/log"
memory_mb=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
[ -f "$dir/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
cat >"$conf" <<CONF
ClusterName=somata
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=1,sched_min_interval=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# How long a job that loses its place has between SIGTERM and SIGKILL, in seconds.
KillWait=20
# How long squeue knows of a job that ended; snakemake relies on it.
MinJobAge=600
ReturnToService=2
NodeName=node1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory_mb State=UNKNOWN
PartitionName=low Nodes=node1 Default=YES PriorityTier=1 State=UP
PartitionName=urgent Nodes=node1 PriorityTier=10 PreemptMode=OFF State=UP
CONF
ln -s "$conf" "$system_conf"
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
  --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" --num-threads=2
slurmctld -f "$conf"
slurmd -f "$conf" -N node1
export SLURM_CONF=$conf
for _ in $(seq 100); do
  if [ "$(sinfo -h -p low -o %T 2>/dev/null)" = idle ]; then exit 0; fi
  sleep 0.2
done
echo "error: the node did not become idle; see $dir/log" >&2
sinfo >&2 || true
exit 1
