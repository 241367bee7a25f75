/* ss_tmp.h - a folder for the files that a test program makes
 *
 * Group setup and teardown of cmocka: the folder is made before the first test and
 * removed, with all files in it, after the last.
 *
 *   write_file(in_tmp("a.png"), bytes, n);
 *   return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
 */
#ifndef SS_TEST_TMP_H
#define SS_TEST_TMP_H

#include "tests/ss_test.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

static char tmp_dir[64];

static int make_tmp(void **state)
{
    (void)state;
    strcpy(tmp_dir, "/tmp/sigmascope-test-XXXXXX");
    return mkdtemp(tmp_dir) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st, (void)type, (void)f;
    return remove(path);
}

static int remove_tmp(void **state)
{
    (void)state;
    return nftw(tmp_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Path of a file in the folder; good until the fourth call from now. */
static inline const char *in_tmp(const char *name)
{
    static char ring[4][512];
    static int next;
    char *path = ring[next++ % 4];

    snprintf(path, sizeof ring[0], "%s/%s", tmp_dir, name);
    return path;
}

static inline void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* How many entries a folder has, . and .. not counted. */
static inline int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

#endif
