# mpi.sh - sourced after common.sh by the tests of several ranks: starting them on this machine,
# and looking for what is left of them.  Without mpirun the test is skipped.
command -v mpirun > /dev/null || { echo "no mpirun: skipped"; exit 77; }
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
# What MPI does with its own memory and locks is not ours to test.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
export TSAN_OPTIONS="${TSAN_OPTIONS:-}:ignore_noninstrumented_modules=1:detect_deadlocks=0"
MPIRUN_OPTIONS=

# ranks N COMMAND...: more ranks than cores are allowed.
ranks()
{
    local n=$1
    shift
    mpirun --oversubscribe $MPIRUN_OPTIONS -np "$n" "$@"
}

check() { checks=$((checks + 1)); }

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# wait_for_files SECONDS FILE...: until all of them hold something.
wait_for_files()
{
    local end=$(($(milliseconds) + 1000 * $1)) file
    shift
    for file in "$@"; do
        until [ -s "$file" ]; do
            [ "$(milliseconds)" -lt "$end" ] || { fail "no $file"; return 1; }
            sleep 0.05
        done
    done
}

# A process that has ended may wait for its parent to notice: that is no orphan.
lives() { [ -e "/proc/$1/stat" ] && ! grep -q ') [ZX] ' "/proc/$1/stat" 2> /dev/null; }

# no_orphan PID...: nobody lives on, five seconds later at the latest.
no_orphan()
{
    local pid
    check
    for pid in "$@"; do
        for _ in {1..50}; do lives "$pid" && sleep 0.1; done
        if lives "$pid"; then fail "process $pid lives on"; kill -9 "$pid"; fi
    done
}
