/* test_offers.c - what is offered where a folder was given for what is in it, and for networks that
 * cannot be opened */
#include "tests/ss_command.h"

static void test_checkpoints(void **state)
{
    static const char *const commands[] = {"probe $D/runs -o x.h5", "generate $D/runs -o 'x y'",
                                           "convert $D/runs x"};

    (void)state;
    assert_int_equal(run("--version; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do mkdir -p "
                         "$D/runs/checkpoint-$i; ln -s $PWD/$M/unet $D/runs/checkpoint-$i/; done"),
                     0);
    for (size_t i = 0; i < N_OF(commands); i++) {
        expect(commands[i], 1, "is the folder of a training, with 12 checkpoints");
        assert_non_null(strstr(output, "checkpoints in it, newest first:\n  sigmascope "));
        const char *lines = strstr(output, "newest first");
        const char *last = strstr(lines, "/runs/checkpoint-12"),
                   *next = strstr(lines, "/runs/checkpoint-11");
        assert_true(last && next && last < next && !strstr(lines, "/runs/checkpoint-2\n"));
        assert_non_null(strstr(output, "\n  and 2 more\n"));
    }
    expect("generate $D/runs -o 'x y'", 1, "\n  sigmascope generate -o 'x y' /");
    expect("inspect $D/runs", 0, "checkpoint-12"); /* lists them anyway */
    /* an option is wrong, not the folder */
    expect("probe $D/runs/checkpoint-1 -o $D/none/x.h5 --class 3 --samples 1", 1, "No such file");
    assert_null(strstr(output, "newest first"));
}

static void test_runs(void **state)
{
    static const char *const commands[] = {"analyze $D/made", "attn $D/made",
                                           "report $D/made -o $D/page", "spectrum $D/made",
                                           "compare $D/made $D/made/old.h5"};

    (void)state;
    assert_int_equal(run("--version; mkdir $D/made $D/empty; touch -d 2020-01-01 $D/made/old.h5; "
                         "touch $D/made/new.h5 $D/made/notes.txt"),
                     0);
    for (size_t i = 0; i < N_OF(commands); i++) {
        char want[64];

        snprintf(want, sizeof want, "newest first:\n  sigmascope %.*s",
                 (int)strcspn(commands[i], " "), commands[i]);
        assert_int_not_equal(run(commands[i]), 0);
        const char *first = strstr(output, want);
        if (!first || !strstr(first, "/made/new.h5") ||
            strstr(first, "/made/new.h5") > strstr(first, "/made/old.h5") ||
            strstr(output, "notes.txt"))
            fail_msg("%s: %s", commands[i], output);
    }
    expect("attn $D/empty", 1, "is a folder, expected a run file\n");
    assert_null(strstr(output, "newest first"));
}

/* Families that cannot be opened: the run file can be written by PyTorch. */
static void test_refused_families(void **state)
{
    static const char *const classes[] = {"FluxTransformer2DModel", "SD3Transformer2DModel",
                                          "DiTTransformer2DModel", "WanTransformer3DModel"};

    (void)state;
    for (size_t i = 0; i < N_OF(classes); i++) {
        char args[512];

        snprintf(args, sizeof args,
                 "--version; mkdir -p $D/p/transformer; "
                 "echo '{\"_class_name\": \"%s\"}' >$D/p/transformer/config.json; "
                 "echo '{\"_class_name\": \"Pipeline\", \"transformer\": [\"diffusers\", \"%s\"]}' "
                 ">$D/p/model_index.json",
                 classes[i], classes[i]);
        assert_int_equal(run(args), 0);
        static const char *const commands[] = {
            "probe $D/p -o x.h5", "inspect $D/p", "probe $D/p/transformer -o x.h5",
            "bisect $D/p --fail 'nonfinite(*)'", "probe $D/p -o x.h5 --components transformer"};
        for (size_t k = 0; k < N_OF(commands); k++) {
            assert_int_not_equal(run(commands[k]), 0);
            if (!strstr(output, classes[i]) ||
                !strstr(output, "Any network can be watched in PyTorch by hooks that write a run "
                                "file for analyze") ||
                !strstr(output, "docs/recorder.md"))
                fail_msg("%s: %s", commands[k], output);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_refused_families),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
