# train_data.sh - sourced after common.sh by the tests of `train`: data.h5, a dataset of 15 pairs
# for training and 3 for validation, made by $TINY from its own music; and the smallest run.
WEIGHTS=group0.safetensors          # of a checkpoint

make_dataset()
{
    local i artworks=(- a.jpg b.jpg a.jpg a.jpg a.jpg c.jpg) split=train
    mkdir music artworks
    cp "$WAVE" artworks/a.jpg
    cp "$FIXTURES/data/plain.jpg" artworks/b.jpg
    cp "$FIXTURES/data/progressive.jpg" artworks/c.jpg
    works arttomus generate artworks/a.jpg -o music -n 6 --model "$TINY" --duration 3 --steps 2 -q
    echo artwork,track,split > pairs.csv
    for i in 1 2 3 4 5 6; do
        [ $i = 6 ] && split=validation
        echo "${artworks[i]},a-$i.wav,$split" >> pairs.csv
    done
    works arttomus prepare --pairs pairs.csv --artworks artworks --music music --model "$TINY" --duration 1 \
        --framing audioldm2 -o data.h5 -q
}

# 40 updates of the adapter, going on from what the output holds.
TRAIN=(stage=adapter "model=$TINY" data=data.h5 train.batch_size=2 train.gradient_accumulation_steps=1
       train.max_train_steps=40 train.checkpointing_steps=10 train.checkpoints_total_limit=0 train.validation_steps=20
       train.validation_batches=1 train.learning_rate=1e-3 train.logging_steps=1 train.resume_from_checkpoint=latest
       --threads 1)

# train OUTPUT [ARGUMENT...]
train() { arttomus train "output=$1" "${TRAIN[@]}" "${@:2}"; }

# train_in_background OUTPUT: leaves its process, not that of a shell around it, in $run.  Returns when the
# folder is locked, and signals are heard.
train_in_background()
{
    "$PROGRAM" train "output=$1" "${TRAIN[@]}" -q > /dev/null 2> background.err &
    run=$!
    until [ -e "$1/lock" ]; do
        kill -0 $run 2> /dev/null || break
        sleep 0.005
    done
}

# same_run A B: the last weights, the model and the metrics are the same bits; how long it took may differ.
same_run()
{
    same "$1/checkpoints/step_00000040/$WEIGHTS" "$2/checkpoints/step_00000040/$WEIGHTS"
    same "$1/model/adapter/model.safetensors" "$2/model/adapter/model.safetensors"
    same <(sed 's/,"timing".*//' "$1/metrics.jsonl") <(sed 's/,"timing".*//' "$2/metrics.jsonl")
}
