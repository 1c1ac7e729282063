# generate: what it writes, where, and what does not change it.
. "$(dirname "$0")/common.sh"
cp "$WAVE" a.jpg
cp "$FIXTURES/data/plain.jpg" b.jpg
cp "$FIXTURES/data/gamma.png" c.png

works arttomus generate --image a.jpg -o one.wav $QUICK --spectrogram one.png
exists one.wav one.png
[ "$(cat "$WORK.stdout")" = "one.wav
one.png" ] || fail "stdout is not the list of files: $(cat "$WORK.stdout")"
[ "$(stat -c %s one.wav)" -ge 64000 ] || fail "one.wav is shorter than a second of floats"

# the same bits again, at any number of threads, in any company
for threads in 1 2 4; do
    works arttomus generate a.jpg -o t$threads.wav $QUICK --threads $threads
    same one.wav t$threads.wav
done
works arttomus generate --image a.jpg --image b.jpg c.png -o company $QUICK --batch 2
same one.wav company/a.wav
exists company/b.wav company/c.wav
differ company/a.wav company/b.wav
works arttomus generate a.jpg -o seed.wav $QUICK --seed 7
differ one.wav seed.wav

# variants
works arttomus generate a.jpg -o v.wav $QUICK -n 3 --batch 2
exists v-1.wav v-2.wav v-3.wav
same one.wav v-1.wav
differ v-1.wav v-2.wav

# a name without a folder, and none at all
works arttomus generate a.jpg $QUICK
same one.wav a.wav

# what is there is left alone, unless forced
echo mine > kept.wav
works arttomus generate a.jpg -o kept.wav $QUICK
[ "$(cat kept.wav)" = mine ] || fail "an existing file was overwritten"
grep -q "already there" "$WORK.stderr" || fail "nothing said about the existing file"
works arttomus generate a.jpg -o kept.wav $QUICK --force
same one.wav kept.wav

# a folder; one bad file does not stop the rest
mkdir in
cp a.jpg b.jpg in
echo junk > in/bad.jpg
arttomus generate --images in -o out $QUICK 2> "$WORK.stderr" > "$WORK.stdout"
[ $? = 65 ] || fail "a bad file in a folder does not give 65"
exists out/a.wav out/b.wav
absent out/bad.wav
same one.wav out/a.wav
grep -q "2 written, 0 already there, 1 failed" "$WORK.stderr" || fail "no summary: $(cat "$WORK.stderr")"
grep -q "error: in/bad.jpg" "$WORK.stderr" || fail "the bad file is not named"
arttomus generate a.jpg nowhere.jpg -o out2 $QUICK > /dev/null 2>&1
[ $? = 66 ] || fail "a missing file among others does not give 66"
exists out2/a.wav

# a manifest: paths relative to it, outputs to -o
mkdir m
cat > m/list.jsonl << END
{"image": "../a.jpg", "output": "sub.wav", "seed": 7}

{"image": "../b.jpg"}
END
works arttomus generate --manifest m/list.jsonl -o mout $QUICK
same seed.wav mout/sub.wav
same company/b.wav mout/b.wav

# formats
for format in wav16 flac ogg; do
    works arttomus generate a.jpg -o f.$format $QUICK --format $format
    exists f.$format
done
works arttomus generate a.jpg -o named.flac $QUICK
same f.flac named.flac
works arttomus generate a.jpg b.jpg -o flacs $QUICK --format flac
exists flacs/a.flac flacs/b.flac

# latents out and in
works arttomus generate a.jpg b.jpg -o lat $QUICK --latents-out z.safetensors --batch 2
works arttomus inspect z.safetensors
grep -q '\[2,8,25,16\] *latents' "$WORK.stdout" || fail "latents have a wrong shape: $(cat "$WORK.stdout")"
works arttomus generate a.jpg b.jpg -o lat2 $QUICK --latents-in z.safetensors
works arttomus generate a.jpg b.jpg -o lat3 $QUICK --latents-in z.safetensors --batch 2
same lat2/a.wav lat3/a.wav
same lat2/b.wav lat3/b.wav
differ lat/a.wav lat2/a.wav

# samplers
for sampler in ddim dpm++-karras; do
    works arttomus generate a.jpg -o $sampler.wav $QUICK --sampler $sampler
    differ one.wav $sampler.wav
done
works arttomus generate a.jpg -o eta.wav $QUICK --sampler ddim --eta 1
differ ddim.wav eta.wav

# logs as JSON lines, and silence
works arttomus generate a.jpg -o json.wav $QUICK --log-format json
grep -Eq '^\{"time":.*"level":"warning".*untrained' "$WORK.stderr" || fail "no JSON log: $(cat "$WORK.stderr")"
works arttomus generate a.jpg -o quiet.wav $QUICK -q
grep -qv warning "$WORK.stderr" && fail "--quiet says: $(cat "$WORK.stderr")"

[ -z "$(find . -name '*.tmp' -o -name '.arttomus*')" ] || fail "temporary files are left: $(find . -name '*.tmp')"
finish
