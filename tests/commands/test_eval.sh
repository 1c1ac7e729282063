# `arttomus eval`: the report a person gets, that it repeats, and every kind of mistake.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/train_data.sh"

# help
works arttomus eval --help
for word in reconstruction decoders statistics difference retrieval conditioning --sounds --guidance; do
    grep -q -- "$word" "$WORK.stdout" || fail "eval --help does not tell of $word"
done
works arttomus --help
grep -q '^  eval ' "$WORK.stdout" || fail "--help does not list eval"

make_dataset
arttomus prepare --pairs pairs.csv --artworks artworks --music music --model "$TINY" --duration 1 \
    --framing audioldm2 -c embedding,latents,mel,audio -o all.h5 -q > /dev/null || fail "prepare"
EVAL=(eval --model "$TINY" --split validation --steps 1 --duration 1 --clips 2 -q)

# all that data and model allow: the tiny model has no ears, and validation one artwork
works arttomus "${EVAL[@]}" --data all.h5 -o report
[ "$(cat "$WORK.stdout")" = report.md ] || fail "stdout: $(cat "$WORK.stdout")"
exists report.json report.md
for measure in reconstruction decoders statistics; do
    grep -q "\"measure\": \"$measure\"" report.json || fail "no $measure in report.json"
    grep -q "^## $measure" report.md || fail "no $measure in report.md"
done
grep -q 'Recommended: "decoder": ' report.md || fail "no decoder is recommended: $(cat report.md)"
grep -q '^## retrieval' report.md && grep -q 'Not measured: .*audio_encoder' report.md || fail "retrieval is not told of"
grep -q "$(dirname "$TINY")" report.json report.md && fail "the report tells where files lie"

# the same again, at any number of threads
works arttomus "${EVAL[@]}" --data all.h5 -o again --threads 1
same report.json again.json
same report.md again.md
works arttomus "${EVAL[@]}" --data all.h5 -o other --seed 9
differ report.json other.json

# data with artworks and latents, sounds elsewhere
works arttomus prepare --music music -o music.h5 --duration 1 --framing audioldm2 --validation 0.3 -q
works arttomus "${EVAL[@]}" --data data.h5 --sounds music.h5 --split train --measures reconstruction,conditioning -o two
grep -q '"measure": "conditioning"' two.json || fail "no conditioning"
grep -q '"sounds": "music.h5' two.json || fail "the report does not name the sounds"

# mistakes
expect 64 'which model'                         arttomus eval --data all.h5 -o x
expect 64 'on which data'                       arttomus eval --model "$TINY" -o x
expect 64 'where to'                            arttomus eval --model "$TINY" --data all.h5
expect 64 'did you mean retrieval'              arttomus "${EVAL[@]}" --data all.h5 -o x --measures retreival
expect 64 '--split .*must be one of'            arttomus "${EVAL[@]}" --data all.h5 -o x --split held-out
expect 66 'nowhere.h5'                          arttomus "${EVAL[@]}" --data nowhere.h5 -o x
expect 66 'nowhere'                             arttomus eval --model nowhere --data all.h5 -o x -q
expect 65 'data.h5 has no clips/audio'          arttomus "${EVAL[@]}" --data data.h5 -o x --measures decoders
expect 65 'no pair.* in the test split'         arttomus "${EVAL[@]}" --data all.h5 -o x --split test --measures decoders
expect 78 'retrieval: .*audio_encoder'          arttomus "${EVAL[@]}" --data all.h5 -o x --measures retrieval
expect 74 'nowhere'                             arttomus "${EVAL[@]}" --data all.h5 -o nowhere/x
works arttomus init --config "$SOURCE/configs/tiny.yaml" --seed 77 --out stranger
expect 65 'of another VAE'                      arttomus eval --model stranger --data all.h5 -o x -q \
    --split train --measures conditioning
expect 65 'another image encoder'               arttomus eval --model stranger --data all.h5 -o x -q \
    --split train --measures difference
head -c 30000 all.h5 > cut.h5
expect 65 'cut.h5'                              arttomus "${EVAL[@]}" --data cut.h5 -o x

# interrupted: nothing is written, what was there stays
cp report.json before.json
timeout --preserve-status -s INT 0.5 "$PROGRAM" "${EVAL[@]}" --data all.h5 -o report --steps 900 --duration 60 \
    > /dev/null 2> "$WORK.stderr"
rc=$?; [ $rc = 130 ] || fail "interrupted: $rc, not 130 ($(cat "$WORK.stderr"))"
same report.json before.json
finish
