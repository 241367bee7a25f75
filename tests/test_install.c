/* test_install.c - what `make install` lays down: a program, a library that others link with,
 * a manual page, completion
 *
 * The build tree is the folder of SIGMASCOPE. It is installed as it is (-o all: nothing is made
 * again), so this test is as quick under sanitizers and with another compiler; what is compiled
 * here takes compiler, sanitizers and library folders from BUILD/flags, and nothing else.
 */
#include "tests/ss_tmp.h"

#include <libgen.h>
#include <sys/wait.h>

static char output[1 << 20]; /* of the last command, stdout and stderr */

/* Runs a command of the shell from the repository's root, with D for the folder of the test, B
 * for the build tree, and what is installed in $D/usr; fails unless it ends with `status`. */
static void expect(const char *command, int status, const char *text)
{
    static const char setup[] = "unset MAKEFLAGS MAKELEVEL; export LC_ALL=C; "
                                "export PKG_CONFIG_PATH=$D/usr/lib/pkgconfig:$PKG_CONFIG_PATH; "
                                "CC=$(sed 's/ -std=.*//' $B/flags); "
                                "F=$(grep -oE -- ' -(fsanitize=|L|Wl,)[^ ]+' $B/flags); "
                                "I=$(pkg-config --cflags sigmascope 2>/dev/null); ";
    const char *program = getenv("SIGMASCOPE");
    char build[512], full[8192];

    snprintf(build, sizeof build, "%s", program ? program : "build/sigmascope");
    snprintf(full, sizeof full, "{ D=%s B=%s; %s %s\n} 2>&1", tmp_dir, dirname(build), setup,
             command);
    FILE *p = popen(full, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int ended = pclose(p);
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status || (text && !strstr(output, text)))
        fail_msg("%s: wait status %d, want exit %d and \"%s\"; it printed:\n%s", command, ended,
                 status, text ? text : "", output);
}

#define INSTALL "make -s -o all B=$B "

static int install(void **state)
{
    if (make_tmp(state))
        return -1;
    expect(INSTALL "install PREFIX=$D/usr", 0, "");
    return 0;
}

static void test_destdir_and_uninstall(void **state)
{
    (void)state;
    expect(INSTALL "install PREFIX=/usr DESTDIR=$D/stage && diff -r $D/usr $D/stage/usr", 1,
           "sigmascope.pc");
    assert_null(strstr(output, "Only in")); /* the prefix in sigmascope.pc is all that differs */
    expect("grep ^prefix= $D/stage/usr/lib/pkgconfig/sigmascope.pc", 0, "prefix=/usr\n");
    expect("touch $D/stage/usr/include/other.h && " INSTALL
           "uninstall PREFIX=/usr DESTDIR=$D/stage && find $D/stage -type f",
           0, "/usr/include/other.h\n");
    assert_null(strstr(output, "sigmascope.")); /* nothing of ours, all of others' */
    expect("test -e $D/stage/usr/include/sigmascope", 1, "");
}

static void test_program(void **state)
{
    (void)state;
    expect("cd $D && usr/bin/sigmascope --version", 0, "sigmascope 0.");
    expect("v=$(cd $D && usr/bin/sigmascope --version); "
           "test \"$v\" = \"sigmascope $(pkg-config --modversion sigmascope)\"",
           0, "");
    expect("cd $D && $OLDPWD/$B/sigmascope --completion tcsh", 2, "takes bash, zsh or fish");
    expect("$B/sigmascope --man >/dev/full", 1, "writing the output: No space left on device");
}

/* All of them, in one file, by what is installed alone. */
static void test_headers(void **state)
{
    (void)state;
    expect("cd $D/usr/include && find sigmascope -name '*.h' | sort >$D/list && wc -l <$D/list && "
           "sed 's/.*/#include <&>/' $D/list >$D/all.c && cd $D && "
           "$CC -std=c17 -Wall -Wextra -Werror -fsyntax-only $I all.c",
           0, NULL);
    assert_in_range(atoi(output), 60, 1000);
    expect("grep -c -E "
           "'kernels/(backend|internal|node|cpu)|cli/|tests/"
           "|_(parts|writer|source)\\.h|r_state\\.h' $D/list",
           1, "0\n");
}

static void test_example(void **state)
{
    (void)state;
    float largest = 0;

    expect("cp examples/absmax.c $D/ && cd $D && $CC -std=c17 -O1 -Wall -Wextra -Werror $F "
           "absmax.c $(pkg-config --cflags --libs sigmascope) -o absmax",
           0, NULL);
    expect("$D/absmax demo/fashion-mnist/step-06000 80", 0, "conv_in ");
    const char *line = strstr(output, "\nup_blocks.0.upsamplers.0 ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nup_blocks.0.upsamplers.0 %f", &largest), 1);
    assert_true(largest > 300 && largest < 1500); /* probed: 594 to 734 (docs/guide.md) */
    expect("$D/absmax $D/none 80", 1, "config.json");
}

