# kill -9 anywhere, resume, and the run ends with the bits of one that was never killed:
# weights, optimizer, moving average, metrics.jsonl (but for "timing") and the model folder.
#
# Every second kill waits for a checkpoint that is being written, every fifth for a model; the
# others come at any time. KILLS=100 is the full number; by default 10.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/train_data.sh"
KILLS=${KILLS:-10}
RANDOM=${SEED:=1}
make_dataset

# learn FOLDER: a run in all its parts; as `exec`, so that a kill hits the program and not a shell.
learn()
{
    exec "$PROGRAM" train --backend cpu -t 1 -q stage=diffusion model="$TINY" data=data.h5 output="$1" seed=3 \
        train.max_train_steps=40 train.batch_size=2 train.gradient_accumulation_steps=1 train.learning_rate=1e-3 \
        train.use_ema=true train.ema_decay=0.9 train.lr_scheduler=cosine train.lr_warmup_steps=7 \
        train.checkpointing_steps=4 train.checkpoints_total_limit=2 train.milestone_steps=20 train.logging_steps=3 \
        train.validation_steps=15 train.validation_batches=1 diffusion.condition_dropout=0.1 \
        train.resume_from_checkpoint=latest >> "$WORK.stdout" 2>> "$WORK.stderr"
}

now() { echo "${EPOCHREALTIME/./}"; }                           # in microseconds
pause() { read -rt "$(printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)))" <> "$WORK.pipe"; }     # without a process
mkfifo "$WORK.pipe"

begun=$(now)
(learn unbroken) || fail "the unbroken run ends with $?: $(tail -1 "$WORK.stderr")"
whole=$(($(now) - begun))

# ------------------------------------------------------------------ the same?

# What a folder holds, without what depends on the clock.
contents()
{
    find "$1" -type f ! -name lock ! -name log.jsonl ! -name 'events.*' ! -name manifest.json | sort | while read -r f; do
        case $f in
            */metrics.jsonl)    echo "$f" | sed "s|$1/||"; sed 's/,"timing":{.*//' "$f" ;;
            */state.json)       echo "$f" | sed "s|$1/||"; grep -v '"seconds"\|"metrics_bytes"' "$f" ;;
            */config.yaml)      grep -v '^output' "$f" ;;
            */README.md)        grep -v '^# \|^| time |\|arttomus generate\|^output' "$f" ;;
            *)                  echo "$(sha256sum < "$f") ${f#"$1"/}" ;;
        esac
    done
}
contents unbroken > expected
exists unbroken/checkpoints/step_00000040/group0.safetensors unbroken/checkpoints/step_00000020/state.json
grep -q '"step":40,"kind":"validation"' expected || fail "the unbroken run has not validated at its end"

ended()
{
    checks=$((checks + 1))
    contents "$1" > found
    cmp -s expected found || fail "$1 is not the unbroken run: $(diff expected found | head -5)"
    [ -z "$(find "$1" -name '*.tmp' -o -name '*.old')" ] || fail "$1 still holds $(find "$1" -name '*.tmp' -o -name '*.old')"
}

# ------------------------------------------------------------------ killing

# fresh PATTERN: there is such a folder, and no earlier kill left it (those are marked).
fresh()
{
    local folder
    for folder in $1; do
        [ -e "$folder" ] && [ ! -e "$folder/stale" ] && return
    done
    return 1
}
mark() { for folder in "$1"/checkpoints/*.tmp "$1"/model.tmp; do [ -e "$folder" ] && : > "$folder/stale"; done; }

# Until there is one, or the program is gone.
await() { until fresh "$1"; do kill -0 "$2" 2> /dev/null || return; done; }

# kill_at KIND RUN PID
kill_at()
{
    case $1 in
        save)  await "$2/checkpoints/*.tmp" "$3"; pause $((RANDOM % 8000)) ;;
        model) await "$2/model.tmp" "$3"; pause $((RANDOM % 8000)) ;;
        time)  pause $((RANDOM * whole / 32768)) ;;
    esac
    kill -9 "$3" 2> /dev/null
}

kinds=(save time save time model)
killed=0 saving=0 modelling=0 runs=0 run=run0
while [ "$killed" -lt "$KILLS" ]; do
    learn "$run" &
    pid=$!
    kill_at "${kinds[killed % 5]}" "$run" $pid
    { wait $pid; } 2> /dev/null
    case $? in
        137)
            killed=$((killed + 1))
            fresh "$run/checkpoints/*.tmp" && saving=$((saving + 1))
            fresh "$run/model.tmp" && modelling=$((modelling + 1))
            mark "$run" ;;
        0)
            ended "$run"
            rm -rf "$run"
            runs=$((runs + 1))
            run=run$runs ;;
        *)
            fail "after kill $killed the run ends with $?: $(tail -1 "$WORK.stderr")"
            break ;;
    esac
done
(learn "$run") || fail "the last run does not end: $(tail -1 "$WORK.stderr")"
ended "$run"
echo "$killed kills, $saving of them in a save, $modelling in writing a model; $((runs + 1)) runs ended as the unbroken one"
[ $((10 * saving)) -ge $((3 * KILLS)) ] || fail "only $saving of $killed kills came in a save"

# ------------------------------------------------------------------ a damaged checkpoint

# The newest is passed over by name, and the run from the one before has the same end.
truncate -s -1 "$run/checkpoints/step_00000040/group0.safetensors"
(learn "$run") || fail "a damaged checkpoint stops the run: $(tail -1 "$WORK.stderr")"
grep -q 'step_00000040 is not valid, passed over: .*group0.safetensors' "$WORK.stderr" || fail "the damaged one is not named"
ended "$run"

# Two writers.
expect 78 "in use by pid $$ on host" bash -c "exec 9> $run/lock; flock 9; echo 'pid $$ on host here' >&9
    '$PROGRAM' train stage=diffusion model='$TINY' data=data.h5 output=$run"
rm -f "$WORK.pipe"
finish
