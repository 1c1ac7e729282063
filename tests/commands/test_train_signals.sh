# What signals do to a training run: where it stops, with which exit code, and that going on from
# there ends with the bits of the run that was never disturbed.
# COUNT: how often each signal is sent, at random moments (10; COUNT=50 for the full number).
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/train_data.sh"
COUNT=${COUNT:-10}
RANDOM=${SEED:=$$}
echo "seed $SEED"

make_dataset
works train unbroken -q
began=$(date +%s%N)
works train timed -q
took=$((($(date +%s%N) - began) / 1000000))        # milliseconds of a whole run

# at_random SIGNAL: at a random moment of the rest of its life.
at_random()
{
    local wait=$((RANDOM % took))
    sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))"
    kill "-$1" $run 2> /dev/null
}

goes_on() { works train run -q; same_run unbroken run; }

# saved: the newest checkpoint verifies and is where the run stopped.
saved()
{
    local newest
    newest=$(ls run/checkpoints | sort | tail -n 1)
    works train copy -q train.resume_from_checkpoint="run/checkpoints/$newest" --dry-run
    checks=$((checks + 1))
    [ "$(grep -c '"kind":"train"' run/metrics.jsonl)" = $((10#${newest#step_})) ] ||
        fail "the newest checkpoint is $newest of $(grep -c '"kind":"train"' run/metrics.jsonl) updates"
}

# stops SIGNAL: exit code 75 and a checkpoint of that moment, or 0 when it was over before.
stops()
{
    local rc stopped=0
    for ((i = 0; i < COUNT; i++)); do
        rm -rf run
        train_in_background run
        at_random "$1"
        wait $run
        rc=$?
        checks=$((checks + 1))
        [ $rc = 75 ] || [ $rc = 0 ] || fail "SIG$1: exit code $rc ($(cat background.err))"
        [ $rc = 75 ] && stopped=$((stopped + 1)) && saved
        goes_on
    done
    echo "SIG$1: $stopped of $COUNT stopped before the end"
    [ $stopped -gt 0 ] || fail "SIG$1 has stopped none of $COUNT runs"
}

stops TERM
stops USR1
stops INT

# SIGUSR2: one more checkpoint, and nothing else is different.
more=0
for ((i = 0; i < COUNT; i++)); do
    rm -rf run
    train_in_background run
    at_random USR2
    wait $run
    rc=$?
    checks=$((checks + 1))
    [ $rc = 0 ] || fail "SIGUSR2: exit code $rc ($(cat background.err))"
    same_run unbroken run
    [ "$(ls run/checkpoints | wc -l)" -gt "$(ls unbroken/checkpoints | wc -l)" ] && more=$((more + 1))
done
echo "SIGUSR2: $more of $COUNT left one more checkpoint"
[ $more -gt 0 ] || fail "SIGUSR2 has saved in none of $COUNT runs"

# SIGINT twice: leaves at once, whatever it is doing; what it had saved is whole.
left=0
for ((i = 0; i < COUNT; i++)); do
    rm -rf run
    train_in_background run
    at_random INT
    sleep 0.002
    kill -INT $run 2> /dev/null
    wait $run
    rc=$?
    checks=$((checks + 1))
    [ $rc = 130 ] || [ $rc = 75 ] || [ $rc = 0 ] || fail "SIGINT twice: exit code $rc ($(cat background.err))"
    [ $rc = 130 ] && left=$((left + 1))
    goes_on
done
echo "SIGINT twice: $left of $COUNT left at once"
[ $left -gt 0 ] || fail "SIGINT twice has ended none of $COUNT runs at once"
finish
