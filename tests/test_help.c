/* test_help.c - the list of commands, --help with its groups and examples, `sigmascope help` */
#include "tests/ss_command.h"

/* The names of all commands, as the list of commands has them. */
static int list_commands(char names[64][32])
{
    int n = 0;

    expect("help", 0, "usage: sigmascope COMMAND");
    for (const char *at = output; (at = strstr(at, "\n  ")) && n < 64; n++) {
        at += strlen("\n  ");
        assert_int_equal(sscanf(at, "%31[a-z]", names[n]), 1);
    }
    assert_true(n > 10);
    return n;
}

/* The commands stand under the jobs that they are for, the first of which finds the fault. */
static void test_jobs(void **state)
{
    static char list[sizeof output];

    (void)state;
    expect("help", 0, NULL);
    memcpy(list, output, sizeof list);
    expect("--help", 0, list);
    expect("", 2, list);
    const char *fault = strstr(list, "\nFind the fault\n"), *closer = strstr(list, "\nLook closer");
    const char *train = strstr(list, "\nTrain and"), *files = strstr(list, "\nFiles and");
    assert_true(fault && fault < closer && closer < train && train < files);
    assert_true(strstr(fault, "\n  bisect ") < closer && strstr(list, "\n  convert ") > files);
}

static void test_help_of_commands(void **state)
{
    static char text[sizeof output];

    (void)state;
    expect("help probe", 0, "usage: sigmascope probe");
    memcpy(text, output, sizeof text);
    expect("probe --help", 0, text);
    expect("help frobnicate", 2, "no command 'frobnicate'");
    expect("help probe train", 2, "unexpected operand 'train'");
}

/* Options stand in groups; a group whose rows are apart in the table is printed once. */
static void test_groups(void **state)
{
    static const char *const titles[] = {"What to run", "Inputs", "Conditions", "Checkpoint",
                                         "Precision",   "Output", "General",    "Examples"};

    (void)state;
    expect("help probe", 0, NULL);
    for (size_t i = 0; i < N_OF(titles); i++) {
        char line[64];

        snprintf(line, sizeof line, "\n\n%s:\n", titles[i]);
        const char *at = strstr(output, line);
        if (!at || strstr(at + 1, line))
            fail_msg("\"%s\" is not there once:\n%s", titles[i], output);
    }
    const char *checkpoint = strstr(output, "\nCheckpoint:"), *end = strstr(checkpoint, "\n\n");
    const char *lora = strstr(output, "--lora "), *dump = strstr(output, "--dump ");
    assert_true(checkpoint < lora && lora < end);
    assert_true(strstr(output, "\nOutput:") < dump && dump < strstr(output, "\nGeneral:"));
    expect("analyze --help", 0, "\nOutput:\n  --top N");
    assert_true(strstr(output, "--json") < strstr(output, "\n\nGeneral:"));
}

/* Runs the examples of a command up to --help, at which parsing ends: a wrong option, or a wrong
 * value of one, ends it before. */
static void try_examples(const char name[32])
{
    static char help[sizeof output];
    char args[600], begin[64];
    int n = 0;

    snprintf(args, sizeof args, "help %.31s", name);
    expect(args, 0, "\nExamples:\n");
    memcpy(help, output, sizeof help);
    snprintf(begin, sizeof begin, "\n  sigmascope %.31s", name);
    for (const char *at = strstr(help, "\nExamples:\n"); (at = strstr(at, begin)); n++) {
        at += strlen("\n  sigmascope ");
        snprintf(args, sizeof args, "%.*s --help", (int)strcspn(at, "\n"), at);
        expect(args, 0, "usage: sigmascope ");
        assert_int_equal(strncmp(strchr(at, '\n'), "\n      ", 7), 0); /* and says what for */
    }
    if (n < 2 || n > 6)
        fail_msg("%s has %d examples", name, n);
}

static void test_examples(void **state)
{
    char names[64][32];
    const int n = list_commands(names);

    (void)state;
    for (int i = 0; i < n; i++)
        try_examples(names[i]);
}

/* The manual page has the same groups and examples. */
static void test_manual(void **state)
{
    (void)state;
    expect("--man", 0, ".SS sigmascope probe");
    const char *probe = strstr(output, ".SS sigmascope probe"), *next = strstr(probe + 1, ".SS ");
    const char *group = strstr(probe, "\nPrecision:\n"), *example = strstr(probe, "\nExamples:\n");
    assert_true(group && example && group < example && example < next);
    example = strstr(example, "\n.B sigmascope probe ");
    assert_true(example && example < next);
}

