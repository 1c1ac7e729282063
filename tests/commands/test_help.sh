# Help, versions, and the commands that describe.
. "$(dirname "$0")/common.sh"
works arttomus --help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$WORK.stdout")
for command in generate init forward inspect doctor; do
    grep -qx "$command" <<< "$commands" || fail "--help does not list $command"
    works arttomus "$command" --help
    grep -q "^Usage: arttomus $command" "$WORK.stdout" || fail "$command --help: $(head -1 "$WORK.stdout")"
    grep -q -- '--log-format' "$WORK.stdout" || fail "$command --help lacks the common options"
    works arttomus "$command" --version
done
works arttomus --version
grep -Eq '^arttomus [0-9]+\.[0-9]+\.[0-9]+$' "$WORK.stdout" || fail "--version: $(cat "$WORK.stdout")"

works arttomus doctor
for row in arttomus processor kernels memory threads arithmetic bandwidth libraries CUDA MPI model; do
    grep -q "^$row" "$WORK.stdout" || fail "doctor says nothing about $row"
done

works arttomus inspect "$TINY" --duration 10 --batch 2
grep -q '^UNet' "$WORK.stdout" || fail "inspect does not list the UNet"
works arttomus inspect "$TINY" --json
grep -q '"peak": [0-9]' "$WORK.stdout" || fail "inspect --json has no peak"
works arttomus inspect "$TINY" --largest 2
grep -q 'down_blocks' "$WORK.stdout" || fail "inspect --largest names no tensor"
works arttomus inspect "$TINY/unet"
grep -Eq 'F32 +\[8,8,3,3\] +conv_in.weight' "$WORK.stdout" || fail "inspect does not list conv_in.weight"
grep -q '"block_out_channels"' "$WORK.stdout" || fail "inspect does not show the config"
works arttomus inspect --json "$TINY/unet/diffusion_pytorch_model.safetensors"

# init: same seed, same bytes
works arttomus init --config "$SOURCE/configs/tiny.yaml" --seed 5 --out m1 --threads 1
works arttomus init --config "$SOURCE/configs/tiny.yaml" --seed 5 --out m2 --threads 3
works arttomus init --config "$SOURCE/configs/tiny.yaml" --seed 6 --out m3
diff -r m1 m2 > /dev/null || fail "init with one seed gives different bytes"
differ m1/unet/diffusion_pytorch_model.safetensors m3/unet/diffusion_pytorch_model.safetensors
works arttomus init --config "$SOURCE/configs/tiny.yaml" --out m4 dtype=bf16 unet.layers_per_block=2
works arttomus generate "$WAVE" -o bf16.wav --model m4 --duration 1 --steps 1
finish
