# Every kind of bad input: one clear line, the documented exit code, nothing left behind.
. "$(dirname "$0")/common.sh"
cp "$WAVE" a.jpg

# usage: 64
expect 64 'a command is needed'                 arttomus
expect 64 "did you mean generate"               arttomus genrate
expect 64 "no command 'xyzzy'"                  arttomus xyzzy
expect 64 'did you mean --duration'             arttomus generate a.jpg --duratoin 5
expect 64 'unknown option -Z'                   arttomus generate a.jpg -Z
expect 64 'needs a value'                       arttomus generate a.jpg -o
expect 64 'which artwork'                       arttomus generate
for seconds in 0 0.99 -5 601 1e9 1e400 nan ten ''; do
    expect 64 '--duration .*must be a number from 1 to 600' arttomus generate a.jpg --duration "$seconds"
done
expect 64 '--steps .*from 1 to 1000'            arttomus generate a.jpg --steps 0
expect 64 '--steps .*from 1 to 1000'            arttomus generate a.jpg --steps 5x
expect 64 '--seed .*must be a whole number'     arttomus generate a.jpg --seed -1
expect 64 '--seed .*must be a whole number'     arttomus generate a.jpg --seed 99999999999999999999
expect 64 '-n|--n .*from 1 to 1000'             arttomus generate a.jpg -n 0
expect 64 '--guidance .*from 1 to 100'          arttomus generate a.jpg --guidance 0.5
expect 64 '--sampler .*dpm\+\+'                 arttomus generate a.jpg --sampler euler
expect 64 '--format .*flac'                     arttomus generate a.jpg --format mp3
expect 64 'did you mean unet'                   arttomus forward unett --inputs x --outputs y
expect 64 'needs COMPONENT'                     arttomus forward
expect 64 'unexpected argument'                 arttomus inspect a b
expect 64 'needs --from'                        arttomus forward resample --inputs x --outputs y
expect 64 'is not empty'                        arttomus init --config "$SOURCE/configs/tiny.yaml" --out "$TINY"

# artworks: 65 broken, 66 missing
expect 66 'nowhere.jpg'                         arttomus generate nowhere.jpg -o o.wav $QUICK
expect 66 'No such file'                        arttomus generate --images nowhere -o o $QUICK
mkdir empty
expect 66 'no JPEG, PNG or WebP'                arttomus generate --images empty -o o $QUICK
rmdir empty
expect 66 'tests'                               arttomus generate "$SOURCE/tests" -o o.wav $QUICK
: > zero.jpg
expect 65 'zero.jpg'                            arttomus generate zero.jpg -o o.wav $QUICK
head -c 5000 a.jpg > cut.jpg
expect 65 'cut.jpg'                             arttomus generate cut.jpg -o o.wav $QUICK
expect 65 'text.jpg'                            bash -c "echo hello > '$WORK.text.jpg'; '$PROGRAM' generate '$WORK.text.jpg' -o o.wav $QUICK"
for bomb in "$FIXTURES"/data/bomb*; do
    expect 65 "$(basename "$bomb")"             arttomus generate "$bomb" -o o.wav $QUICK
done

# outputs that would replace an artwork, or each other
cp a.jpg a.png
expect 64 'a.jpg is an artwork'                 arttomus generate a.jpg -o a.jpg --format wav --force $QUICK
expect 64 'a.png is an artwork'                 arttomus generate a.png --spectrogram . $QUICK
expect 64 'a.jpg is an artwork'                 arttomus generate a.jpg -o o.wav --latents-out ./a.jpg $QUICK
expect 64 'would both become ./o.wav'            arttomus generate a.jpg -o o.wav --spectrogram ./o.wav $QUICK
expect 64 'sounds are written as .wav'         arttomus generate a.jpg -o o.mp3 $QUICK
expect 64 'need a folder'                      arttomus generate a.jpg a.png -o single.wav $QUICK
cmp -s a.jpg a.png || fail "an artwork was overwritten"
rm a.png

