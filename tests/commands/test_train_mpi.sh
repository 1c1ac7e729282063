# Training by several ranks: the result of one rank, to rounding; the same bits each time; stopping
# and going on with another number of ranks; and a rank that is killed.
# COUNT: how many ranks are killed, at random moments (3; COUNT=100 for the full number).
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/mpi.sh"
. "$(dirname "$0")/train_data.sh"
arttomus doctor --fast | grep -q '^MPI *not used' && { echo "no MPI plugin: skipped"; exit 77; }
COUNT=${COUNT:-3}
RANDOM=${SEED:=$$}
echo "seed $SEED"

train_ranks() { ranks "$1" "$PROGRAM" train "output=$2" "${TRAIN[@]}" "${@:3}" -q; }

# losses RUN: "STEP LOSS" of every update.
losses() { sed -n 's/^{"step":\([0-9]*\),"kind":"train","loss":\([^,]*\),.*/\1 \2/p' "$1/metrics.jsonl"; }

# same_losses A B: of the same updates in the same order, each within 1e-6 of its size.  A loss is
# what the update's samples give: another sample, or another noise, would be seen.
same_losses()
{
    check
    paste -d' ' <(losses "$1") <(losses "$2") | awk '
        $1 != $3 { print "updates " $1 " and " $3; bad = 1; exit }
        { d = $2 - $4; if (d < 0) d = -d; d /= $2; if (d > worst) worst = d }
        END { if (bad || NR != 40 || worst > 1e-6) { print NR " updates, relative difference " worst; exit 1 }
              print "losses differ by " worst }' || fail "losses of $1 and $2"
}

# numbers FILE: the floats of a .safetensors file.
numbers()
{
    local header
    header=$(od -An -t u8 -N 8 "$1")
    od -An -v -t f4 -w4 -j $((8 + header)) "$1"
}

# close_weights A B [FILE MODEL]: of the model's FILE, by rounding only, when both began with MODEL.  The rounding of a gradient moves AdamW's step by as much,
# except where a gradient is all rounding: so the measure is the way that all weights went together.
close_weights()
{
    local file=${3:-adapter/model.safetensors} began=${4:-$TINY}
    check
    paste -d' ' <(numbers "$1/model/$file") <(numbers "$2/model/$file") <(numbers "$began/$file") | awk '
        { apart += ($1 - $2) ^ 2; way += ($1 - $3) ^ 2 }
        END { print "weights differ by " sqrt(apart / way) " of their way"; exit !(way > 0 && apart / way < 1e-10) }' ||
        fail "weights of $1 and $2"
}

make_dataset
works train one -q
works train_ranks 2 two
works train_ranks 2 again
same_run two again
same_losses one two
close_weights one two

# Contrast: the negatives of a rank are the whole batch, on all ranks.
works arttomus init --config "$SOURCE/configs/tiny.yaml" --out listener -q audio_encoder.{hidden_size,intermediate_size}=8 \
    audio_encoder.num_hidden_layers=1 audio_encoder.num_attention_heads=2 audio_encoder.patch_{size,stride}=32
works arttomus prepare --pairs pairs.csv --artworks artworks --music music --model listener --duration 2 \
    --columns pixels,audio -o senses.h5 -q
align=(stage=align model=listener data=senses.h5 train.batch_size=6 train.learning_rate=1e-5)
works train align-one "${align[@]}" -q
works train_ranks 2 align-two "${align[@]}"
works train_ranks 3 align-three "${align[@]}"
for run in align-two align-three; do
    same_losses align-one $run
    close_weights align-one $run audio_encoder/model.safetensors listener
done

# in_background N RUN: N ranks that begin; $job is mpirun, $pids are the ranks.
in_background()
{
    rm -rf "$2"
    mpirun --oversubscribe -np "$1" "$PROGRAM" train "output=$2" "${TRAIN[@]}" -q > /dev/null 2> background.err &
    job=$!
    until [ -s "$2/metrics.jsonl" ]; do
        kill -0 $job 2> /dev/null || break
        sleep 0.01
    done
    pids=$(pgrep -P $job)
}

# stopped N RUN: after some updates; mpirun hands SIGUSR1 on to its ranks.
stopped()
{
    local rc
    check
    for _ in 1 2 3 4 5; do                          # it may be over before the signal comes
        in_background "$1" "$2"
        kill -USR1 $job
        wait $job
        rc=$?
        [ $rc = 0 ] || break
    done
    [ $rc = 75 ] || fail "SIGUSR1 to mpirun: exit code $rc ($(head -c 500 background.err))"
    no_orphan $pids
    echo "$2 stopped at $(ls "$2/checkpoints" | tail -n 1)"
}

# Another number of ranks goes on: the same samples in the same order; the same number: the same bits.
stopped 2 two-one
works train two-one -q
same_losses two two-one
close_weights two two-one
stopped 1 one-two
works train_ranks 2 one-two
same_losses one one-two
close_weights one one-two
stopped 2 two-two
works train_ranks 2 two-two
same_run two two-two

# A rank dies: the other does not wait for it, what was saved is whole, and going on ends with the same bits.
killed=0
began=$(milliseconds)
works train_ranks 2 timed
took=$(($(milliseconds) - began))
for ((i = 0; i < COUNT; i++)); do
    in_background 2 run
    sleep "0.$(printf %03d $((RANDOM % (took < 900 ? took : 900))))"
    victims=($pids)
    kill -9 "${victims[RANDOM % 2]}" 2> /dev/null
    began=$(milliseconds)
    wait $job
    rc=$?
    check
    [ $rc = 137 ] && killed=$((killed + 1))
    [ $rc = 137 ] || [ $rc = 0 ] || fail "a rank was killed: exit code $rc ($(head -c 500 background.err))"
    [ $(($(milliseconds) - began)) -lt 10000 ] || fail "a rank was killed: mpirun ended after $(($(milliseconds) - began)) ms"
    no_orphan $pids
    works train_ranks 2 run
    same_run two run
done
echo "$killed of $COUNT killed before the end"
[ $killed -gt 0 ] || fail "none of $COUNT ranks was killed before the end"

# Ranks must agree: what only one of them knows is said, and nobody hangs.
check
ranks 1 "$PROGRAM" train output=odd "${TRAIN[@]}" train.max_train_steps=2 -q : \
    -np 1 "$PROGRAM" train output=odd "${TRAIN[@]}" train.max_train_steps=3 -q 2> background.err
rc=$?
[ $rc != 0 ] || fail "ranks with different configurations: exit code 0"
grep -q 'rank 1 has another configuration than rank 0' background.err || fail "ranks with different configurations: $(head -c 500 background.err)"
finish
