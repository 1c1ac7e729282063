# The surroundings: full disks, closed pipes, signals, missing homes, few descriptors.
. "$(dirname "$0")/common.sh"
cp "$WAVE" a.jpg

# outputs that cannot be written: 74
expect 74 '/dev/full'           arttomus generate a.jpg -o /dev/full $QUICK
expect 74 'nowhere/o.wav'       arttomus generate a.jpg -o nowhere/o.wav $QUICK
expect 74 'must be a folder'    arttomus generate a.jpg "$FIXTURES/data/plain.jpg" -o a.jpg $QUICK
expect 74 'o.wav'               bash -c "ulimit -f 16; exec '$PROGRAM' generate a.jpg -o o.wav $QUICK"
expect 74 'o.png'               bash -c "'$PROGRAM' generate a.jpg -o '$WORK.ok.wav' --spectrogram nowhere/o.png $QUICK"
expect 74 'o/|arttomus'         bash -c "ulimit -f 1; exec '$PROGRAM' init --config '$SOURCE/configs/tiny.yaml' --out '$WORK.o'"
rm -rf "$WORK.o"
expect 74 'standard output'     bash -c "'$PROGRAM' --help > /dev/full"
expect 74 'standard output'     bash -c "'$PROGRAM' --version >&-"
expect 74 'standard output'     bash -c "trap '' PIPE; { sleep 0.3; '$PROGRAM' --help; } | true; exit \${PIPESTATUS[0]}"

# results of a run with a closed stdout are on the disk all the same
"$PROGRAM" generate a.jpg -o closed.wav $QUICK >&- 2> "$WORK.stderr"
[ $? = 74 ] || fail "a closed stdout does not give 74"
exists closed.wav

# Ctrl+C: 130, at once, nothing half-written
"$PROGRAM" generate a.jpg -o long.wav --model "$TINY" --duration 60 --steps 900 > "$WORK.stdout" 2> "$WORK.stderr" &
pid=$!
sleep 1
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "Ctrl+C does not give 130: $(cat "$WORK.stderr")"
absent long.wav
"$PROGRAM" generate a.jpg -o long.wav --model "$TINY" --duration 60 --steps 900 > "$WORK.stdout" 2> "$WORK.stderr" &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
[ $? = 143 ] || fail "SIGTERM does not give 143"
absent long.wav

"$PROGRAM" init --config "$SOURCE/configs/audioldm2.yaml" --out big > "$WORK.stdout" 2> "$WORK.stderr" &
pid=$!
sleep 0.5
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "Ctrl+C does not stop init: $(cat "$WORK.stderr")"
absent big*

# the trained model that ships, found from where the program lies
works env -i PATH="$PATH" "$PROGRAM" generate a.jpg -o shipped.wav --duration 1 --steps 1
grep -q 'untrained' "$WORK.stderr" && fail "the model that ships is taken for untrained: $(cat "$WORK.stderr")"

# far from it: the built-in one, without a home, a locale, or a place of its own
mkdir -p far/from/here
cp "$PROGRAM" far/from/here/arttomus
alone=$PWD/far/from/here/arttomus
works env -i PATH="$PATH" "$alone" generate a.jpg -o builtin.wav --duration 1 --steps 1
grep -q 'untrained.*expect noise' "$WORK.stderr" || fail "the built-in model does not say that it is untrained"
works env HOME=/nowhere LC_ALL=de_DE.UTF-8 TMPDIR=/nowhere "$alone" generate a.jpg -o builtin2.wav --duration 1.0 --steps 1
same builtin.wav builtin2.wav
works bash -c "ulimit -n 32; exec '$PROGRAM' generate a.jpg -o few.wav $QUICK"
works bash -c "umask 000; exec '$PROGRAM' generate a.jpg -o mask.wav $QUICK"
works bash -c "ARTTOMUS_MODEL='$TINY' exec '$PROGRAM' generate a.jpg -o env.wav --duration 1 --steps 2"
same env.wav few.wav

# too little memory: 71, before the work (a sanitizer's shadow does not fit any limit)
(ulimit -v 400000; arttomus --version) > /dev/null 2>&1 &&
expect 71 'try a shorter'       bash -c "ulimit -v 400000; exec '$PROGRAM' generate a.jpg -o o.wav --model '$TINY' --duration 600 --steps 1 --batch 64 -n 64"

[ -z "$(find . "$TINY" -name '*.tmp' -o -name '.arttomus*')" ] || fail "temporary files are left"
ls -d /dev/shm/arttomus-* > /dev/null 2>&1 && fail "the built-in model left a folder in /dev/shm"
rm -f "$WORK.ok.wav"
finish