# a name that is not text still makes one line of JSON
expect 66 '"text":"no.pe'                       arttomus generate --log-format json --image "$(printf 'no\001pe\377.jpg')" -o o.wav $QUICK

# manifests
printf '{"image": "a.jpg"}\n{"image": \n' > broken.jsonl
expect 65 'broken.jsonl:2'                      arttomus generate --manifest broken.jsonl -o o $QUICK
echo '{"image": "a.jpg", "sed": 3}' > key.jsonl
expect 65 'did you mean "seed"'                 arttomus generate --manifest key.jsonl -o o $QUICK
echo '{"seed": 3}' > without.jsonl
expect 65 'has no "image"'                      arttomus generate --manifest without.jsonl -o o $QUICK
echo '{"image": "a.jpg", "seed": -3}' > seed.jsonl
expect 65 '"seed" must be'                      arttomus generate --manifest seed.jsonl -o o $QUICK
: > none.jsonl
expect 65 'names no artwork'                    arttomus generate --manifest none.jsonl -o o $QUICK
expect 65 'above the limit'                     arttomus generate --manifest /dev/zero -o o $QUICK
printf '\0{"image": "a.jpg"}\n' > nul.jsonl
expect 65 'nul.jsonl:1'                         arttomus generate --manifest nul.jsonl -o o $QUICK
expect 66 'nowhere.jsonl'                       arttomus generate --manifest nowhere.jsonl -o o $QUICK
expect 64 'would both become'                   arttomus generate a.jpg ./a.jpg -o "$WORK.both" $QUICK
rm -rf "$WORK.both"

# latents
expect 66 'nowhere.safetensors'                 arttomus generate a.jpg -o o.wav $QUICK --latents-in nowhere.safetensors
expect 65 'a.jpg'                               arttomus generate a.jpg -o o.wav $QUICK --latents-in a.jpg
expect 65 'holds no tensor .latents'            arttomus generate a.jpg -o o.wav $QUICK --latents-in "$TINY/unet/diffusion_pytorch_model.safetensors"

# configurations: 78
expect 66 'nowhere.yaml'                        arttomus init --config nowhere.yaml --out o
printf 'unet:\n  block_out_chanels: [8, 16]\n' > key.yaml
expect 78 'key.yaml:2.*block_out_channels'      arttomus init --config key.yaml --out o
printf 'unet:\n  layers_per_block: many\n' > type.yaml
expect 78 'type.yaml:2'                         arttomus init --config type.yaml --out o
printf 'unet:\n  layers_per_block: 100\n' > range.yaml
expect 78 'range.yaml:2'                        arttomus init --config range.yaml --out o
printf 'a: &a [1]\nb: *a\n' > alias.yaml
expect 78 'alias.yaml'                          arttomus init --config alias.yaml --out o
printf 'unet: {layers_per_block: 1' > broken.yaml
expect 78 'broken.yaml'                         arttomus init --config broken.yaml --out o
expect 78 'layers_per_block'                    arttomus init --config "$SOURCE/configs/tiny.yaml" --out o unet.layers_per_blok=2
expect 78 'tiny.yaml'                           arttomus init --config "$SOURCE/configs/tiny.yaml" --out o unet.norm_num_groups=5
expect 78 'tiny.yaml'                           arttomus init --config "$SOURCE/configs/tiny.yaml" --out o adapter.n_tokens=200

# backends: 69
if ! arttomus doctor --fast 2> /dev/null | grep -q 'CUDA *plugin loaded'; then
    expect 69 'no CUDA backend'                 arttomus generate a.jpg -o o.wav $QUICK --backend cuda
fi

# files of tensors
expect 66 'nowhere'                             arttomus inspect nowhere
expect 65 'a.jpg'                               arttomus inspect a.jpg
expect 66 'nowhere'                             arttomus forward unet --weights "$TINY/unet" --inputs nowhere --outputs o
expect 66 'nowhere'                             arttomus forward unet --weights nowhere --inputs a.jpg --outputs o
finish
