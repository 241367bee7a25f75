# arms.sh - what demo/story and demo/story-video share; read by both, not run
#
# A story is a list of arms, "regime name steps cost option...", each trained with every seed into
# $out/REGIME/NAME-SEED. cost: of a step, beside one of the baseline; steps and costs tell how long it
# takes. The caller's script trains one arm with --one, and has a function of all that it does.

# Prints the last checkpoint before anything overflowed, or the last of all.
last_good() { # RUN
    over=$(sed -n 's/.*"first overflow": *\([0-9][0-9]*\).*/\1/p' "$1/summary.json" | head -n 1)
    best=
    for step in "$1"/step-*; do
        number=${step##*-}
        number=${number#"${number%%[!0]*}"}
        [ "$number" -ge "${over:-1000000}" ] || best=$step
    done
    echo "$best"
}

# Prints the arms that are not done yet, as "regime name seed steps cost option...", the longest first,
# so that no core waits at the end. Those named in $first come before all others, for others go on from
# them. Arms are read from stdin, a list for each of $seeds.
plan_arms() {
    arms=$(cat)
    for seed in $seeds; do
        echo "$arms" | while read -r regime arm rest; do
            [ -e "$out/$regime/$arm-$seed/done" ] || echo "$regime $arm $seed $rest"
        done
    done | awk -v first=" $first " '{ print (index(first, " " $2 " ") ? 1e9 : 0) + $4 * $5, $0 }' |
        sort -s -rn -k1,1 | cut -d' ' -f2-
}

# Prints how far the whole is, after an arm: RUN STEPS COST
arm_done() {
    : >"$out/$1/done"
    echo "$2 $3" >>"$out/done"
    awk -v now="$(date +%s)" -v run="$1" '
        FNR == 1 { file++ }
        file == 1 { total += $4 * $5; n++; next }
        file == 2 { start = $1; next }
        { did += $1 * $2; k++ }
        END {
            printf "%d of %d: %s; %d min gone", k, n, run, (now - start) / 60
            if (did < total) printf ", about %d min to go", (now - start) / 60 * (total / did - 1) + 1
            print ""
        }' "$out/plan" "$out/begun" "$out/done"
}

# Runs the plan with SCRIPT --one, as many arms at a time as there are cores: those of $first, then, after
# the function between_arms, the others.
run_plan() { # SCRIPT
    date +%s >"$out/begun"
    : >"$out/done"
    awk -v first=" $first " 'index(first, " " $2 " ")' "$out/plan" |
        xargs -r -P "$(nproc)" -L 1 sh "$1" --one
    between_arms
    awk -v first=" $first " '!index(first, " " $2 " ")' "$out/plan" |
        xargs -r -P "$(nproc)" -L 1 sh "$1" --one
}
