#!/usr/bin/env bash
# mpirun.sh RANKS ARGUMENT... - `arttomus train ARGUMENT...` by that many ranks of this machine,
# begun again from the last checkpoint when a rank is lost:
#
#     scripts/cluster/mpirun.sh 4 --config my.yaml
#
# Ctrl+C, SIGTERM and SIGUSR1 save and stop, exit code 75.  mpirun alone would give its ranks one
# second after SIGTERM, and then kill them: only SIGUSR1 lets them save in peace.
#
# Environment: ARTTOMUS, the program (arttomus); RESTARTS, how often (5); MPIRUN_OPTIONS, for
# mpirun: --hostfile FILE for several machines, which need the same files under the same names.
set -um                                     # -m: Ctrl+C comes to this script, not to mpirun
program=${ARTTOMUS:-arttomus}
restarts=${RESTARTS:-5}
ranks=${1:?"how many ranks? mpirun.sh RANKS ARGUMENT..."}
shift
threads=$(($(nproc) / ranks))
[ "$threads" -gt 0 ] || threads=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

stopping=
save_and_stop() { stopping=1; kill -USR1 "$job" 2> /dev/null; }
trap save_and_stop INT TERM USR1

run()
{
    # Binding, mpirun's default, would leave each rank one core.
    mpirun -np "$ranks" --bind-to none ${MPIRUN_OPTIONS:-} "$program" train --threads "$threads" "$@" \
        train.resume_from_checkpoint=latest < /dev/null &
    job=$!
    wait "$job"
    rc=$?
    while kill -0 "$job" 2> /dev/null; do wait "$job"; rc=$?; done      # a trapped signal ends a wait
}

for ((try = 0; ; try++)); do
    run "$@"
    # 76: a rank was lost; 137, 139 ...: mpirun saw it die.  All else would happen again.
    [ $rc = 76 ] || [ $rc -gt 130 ] || exit $rc
    [ -z "$stopping" ] && [ $try -lt "$restarts" ] || exit $rc
    echo "mpirun.sh: a rank was lost (exit code $rc): restart $((try + 1)) of $restarts" >&2
done