/* Every command and option is there, and roff has nothing to complain of. */
static void test_manual(void **state)
{
    (void)state;
    expect("mandoc -T lint -W warning $D/usr/share/man/man1/sigmascope.1", 0, "");
    assert_string_equal(output, "");
    expect("mandoc -T ascii -O width=200 $D/usr/share/man/man1/sigmascope.1 | col -bx", 0, NULL);
    static const char *const texts[] = {
        "EXIT STATUS",
        "sigmascope probe [OPTION]... MODEL -o RUN.h5\n",
        "-o, --output RUN.h5\n",
        "--dump-dtype f32|f16\n",
        "bisect step-* --fail 'absmax(up_blocks.*, sigma>10) > 3e4'\n",
        ".sigmascope-bisect\n", /* neither the dot nor the hyphen is lost */
    };
    for (size_t i = 0; i < N_OF(texts); i++) {
        if (!strstr(output, texts[i]))
            fail_msg("the manual page lacks \"%s\":\n%s", texts[i], output);
    }
    /* In the order of the tables, and all of them: the page's options are those of --help. */
    expect("for c in $($B/sigmascope --help | sed -n 's/^  \\([a-z][a-z]*\\) .*/\\1/p'); do "
           "echo $c; $B/sigmascope $c --help | sed -nE 's/^  (-., )?(--[a-z0-9-]+).*/\\2/p'; "
           "done >$D/options.help; "
           "mandoc -T ascii -O width=200 $D/usr/share/man/man1/sigmascope.1 | col -bx | "
           "sed -n '/^COMMANDS/,/^EXIT/p' | sed -nE -e 's/^   sigmascope ([a-z]+)$/\\1/p' "
           "-e 's/^ {5,7}(-., )?(--[a-z0-9-]+).*/\\2/p' >$D/options.man; "
           "diff $D/options.help $D/options.man && wc -l <$D/options.man",
           0, NULL);
    assert_in_range(atoi(output), 100, 1000);
}

/* Completes the words behind `sigmascope`, the last one being typed. */
static void expect_words(const char *words, const char *want)
{
    char command[2048];

    snprintf(command, sizeof command,
             "bash -c '. $0/usr/share/bash-completion/completions/sigmascope; "
             "COMP_WORDS=(sigmascope \"$@\"); COMP_CWORD=$#; _sigmascope; "
             "echo \"${COMPREPLY[*]}\" | tr \" \" \"\\n\" | sort | paste -sd \" \"' $D %s",
             words);
    expect(command, 0, NULL);
    if (strcmp(output, want) != 0)
        fail_msg("completing %s: offers %swant %s", words, output, want);
}

static void test_bash_completion(void **state)
{
    (void)state;
    expect_words("pr", "probe\n");
    expect_words("--c", "--completion\n");
    expect_words("--completion ''", "bash fish zsh\n");
    expect_words("probe --precision-", "--precision-map --precision-scope\n");
    expect_words("attn --pre", "\n"); /* not an option of attn */
    expect_words("probe --dump-dtype ''", "f16 f32\n");
    expect_words("probe --dump-dtype = f3", "f32\n"); /* --dump-dtype=f3 */
    expect_words("probe --samples ''", "\n");
    expect_words("generate --classes ''", "all\n");
    expect_words("probe demo/fashion-mnist/st",
                 "demo/fashion-mnist/step-00250 demo/fashion-mnist/step-06000\n");
    expect_words("spectrum docs/gr", "docs/growth.png\n");
    expect_words("report -o docs/gr", "\n"); /* a folder, not a picture */
    expect_words("probe m --prompt-embeds tests/golden/blo", "tests/golden/blobs.safetensors\n");
}

/* Its syntax. */
static void test_zsh(void **state)
{
    (void)state;
    if (system("command -v zsh >/dev/null") != 0)
        skip_because("there is no zsh");
    expect("zsh -n $D/usr/share/zsh/site-functions/_sigmascope", 0, "");
}

/* Words that completion offers. */
static void test_fish(void **state)
{
    (void)state;
    if (system("command -v fish >/dev/null") != 0)
        skip_because("there is no fish");
    expect("D=$D HOME=$D fish -c 'source $D/usr/share/fish/vendor_completions.d/sigmascope.fish; "
           "complete -C \"sigmascope probe --dump-dtype \"' | cut -f1 | paste -sd ' '",
           0, NULL);
    assert_string_equal(output, "f16 f32\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destdir_and_uninstall),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_bash_completion),
        cmocka_unit_test(test_zsh),
        cmocka_unit_test(test_fish),
    };
    return cmocka_run_group_tests(tests, install, remove_tmp);
}
