/* test_folders.c - folders as people have them, by the commands that read them
 *
 * They are made of the small networks in tests/golden/unets: copied, renamed, with keys and tensors
 * that a training left there.
 */
#include "tests/ss_command.h"

#define WEIGHTS "diffusion_pytorch_model"
#define UNETS "tests/golden/unets"

/* A shell command in $D; the test fails where it does. */
static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

/* Folder NAME in $D, a copy of a golden network. */
static void copy_unet(const char *unet, const char *name)
{
    char line[512];

    snprintf(line, sizeof line, "mkdir -p $D/%s && cp " UNETS "/%s/[cd]* $D/%s/", name, unet, name);
    shell(line);
}

/* Which weights are used is an option, and replays use the same. */
static void test_variant(void **state)
{
    (void)state;
    copy_unet("plain", "two");
    shell("mv $D/two/" WEIGHTS ".safetensors $D/two/" WEIGHTS ".fp16.safetensors && "
          "cp $D/two/" WEIGHTS ".fp16.safetensors $D/two/" WEIGHTS ".non_ema.safetensors");
    expect("inspect $D/two", 2, "as with --variant fp16");
    expect("inspect $D/two --variant non_ema", 0, ".non_ema.safetensors");
    expect("inspect $D/two --variant ema", 2, "there are: fp16, non_ema");
    expect("inspect $D/two $D/two --variant fp16", 0, "0 of");
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --quiet", 2, "--variant");
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant fp16 --quiet", 0, NULL);
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant fp16 --quiet --resume", 0,
           NULL);
    expect("probe $D/two -o $D/two.h5 --samples 1 --sigmas 1 --variant non_ema --quiet --resume", 2,
           "cannot be resumed");
    expect("analyze $D/two.h5 --keep-fp32 e4m3 --check --quiet", 0, NULL); /* runs it again */
    expect("bisect $D/two --fail 'absmax(*) > 1e-6' --samples 1 --sigmas 1 --variant fp16 --quiet "
           "--cache $D/cache --save-bundle $D/bundle",
           3, NULL);
    shell("grep -q -- \"--variant 'fp16'\" $D/bundle/replay.sh && "
          "grep -q '\"variant\": \"fp16\"' $D/bundle/expected.json");
    expect("generate $D/two -o $D/pictures --samples 1 --steps 1 --variant fp16 --quiet", 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variant),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
