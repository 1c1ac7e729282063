# `arttomus train` as a person calls it: what a run leaves, and every kind of mistake.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/train_data.sh"

# help and configurations
works arttomus train --help
for word in '--dry-run' SIGUSR1 mpirun 'exit code 75' metrics.jsonl; do
    grep -q -- "$word" "$WORK.stdout" || fail "train --help does not tell of $word"
done
works arttomus --help
grep -q '^  train ' "$WORK.stdout" || fail "--help does not list train"
works arttomus train --print-config stage=vae
cp "$WORK.stdout" printed.yaml
grep -q '^stage: "vae"' printed.yaml || fail "--print-config forgets an assignment"
grep -Eq '^  learning_rate: [0-9.e-]+ +# ' printed.yaml || fail "--print-config does not explain learning_rate"
works arttomus train --print-config --config printed.yaml
same printed.yaml "$WORK.stdout"
rm printed.yaml

# mistakes: usage 64, configuration 78, missing files 66
expect 64 'which run\?'                         arttomus train
expect 64 '--backend .*must be one of'          arttomus train --backend tpu
expect 66 'nowhere.yaml'                        arttomus train --config nowhere.yaml
expect 78 'model is not set'                    arttomus train data=data.h5
expect 78 'train.learning_rate'                 arttomus train train.learnin_rate=1
expect 78 'train.max_train_steps'               arttomus train train.max_train_steps=many
expect 78 'learning_rate'                       arttomus train train.learning_rate=7
printf 'train:\n  batchsize: 4\n' > key.yaml
expect 78 'key.yaml:2.*batch_size'              arttomus train --config key.yaml
rm key.yaml

make_dataset

# a dry run writes nothing
works train dry --dry-run
grep -q 'dry run' "$WORK.stderr" || fail "a dry run does not say so: $(cat "$WORK.stderr")"
absent dry

# what a run leaves
works train run
[ "$(cat "$WORK.stdout")" = run/model ] || fail "stdout is not the model's folder: $(cat "$WORK.stdout")"
exists run/config.yaml run/metrics.jsonl run/log.jsonl run/events.out.tfevents.* run/model/model_index.json \
    run/model/README.md run/checkpoints/step_000000{10,20,30,40}/manifest.json
[ "$(grep -c '^{"step":[0-9]*,"kind":"train",.*}$' run/metrics.jsonl)" = 40 ] || fail "not 40 lines of metrics"
[ "$(grep -c '"kind":"validation"' run/metrics.jsonl)" = 2 ] || fail "not 2 validations"
grep -q '^{"time":.*"level":"info".*}$' run/log.jsonl || fail "log.jsonl holds no lines"
works train heard train.max_train_steps=1 train.validation_samples=1
exists heard/samples/step_00000001/artwork_*.{wav,png}
works arttomus generate "$WAVE" -o trained.wav --model run/model --duration 1 --steps 1

# a run that is done stays as it is; its configuration repeats it
cp -r run again
works train again
same_run run again
works arttomus train --config run/config.yaml output=other --threads 3 -q
same_run run other

# stopped behind the last update, before there is a model
expect_stop() { train "$@" -q 2> "$WORK.stderr"; [ $? = 75 ] || fail "not stopped and saved: $* ($(cat "$WORK.stderr"))"; }
expect_stop edge train.max_train_steps=1 train.max_seconds=1e-9
absent edge/model
works train edge train.max_train_steps=1
exists edge/model/model_index.json

# progress
works train json train.max_train_steps=2 --log-format json
grep -qvE '^\{.*\}$' "$WORK.stderr" && fail "--log-format json prints $(grep -vE '^\{.*\}$' "$WORK.stderr")"
works train quiet train.max_train_steps=2 -q
[ -s "$WORK.stderr" ] && fail "-q prints $(cat "$WORK.stderr")"

# the numbers of plot_run
works "$SOURCE/scripts/plot_run" run other/metrics.jsonl --tsv
[ "$(grep -c '	train	loss	' "$WORK.stdout")" = 80 ] || fail "plot_run finds not all losses"
grep -Eq '^run	validation	loss	20	[0-9.e+-]+$' "$WORK.stdout" || fail "plot_run finds no validation"
if command -v gnuplot > /dev/null; then
    works "$SOURCE/scripts/plot_run" run other -o curves.png
    exists curves.png
fi

# refuses CODE REGEX COMMAND...: the exit code, and one line that matches.
refuses()
{
    local code=$1 regex=$2 rc
    shift 2
    checks=$((checks + 1))
    "$@" -q > "$WORK.stdout" 2> "$WORK.stderr"
    rc=$?
    [ "$rc" = "$code" ] || fail "exit code $rc, not $code: $* ($(head -c 300 "$WORK.stderr"))"
    grep -Eq -- "$regex" "$WORK.stderr" || fail "no '$regex' on stderr: $* ($(head -c 300 "$WORK.stderr"))"
    [ "$(wc -l < "$WORK.stderr")" = 1 ] || fail "not one line on stderr: $* ($(cat "$WORK.stderr"))"
}

# data and models: 66 missing, 65 broken or not belonging together
refuses 66 'nowhere.h5'                         train bad data=nowhere.h5
refuses 66 'nowhere'                            train bad model=nowhere
refuses 65 'a-1.wav'                            train bad data=music/a-1.wav
head -c 30000 data.h5 > cut.h5
refuses 65 'cut.h5'                             train bad data=cut.h5
works arttomus init --config "$SOURCE/configs/tiny.yaml" --seed 77 --out stranger
refuses 65 'data.h5'                            train bad model=stranger
refuses 65 'nowhere|checkpoint'                 train bad train.resume_from_checkpoint=nowhere
refuses 78 'stage'                              train bad stage=adaptor
refuses 78 'train.batch_size'                   train bad train.batch_size=3 train.gradient_accumulation_steps=2
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 500 locked
    refuses 74 'locked'                         train locked/run
fi

# nobody listens: the model is whole, the exit code says that its name was not told
train closed -q >&- 2> "$WORK.stderr"
[ $? = 74 ] || fail "closed stdout: exit code is not 74 ($(cat "$WORK.stderr"))"
same_run run closed
train deaf > /dev/null 2>&- || fail "closed stderr: exit code $?"
same_run run deaf

# a full disk in a save: 74, the checkpoints before are whole, the run goes on from them
works train full train.max_train_steps=25
(ulimit -f 8; refuses 74 'full/.*(large|space)' train full; exit "$failures") ||
    fail "a full disk is not reported"
absent full/checkpoints/step_00000030
works train full
same_run run full

# two writers: the second is sent away, the first does not notice
train_in_background both
kill -STOP $run
refuses 78 'both'                               train both
kill -CONT $run
wait $run || fail "the first of two writers: exit code $? ($(cat background.err))"
same_run run both
finish
