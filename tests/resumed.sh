# resumed.sh - what tests/kill and tests/full-disk share: commands that can be gone on with
#
# Sourced from the repository's root, by a script that has set $work, a folder of its own.
# `whole KIND` makes $work/whole/KIND undisturbed, `start KIND FOLDER` runs the command in a folder
# (as the process itself, so that it can be killed), and `target KIND` is what it writes there.
# `prepare KIND FOLDER` makes what the command goes on from, if that is not nothing: the kind `longer`
# is a training of 11 steps, which gets 24.
root=$PWD
program=$(realpath "${SIGMASCOPE:-build/sigmascope}") || exit 1

cat >"$work/train.json" <<'JSON'
{"steps": 24, "batch": 4, "seed": 1,
 "model": {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, "out_channels": 1,
  "layers_per_block": 1, "block_out_channels": [8, 16],
  "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
  "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "attention_head_dim": 8,
  "norm_num_groups": 4, "num_class_embeds": 4},
 "data": {"kind": "shapes", "null_class": 3, "dropout": 0.1},
 "optimizer": {"lr": 5e-3, "warmup": 3, "ema_decay": 0.9},
 "statistics": {"every": 3}, "checkpoints": {"every": 5, "ema": true, "keep": 3}}
JSON

target() {
    case $1 in
    train) echo out ;;
    longer) echo longer ;;
    probe) echo run.h5 ;;
    esac
}

# --resume also the first time, so that the commands in the files are the same.
start() {
    cd "$2" || exit 1
    case $1 in
    train | longer) exec "$program" train "$work/train.json" -o "$(target "$1")" --resume --quiet \
        --threads 1 ;;
    probe)
        exec "$program" probe "$root/demo/fashion-mnist/step-00250" -o run.h5 --resume --quiet \
            --threads 1 --class 3 --samples 1 --sigmas 0.02:80:8 --dump conv_in
        ;;
    esac
}

prepare() {
    [ "$1" = longer ] || return 0
    if ! [ -e "$work/shorter" ]; then
        "$program" train "$work/train.json" -o "$work/shorter" --steps 11 --quiet --threads 1 \
            >/dev/null || exit 1
    fi
    cp -r "$work/shorter" "$2/longer"
}

now_ms() {
    echo $(($(date +%s%N) / 1000000))
}

# Also sets $took, in milliseconds.
whole() {
    mkdir -p "$work/whole"
    began=$(now_ms)
    (start "$1" "$work/whole") >/dev/null || exit 1
    took=$(($(now_ms) - began))
}

# Runs to the end in a folder, and compares; what is wrong is printed.
ends_the_same() {
    if ! (start "$1" "$2") >"$work/log" 2>&1; then
        cat "$work/log"
        return 1
    fi
    left=$(find "$2" -name '*.tmp-*' \( -path '*/out/*' -o -path '*/longer/*' \))
    if [ -n "$left" ]; then
        echo "left behind: $left"
        return 1
    fi
    tests/same-data "$work/whole/$(target "$1")" "$2/$(target "$1")"
}
