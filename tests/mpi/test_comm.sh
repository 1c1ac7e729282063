# Collectives of several ranks, and ranks that die, stop, fail, leave, or do something else:
# the rest ends with a clear message, in time.  The program is comm_ranks (comm_ranks.c).
. "$(dirname "$0")/../commands/common.sh"
. "$(dirname "$0")/../commands/mpi.sh"

# ends CODE REGEX N MODE: the exit code that mpirun gives (a regex too), and a line on stderr.
ends()
{
    local code=$1 regex=$2 n=$3 mode=$4 rc
    check
    ranks "$n" "$PROGRAM" "$mode" > out 2> err
    rc=$?
    [[ $rc =~ ^($code)$ ]] || fail "$n ranks, $mode: exit code $rc, not $code ($(head -c 500 err))"
    [ -z "$regex" ] || grep -Eq -- "$regex" err || fail "$n ranks, $mode: no '$regex' ($(head -c 500 err))"
}

for n in 1 2 3 5; do ends 0 '' $n same; done
ends 78 'rank 1 is at a broadcast of 4 bytes .*this rank at a sum of 32' 3 differ
ends 78 'rank 1 has another checkpoint than rank 0' 3 disagree
ends '74|76' 'rank 1 has given up, with exit code 74' 3 abort   # 76: rank 1 was slow to end
ends '76|1' 'rank 1 has come to its end' 3 leave   # 1: mpirun saw rank 1 first

# ranks that a foreign launcher has started, and MPI cannot see
check
OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 "$PROGRAM" same > out 2> err
[ $? = 78 ] || fail "a foreign launcher: exit code not 78"
grep -q 'has started 2 ranks, but .* sees 1' err || fail "a foreign launcher: $(head -c 500 err)"

# strike SIGNAL SECONDS: three ranks at work, and rank 1 gets the signal.  Leaves the
# exit code in rc, the milliseconds in took.
strike()
{
    local signal=$1 job start
    rc= took=0 pids=
    check
    rm -rf f
    mkdir f
    ranks 3 "$PROGRAM" rounds f "$2" > out 2> err &
    job=$!
    wait_for_files 30 f/0.pid f/1.pid f/2.pid || return
    sleep 0.3
    pids=$(cut -d' ' -f1 f/0.pid f/1.pid f/2.pid)
    victim=$(cut -d' ' -f1 f/1.pid)
    start=$(milliseconds)
    kill "-$signal" "$victim"
    [ "$signal" != STOP ] || [ -z "$MPIRUN_OPTIONS" ] || { wait_for_files 30 f/0.end f/2.end; kill -CONT "$victim"; }
    wait "$job"
    rc=$?
    took=$(($(milliseconds) - start))
}

# says RANK CODE REGEX: how a surviving rank ended.
says()
{
    check
    grep -Eq "^$2 .*$3" "f/$1.end" || fail "rank $1 ended with '$(cat "f/$1.end" 2> /dev/null)', not $2 $3"
}

# Left alone by mpirun, as srun --no-kill does, the others notice by themselves, long before the time-out.
MPIRUN_OPTIONS=--enable-recovery
strike KILL 60
no_orphan $pids
says 0 76 '(dead: .*rank 1 \(process [0-9]+ on .*\)|rank 2 has given up, with exit code 76)'
says 2 76 '(dead: .*rank 1 \(process [0-9]+ on .*\)|rank 0 has given up, with exit code 76)'
cat f/0.end f/2.end | grep -q 'dead: .*rank 1 (process ' || fail "nobody says that rank 1 has died"
[ "$took" -lt 5000 ] || fail "a death was noticed after $took ms"

# Stopped: within the time-out.  When it goes on, it learns that the others have gone.
strike STOP 1
no_orphan $pids
cat f/0.end f/2.end | grep -Eq 'not done in 1 s: .*rank 1 \(process .*, stopped\)' || fail "nobody names the stopped rank: $(cat f/*.end)"
says 0 76 'collective [0-9]+ \(sum\)'
says 2 76 'collective [0-9]+ \(sum\)'
says 1 76 '(has given up|dead: )'
[ "$took" -lt 6000 ] || fail "a stopped rank was noticed after $took ms"
grep -q 'has waited 0.1 s in collective' err || fail "no warning before the time-out"

# As users start it: mpirun ends the others within seconds, with the exit code of the first to fail.
MPIRUN_OPTIONS=
strike KILL 60
no_orphan $pids
[ "$rc" = 137 ] || fail "mpirun after kill -9: exit code $rc, not 137"
[ "$took" -lt 8000 ] || fail "mpirun after kill -9: $took ms"
strike TERM 60
no_orphan $pids
[ "$rc" = 143 ] || fail "mpirun after kill -TERM: exit code $rc, not 143"
strike STOP 1
no_orphan $pids
[ "$rc" = 76 ] || fail "mpirun after kill -STOP: exit code $rc, not 76"
[ "$took" -lt 9000 ] || fail "mpirun after kill -STOP: $took ms"

# mpirun itself dies: nobody stays behind, but its files do: let them be ours
MPIRUN_OPTIONS="--mca orte_tmpdir_base $PWD/tmp --mca btl_vader_backing_directory $PWD/tmp"
check
rm -rf f
mkdir f tmp
ranks 3 "$PROGRAM" rounds f 2 > out 2> err &
job=$!
if wait_for_files 30 f/0.pid f/1.pid f/2.pid; then
    pids=$(cut -d' ' -f1 f/0.pid f/1.pid f/2.pid)
    kill -9 $(pgrep -P $job -x mpirun || echo $job)
    wait "$job"
    no_orphan $pids
fi
finish