/* A mistyped name is answered by the nearest one, and by none where all are far. */
static void test_did_you_mean(void **state)
{
    static const struct {
        const char *args, *text;
    } cases[] = {
        {"anaylze", "sigmascope: no command 'anaylze' - did you mean 'analyze'?\n"},
        {"frobnicate", "sigmascope: no command 'frobnicate'\n'sigmascope help' lists"},
        {"help repotr", "no command 'repotr' - did you mean 'report'?\n"},
        {"probe $M -o $D/x.h5 --input x", "'x' is not a kind of input"}, /* names may be cut */
        {"probe $M -o $D/x.h5 --imputs x", "unknown option '--imputs' - did you mean '--inputs'?"},
        {"probe $M --simgas=1", "unknown option '--simgas' - did you mean '--sigmas'?"},
        {"probe $M --frobnicate", "unknown option '--frobnicate'\n"},
        {"probe $M --prec x", "option '--prec' is ambiguous: --precision, --precision-map, --pre"},
        {"probe $M --resume=1", "--resume takes no value"},
        {"probe $M -sigmas 1", "unknown option '-s' in '-sigmas' - did you mean '--sigmas'?"},
        {"probe $M -x", "unknown option '-x'\n"},
        {"analyze -o x", "unknown option '-o'\n"},
        {"generate $M --sampler ddmi", "or heun, not 'ddmi' - did you mean 'ddim'?"},
        {"probe $M --as haf", "takes half, autocast or autocast-cpu, not 'haf' - did you mean 'ha"},
        {"probe $M --progress alway", "not 'alway' - did you mean 'always'?"},
        {"probe $M --dump-dtype f64", "--dump-dtype takes f32 or f16, not 'f64'"},
        {"probe $M -o $D/x.h5 --precision fp61", "a number format - did you mean 'fp16'?; known"},
        {"probe $M -o $D/x.h5 --inputs nose:white", "of input - did you mean 'noise'?; there are"},
        {"probe $M -o $D/x.h5 --intervene clmap:1@x", "did you mean 'clamp'?"},
        {"train train/configs/vae-28.json -o $D/t --set optimizer.betta1=1",
         "did you mean 'beta1'?"},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect(cases[i].args, 2, cases[i].text);
        int lines = 0;
        for (const char *c = output; *c; c++)
            lines += *c == '\n';
        if (lines > 2) /* never the whole help */
            fail_msg("%s: %s", cases[i].args, output);
    }
}

/* Letters may be joined, and -q and -v are the long options. */
static void test_letters(void **state)
{
    (void)state;
    expect("analyze -qh", 0, "-q, --quiet");
    expect("analyze -vh", 0, "-v, --verbose");
    expect("analyze -qx", 2, "unknown option '-x' in '-qx'\n");
}

/* -v says what was opened, chosen and made, with times, on stderr; stdout stays the same. */
static void test_verbose(void **state)
{
    static const char *const texts[] = {" s: computes on ", "UNet2DConditionModel, ",
                                        " s: mapped ",      "2 noise levels, 1 i",
                                        "sigma 80 is done", " s: done; at most "};

    (void)state;
    expect("probe $M -o $D/v.h5 --threads 1 --class 3 --samples 1 --sigmas 0.5,80 -v", 0, NULL);
    for (size_t i = 0; i < N_OF(texts); i++) {
        if (!strstr(output, texts[i]))
            fail_msg("\"%s\" is not in %s", texts[i], output);
    }
    expect("inspect $M -v 2>/dev/null >$D/with; ${SIGMASCOPE:-build/sigmascope} inspect $M "
           ">$D/without 2>$D/errors; cmp $D/with $D/without && wc -c <$D/errors",
           0, "0\n");
    expect("report $D/v.h5 -o $D/page -v", 0, "the folder ");
    assert_non_null(strstr(output, "read the run "));
}

static void test_completion(void **state)
{
    (void)state;
    expect("--completion bash", 0, "'help '*) operand=yes words='doctor probe ");
    expect("--completion fish", 0, "__fish_seen_subcommand_from help' -a 'doctor probe ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs),       cmocka_unit_test(test_help_of_commands),
        cmocka_unit_test(test_groups),     cmocka_unit_test(test_examples),
        cmocka_unit_test(test_manual),     cmocka_unit_test(test_did_you_mean),
        cmocka_unit_test(test_completion), cmocka_unit_test(test_letters),
        cmocka_unit_test(test_verbose),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
