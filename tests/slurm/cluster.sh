#!/usr/bin/env bash
# A real SLURM of one node with five counted GPUs (clones of /dev/null), without systemd, on one Debian machine, as root.
#
#   cluster.sh run COMMAND...   start it, run the command with POSTTX_SLURM=1, stop it whatever happens
#   cluster.sh start | stop     the two halves of `run`, by hand
#
# Exit code 77: it cannot run here; the line before says what is missing. Everything it writes lies under
# POSTTX_SLURM_BASE, but for three links in /etc/slurm, where the inner srun of a Snakemake job looks for its
# configuration; `stop` removes them.
set -euo pipefail

BASE=${POSTTX_SLURM_BASE:-/tmp/posttx-slurm}
# More than the machine has, so that the profile's own numbers fit: five folds side by side are what is tested.
CPUS=96
MEMORY_MB=400000
GPUS=5
# What a cancelled job has to end by itself, before SLURM kills it.
readonly KILL_SECONDS=30
readonly LINKS=(slurm.conf gres.conf cgroup.conf)
readonly CANNOT=77

say() { echo "SLURM test: $*" >&2; }

cannot() {
    say "cannot run here: $*"
    exit "$CANNOT"
}

install_slurm() {
    command -v slurmctld slurmd munged squeue >/dev/null && return
    command -v apt-get >/dev/null || cannot "SLURM is not installed, and there is no apt-get to install it with"
    say "installing slurm-wlm and munge ..."
    export DEBIAN_FRONTEND=noninteractive
    # The packages would start services of their own; Debian asks this file first.
    local policy=/usr/sbin/policy-rc.d own_policy="" installed=0
    if [ ! -e "$policy" ]; then
        own_policy=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    timeout 300 apt-get update -qq >/dev/null 2>&1 || true
    timeout 600 apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null 2>&1 || installed=$?
    [ -z "$own_policy" ] || rm -f "$own_policy"
    [ "$installed" = 0 ] || cannot "apt-get could not install slurm-wlm and munge"
}

check_machine() {
    [ "$(id -u)" = 0 ] || cannot "needs root, for the daemons and the GPU device files"
    [ "$(uname -s)" = Linux ] || cannot "needs Linux"
    install_slurm
    local link
    for link in "${LINKS[@]}"; do
        if [ -e "/etc/slurm/$link" ] && [ "$(readlink "/etc/slurm/$link")" != "$BASE/etc/$link" ]; then
            cannot "/etc/slurm/$link belongs to another SLURM"
        fi
    done
    mkdir -p "$BASE/run"
    rm -f "$BASE/run/probe"
    mknod -m 666 "$BASE/run/probe" c 1 3 2>/dev/null || cannot "mknod is not permitted"
    # A file system mounted with nodev makes the device, and then nobody can open it.
    (: >"$BASE/run/probe") 2>/dev/null || cannot "$BASE is on a file system without devices; set POSTTX_SLURM_BASE"
    rm -f "$BASE/run/probe"
}

# Processes are found by their group: at the end of a job SLURM kills what is left of it, as it does by cgroups on a
# cluster. By parents (proctrack/linuxproc) it loses a job's Snakemake whose shell has ended, and that one may hang:
# Snakemake 9.27 waits for a lock that it holds itself where a SIGTERM meets it while it handles a failed job.
configure() {
    local host gpu
    host=$(hostname -s)
    mkdir -p "$BASE"/{etc,run,log,spool/ctld,spool/d} /etc/slurm
    chmod 755 "$BASE" "$BASE/run"
    (umask 077 && head -c 128 /dev/urandom >"$BASE/etc/munge.key")
    for gpu in $(seq 0 $((GPUS - 1))); do
        rm -f "$BASE/run/fakegpu$gpu"
        mknod -m 666 "$BASE/run/fakegpu$gpu" c 1 3
    done
    echo "Name=gpu File=$BASE/run/fakegpu[0-$((GPUS - 1))]" >"$BASE/etc/gres.conf"
    echo "CgroupAutomount=no" >"$BASE/etc/cgroup.conf"
    cat >"$BASE/etc/slurm.conf" <<CONF
ClusterName=posttx
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$BASE/run/munge.sock
CryptoType=crypto/munge
StateSaveLocation=$BASE/spool/ctld
SlurmdSpoolDir=$BASE/spool/d
SlurmctldPidFile=$BASE/run/slurmctld.pid
SlurmdPidFile=$BASE/run/slurmd.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=5
MinJobAge=3600
KillWait=$KILL_SECONDS
InactiveLimit=0
GresTypes=gpu
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEMORY_MB Gres=gpu:$GPUS State=UNKNOWN
PartitionName=cpu Nodes=node1 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=node1 MaxTime=INFINITE State=UP
CONF
    local link
    for link in "${LINKS[@]}"; do
        ln -sfn "$BASE/etc/$link" "/etc/slurm/$link"
    done
}

start() {
    stop
    configure
    munged --key-file="$BASE/etc/munge.key" --socket="$BASE/run/munge.sock" --pid-file="$BASE/run/munged.pid" \
        --log-file="$BASE/log/munged.log" --seed-file="$BASE/run/munged.seed" --num-threads=2
    slurmctld -c -f "$BASE/etc/slurm.conf"
    slurmd -f "$BASE/etc/slurm.conf" -N node1
    local _
    for _ in $(seq 150); do
        if timeout 5 sinfo -h -o %T 2>/dev/null | grep -q idle; then
            say "one node, $GPUS GPUs, files under $BASE"
            return
        fi
        sleep 0.2
    done
    tail -n 5 "$BASE"/log/slurm*.log >&2
    say "the node did not come up"
    stop
    exit 1
}

# A process that has ended may wait for an init that does not collect it: that is no daemon any more.
alive() {
    kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

# Cancels all jobs and waits until none is left: without its daemons SLURM kills nobody who does not end by himself.
end_jobs() {
    local _
    timeout 20 scancel --quiet --user=root 2>/dev/null || return 0
    for _ in $(seq $((KILL_SECONDS + 15))); do
        [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] || return 0
        sleep 1
    done
    say "jobs do not end: $(timeout 5 squeue --noheader --format=%i,%T 2>/dev/null | tr '\n' ' ')"
}

# Fails where a daemon outlives its end.
stop() {
    local daemon pid link _ left=0
    [ ! -S "$BASE/run/munge.sock" ] || end_jobs
    for daemon in slurmd slurmctld munged; do
        pid=$(cat "$BASE/run/$daemon.pid" 2>/dev/null) || continue
        # The number in an old file may be somebody else's process by now.
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$daemon" ] || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 150); do
            alive "$pid" || break
            sleep 0.1
        done
        if alive "$pid"; then
            kill -9 "$pid" 2>/dev/null || true
            sleep 0.5
        fi
        if alive "$pid"; then
            say "$daemon (process $pid) does not stop"
            left=1
        fi
    done
    for link in "${LINKS[@]}"; do
        [ "$(readlink "/etc/slurm/$link")" != "$BASE/etc/$link" ] || rm -f "/etc/slurm/$link"
    done
    return "$left"
}

run() {
    check_machine
    # Bash leaves EXIT out where a signal ends it.
    trap 'exit 143' TERM HUP
    # A test that passed and left a daemon has failed.
    trap 'stop || exit 1' EXIT
    start
    # SLURM's clients look into /etc/slurm; a SLURM_CONF of the caller would lead them elsewhere.
    env -u SLURM_CONF POSTTX_SLURM=1 "$@"
}

case ${1:-} in
    run)
        shift
        run "$@"
        ;;
    start)
        check_machine
        start
        ;;
    stop) stop ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
