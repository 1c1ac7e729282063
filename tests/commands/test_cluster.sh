# The launch files of scripts/cluster: what is begun again, and what is not.
. "$(dirname "$0")/common.sh"

# pretend NAME LINE...: a program NAME that does that.
mkdir bin
pretend() { printf '%s\n' '#!/usr/bin/env bash' "${@:2}" > "bin/$1"; chmod +x "bin/$1"; }
PATH=$PWD/bin:$PATH

# ---- Slurm: srun ends with $CODE
pretend srun 'echo "$*" > srun.txt' 'exit "$CODE"'
pretend scontrol 'echo "$*" > scontrol.txt'

# job CODE WANTED [VARIABLE=VALUE...]: the exit code, and what scontrol was asked.
job()
{
    local code=$1 wanted=$2 said=
    shift 2
    checks=$((checks + 1))
    rm -f scontrol.txt
    env CODE="$code" SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=4 "$@" bash "$SOURCE/scripts/cluster/slurm.sbatch" my.yaml a.b=v 2> /dev/null
    local rc=$?
    [ -e scontrol.txt ] && said=$(cat scontrol.txt)
    [ "$said" = "$wanted" ] || fail "srun ended with $code ($*): scontrol was asked '$said', not '$wanted'"
    [ -n "$wanted" ] || [ $rc = "$code" ] || fail "srun ended with $code, the job with $rc"
}
job 0 ''
job 78 ''
job 130 ''
job 75 'requeue 7'
job 75 'requeue 7' SLURM_RESTART_COUNT=99
job 75 'requeue 5_3' SLURM_ARRAY_JOB_ID=5 SLURM_ARRAY_TASK_ID=3
job 76 'requeue 7'
job 137 'requeue 7' SLURM_RESTART_COUNT=4
job 137 '' SLURM_RESTART_COUNT=5
grep -q 'train --config my.yaml --threads 4 a.b=v train.resume_from_checkpoint=latest' srun.txt || fail "srun got: $(cat srun.txt)"

# ---- mpirun: ends with the words of $CODES, one after another
pretend mpirun 'echo "$*" >> mpirun.txt' 'n=$(grep -c . mpirun.txt)' 'exit "$(cut -d" " -f"$n" <<< "$CODES")"'

# launch CODE TIMES CODES: the exit code, and how often mpirun was called.
launch()
{
    checks=$((checks + 1))
    rm -f mpirun.txt
    CODES="$3" RESTARTS=3 bash "$SOURCE/scripts/cluster/mpirun.sh" 2 --config my.yaml 2> /dev/null
    local rc=$?
    [ $rc = "$1" ] || fail "mpirun.sh after '$3': exit code $rc, not $1"
    [ "$(grep -c . mpirun.txt)" = "$2" ] || fail "mpirun.sh after '$3': $(grep -c . mpirun.txt) calls, not $2"
}
launch 0 1 '0'
launch 78 1 '78 0'
launch 75 1 '75 0'
launch 0 3 '137 76 0'
launch 137 4 '137 137 137 137 0'

# SIGTERM becomes SIGUSR1, and mpirun is waited for
pretend mpirun 'trap "sleep 0.2; exit 75" USR1' 'echo $$ > mpirun.txt' 'while :; do sleep 0.05; done'
for signal in TERM INT USR1; do
    checks=$((checks + 1))
    rm -f mpirun.txt
    # what a shell starts in the background ignores SIGINT
    env --default-signal=INT bash "$SOURCE/scripts/cluster/mpirun.sh" 2 --config my.yaml &
    script=$!
    until [ -s mpirun.txt ]; do sleep 0.02; done
    kill "-$signal" $script
    wait $script
    rc=$?
    [ $rc = 75 ] || fail "SIG$signal to mpirun.sh: exit code $rc, not 75"
done
finish
