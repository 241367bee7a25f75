/* test_corpus.c - every fuzz target over its corpus, and over each file of it cut short
 *
 * What fuzzing found once stays found: a crash ends this program, a broken promise too.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/ss_test.h"

#include <dirent.h>
#include <stdio.h>

enum { LARGEST = 1 << 20, CUTS = 8 };

static void run_one(const fuzz_target *t, const char *path)
{
    char *bytes = NULL;
    size_t n = 0;
    ss_err e = {0};

    if (ss_file_read(path, LARGEST, &bytes, &n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    t->run((const uint8_t *)bytes, n);
    for (size_t k = 0; k < CUTS; k++)
        t->run((const uint8_t *)bytes, n * k / CUTS);
    ss_free(bytes);
}

static void test_corpus(void **state)
{
    const fuzz_target *t = *state;
    char folder[256];
    int n = 0;

    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", t->name);
    DIR *d = opendir(folder);
    if (!d)
        fail_msg("%s: no corpus", folder);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        char path[600];

        if (f->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        run_one(t, path);
        n++;
    }
    closedir(d);
    assert_true(n > 0);
}

int main(void)
{
    struct CMUnitTest tests[FUZZ_N_TARGETS];

    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    for (int i = 0; i < FUZZ_N_TARGETS; i++)
        tests[i] = (struct CMUnitTest){.name = fuzz_targets[i].name,
                                       .test_func = test_corpus,
                                       .initial_state = (void *)&fuzz_targets[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
