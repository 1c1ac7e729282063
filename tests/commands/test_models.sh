# generate with broken and hostile model folders.
. "$(dirname "$0")/common.sh"
cp "$WAVE" a.jpg
UNET=unet/diffusion_pytorch_model.safetensors

# with_model REGEX CODE COMMAND: the tiny model after COMMAND has been run in a copy of it.
with_model()
{
    local regex=$1 code=$2
    shift 2
    rm -rf "$WORK.model"
    cp -r "$TINY" "$WORK.model"
    (cd "$WORK.model" && eval "$*") || fail "cannot prepare: $*"
    expect "$code" "$regex" arttomus generate a.jpg -o o.wav --model "$WORK.model" --duration 1 --steps 1
}

expect 66 'nowhere' arttomus generate a.jpg -o o.wav --model nowhere
with_model 'model_index.json'           66 'rm -rf *'
with_model 'unet'                       66 "rm $UNET"
with_model 'conditioning'               66 'rm -r conditioning'
with_model 'safetensors'                65 "truncate -s 1000 $UNET"
with_model 'safetensors'                65 "truncate -s -1 $UNET"
with_model 'safetensors'                65 "printf '\\377\\377\\377\\377\\377\\377\\377\\377' | dd of=$UNET conv=notrunc status=none"
with_model 'config.json'                65 'echo "{" > unet/config.json'
with_model 'config.json'                78 'sed -i s/silu/relu/ unet/config.json'
with_model 'norm_num_groups'            78 "sed -i 's/\"norm_num_groups\": [0-9]*/\"norm_num_groups\": 7/' unet/config.json"
with_model 'missing|shape'              65 'cp vae/diffusion_pytorch_model.safetensors unet/'
with_model 'missing.*unexpected'         65 "sed -i 's/conv_in.weight/conv_xx.weight/' $UNET"

# the four attacks: wrapped product, unchecked range, end before start, big shape on few bytes
attack()
{
    local header=$1
    printf "\\x$(printf %02x ${#header})\\0\\0\\0\\0\\0\\0\\0%s%s" "$header" "AAAAAAAAAAAAAAAA" > "$WORK.attack"
    with_model 'safetensors' 65 "cp '$WORK.attack' $UNET"
    expect 65 'attack' arttomus inspect "$WORK.attack"
}
attack '{"x":{"dtype":"F32","shape":[4194305,4194305,211106198978564],"data_offsets":[0,16]}}'
attack '{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999]}}'
attack '{"x":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}'
attack '{"x":{"dtype":"F32","shape":[1000000],"data_offsets":[0,16]}}'

# a pickle that would run a command
if [ -e "$FIXTURES/torchfile" ]; then
    printf '\200\002cos\nsystem\nX\021\000\000\000touch /tmp/pwned1\205R.' > "$WORK.pickle"
    with_model 'pickle|torch|bin' 65 "rm $UNET; cp '$WORK.pickle' unet/diffusion_pytorch_model.bin"
    absent /tmp/pwned1
fi
rm -rf "$WORK.model" "$WORK.attack" "$WORK.pickle"
finish
