# arttomus prepare: what a person types, what goes wrong, and what survives kill -9.
. "$(dirname "$0")/common.sh"
D=$FIXTURES/data
mkdir music art
"$PROGRAM" generate -q "$WAVE" --model "$TINY" --duration 6 --steps 1 -n 3 -o music --format flac > /dev/null
mv music/great_wave-1.flac music/a.flac
mv music/great_wave-2.flac music/b.flac
mv music/great_wave-3.flac music/c.flac
cp "$D/plain.jpg" "$D/tall.png" art/
printf 'artwork,track,split\nplain.jpg,a.flac,train\ntall.png,b.flac,validation\nplain.jpg,c.flac,train\n' > pairs.csv
SHORT='--duration 1 --framing audioldm2'
PAIRS="--pairs pairs.csv --artworks art --music music --model $TINY $SHORT"

# music alone; the same bytes whatever the number of threads
works arttomus prepare --music music -o music.h5 $SHORT --threads 1
[ "$(cat "$WORK.stdout")" = music.h5 ] || fail "stdout: $(cat "$WORK.stdout")"
works arttomus prepare --music music -o music4.h5 $SHORT --threads 4
exists music.h5
same music.h5 music4.h5
absent music.h5.parts music.h5.skipped.tsv

# pairs
works arttomus prepare $PAIRS -o data.h5
grep -q ' 2 artworks, .* pairs: .* train' "$WORK.stderr" || fail "no summary: $(cat "$WORK.stderr")"
exists data.h5
absent data.h5.parts
works arttomus prepare $PAIRS -o again.h5
same data.h5 again.h5
works arttomus prepare $PAIRS --dry-run
printf '{"artwork":"plain.jpg","track":"a.flac","start":1.5}\n' > pairs.jsonl
works arttomus prepare --pairs pairs.jsonl --artworks art --music music -c pixels,audio $SHORT -o jsonl.h5
works arttomus prepare $PAIRS -c embedding,pixels,latents,mel,audio --max-clips 2 -o all.h5
for f in music/* art/*; do sha256sum "$f"; done > before

# what cannot be used is left out, listed, and an error when all must be used
cp art/plain.jpg music/not-sound.wav
head -c 3000 music/a.flac > music/cut.flac
: > music/empty.ogg
printf 'RIFF\x3c\0\0\0WAVEfmt \x10\0\0\0\3\0\1\0\x80\x3e\0\0\0\xfa\0\0\4\0\x20\0data\x10\0\0\0\0\0\0\0\0\0\xc0\x7f\0\0\0\0\0\0\0\0' > music/nan.wav
works arttomus prepare --music music -o some.h5 $SHORT
for f in not-sound.wav empty.ogg nan.wav; do
    checks=$((checks + 1))
    grep -q "^track.$f" some.h5.skipped.tsv || fail "$f is not in the list: $(cat some.h5.skipped.tsv)"
done
arttomus prepare -q --music music -o strict.h5 $SHORT --strict 2> "$WORK.stderr"
[ $? = 65 ] || fail "--strict: not 65"
grep -q 'strict wants all' "$WORK.stderr" || fail "--strict: $(cat "$WORK.stderr")"
rm -rf strict.h5* music/not-sound.wav music/cut.flac music/empty.ogg music/nan.wav

# an older dataset stays until the new one is whole, and sources are not touched
works arttomus prepare --music music -o music4.h5 $SHORT --max-clips 1
differ music.h5 music4.h5
for f in music/* art/*; do sha256sum "$f"; done > after
same before after

# one line, the documented code, nothing left behind
expect 64 'which file to write'              arttomus prepare --music music
expect 64 'which music'                      arttomus prepare -o o.h5
expect 64 'did you mean latents'             arttomus prepare --music music -o o.h5 -c latnets
expect 64 '--model DIR'                      arttomus prepare --music music -o o.h5 -c latents
expect 64 'at most 10.24 s'                  arttomus prepare --music music -o o.h5 --duration 11
expect 64 'are read from'                    arttomus prepare --pairs "$WAVE" -o o.h5
expect 66 'nowhere'                          arttomus prepare --music nowhere -o o.h5
expect 66 'nowhere.csv'                      arttomus prepare --pairs nowhere.csv -o o.h5
expect 66 'nowhere'                          arttomus prepare $PAIRS --model nowhere -o o.h5
expect 66 'no sound file'                    arttomus prepare --music art -o o.h5
expect 74 'nowhere'                          arttomus prepare --music music -o nowhere/o.h5 $SHORT
echo 'artwork,track' > none.csv
expect 65 'holds no pairs'                   arttomus prepare --pairs none.csv -o o.h5
printf 'track,split\na.flac,test\n' > test.csv
expect 65 'in the train split'               arttomus prepare --pairs test.csv --music music -o o.h5
printf 'trak\na.flac\n' > column.csv
expect 65 'column.csv:1: .*did you mean track' arttomus prepare --pairs column.csv -o o.h5

# a full disk: the message, and the work goes on when there is room
checks=$((checks + 1))
(ulimit -f 200; exec "$PROGRAM" prepare -q $PAIRS -o full.h5 2> "$WORK.stderr")
[ $? = 74 ] || fail "full disk: not 74 ($(cat "$WORK.stderr"))"
absent full.h5
works arttomus prepare $PAIRS -o full.h5
same full.h5 data.h5

# Ctrl+C and kill -9 at any moment: the same command goes on, and the result is the same
checks=$((checks + 1))
(timeout -s INT 0.05 "$PROGRAM" prepare -q $PAIRS -o killed.h5; exit 0) 2> "$WORK.stderr"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    [ -e killed.h5 ] && break
    "$PROGRAM" prepare -q $PAIRS -o killed.h5 > /dev/null 2>&1 &
    pid=$!
    sleep "0.0$((i * 7 % 10))"
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
done
works arttomus prepare $PAIRS -o killed.h5
same killed.h5 data.h5
absent killed.h5.parts
finish
