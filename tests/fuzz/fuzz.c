/* fuzz.c - see fuzz.h */
#include "tests/fuzz/fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const fuzz_target fuzz_targets[FUZZ_N_TARGETS] = {
#define X(name) {#name, fuzz_##name},
    FUZZ_TARGETS(X)
#undef X
};

static char root[64];
static pid_t owner; /* a child that the reader of run files forks leaves the folder alone */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st, (void)type, (void)f;
    return remove(path);
}

static void remove_root(void)
{
    if (getpid() == owner)
        nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
    strcpy(root, access("/dev/shm", W_OK) == 0 ? "/dev/shm/sigmascope-fuzz-XXXXXX"
                                               : "/tmp/sigmascope-fuzz-XXXXXX");
    if (!mkdtemp(root)) {
        perror(root);
        abort();
    }
    owner = getpid();
    atexit(remove_root);
}

const char *fuzz_path(const char *name)
{
    static char ring[8][512];
    static int next;
    char *path = ring[next++ % 8];

    if (!*root)
        make_root();
    snprintf(path, sizeof ring[0], "%s/%s", root, name);
    return path;
}

const char *fuzz_file(const char *name, const void *data, size_t size)
{
    const char *path = fuzz_path(name);
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
        perror(path);
        abort();
    }
    return path;
}

const char *fuzz_folder(const char *name)
{
    const char *path = fuzz_path(name);

    mkdir(path, 0777);
    return path;
}

char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

void fuzz_check(ss_code rc, const ss_err *e)
{
    if (rc == SS_OK)
        return;
    if (e->code != rc || !*e->msg) {
        fprintf(stderr, "code %d, error has %d: '%s'\n", rc, e->code, e->msg);
        abort();
    }
    for (const char *p = e->msg; *p; p++) {
        if ((unsigned char)*p < 0x20 ? *p != '\n' && *p != '\t' : *p == 0x7f) {
            fprintf(stderr, "control character %02x at %zd of: %s\n", (unsigned char)*p, p - e->msg,
                    e->msg);
            abort();
        }
    }
}
