/* prompt_cache.c - see prompt_cache.h */
#include "probe/prompt_cache.h"

#include "base/bytes.h"
#include "base/cache.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "models/file/safetensors_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { N_STATES = 3, KEY_DIGITS = 64 };

#define SUFFIX ".safetensors"

static const char *const names[N_STATES] = {"last", "penultimate", "projected"};

static ss_array *state(ss_encoded_prompts *p, int i)
{
    return i == 0 ? &p->last : i == 1 ? &p->penultimate : &p->projected;
}

void ss_encoded_prompts_release(ss_encoded_prompts *p)
{
    for (int i = 0; i < N_STATES; i++)
        ss_array_release(state(p, i));
    *p = (ss_encoded_prompts){0};
}

ss_code ss_prompt_cache_key(const ss_model *encoder, const ss_prompts *p, const char *device,
                            char key[65], ss_err *e)
{
    ss_str all = {0};
    char hex[65];
    ss_code rc = ss_model_sha256(encoder, hex, e);

    ss_str_addf(&all, "%s %s %s %lld\n", SS_VERSION, device, hex, (long long)p->tokens);
    for (int i = 0; i < p->n && rc == SS_OK; i++) {
        rc = ss_prompts_sha256(p, i, hex, e);
        ss_str_addf(&all, "%s\n", hex);
    }
    if (rc == SS_OK)
        rc = all.failed ? ss_no_memory(e, "prompts") : ss_sha256_bytes(all.s, all.len, key, e);
    ss_str_release(&all);
    return rc;
}

/* Makes the folder and those around it; false where one cannot be made. */
static bool make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        const bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
        *p = '/';
        if (!made)
            return false;
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

/* Finds the folder, and makes it if asked to; the caller frees it with ss_free. NULL where nothing
 * is kept. */
static char *find_folder(bool make)
{
    const char *own = getenv("SIGMASCOPE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    ss_str s = {0};

    if (own && strcmp(own, "none") == 0)
        return NULL;
    if (own && *own)
        ss_str_add(&s, own);
    else if (xdg && *xdg == '/')
        ss_str_addf(&s, "%s/sigmascope/prompts", xdg);
    else if (home && *home)
        ss_str_addf(&s, "%s/.cache/sigmascope/prompts", home);
    else
        return NULL;
    if (s.failed || (make && !make_folders(s.s))) {
        ss_str_release(&s);
        return NULL;
    }
    return ss_str_detach(&s);
}

static char *path_of(const char *folder, const char *key)
{
    ss_str s = {0};

    if (!folder)
        return NULL;
    ss_str_addf(&s, "%s/%s" SUFFIX, folder, key);
    return ss_str_detach(&s);
}

/* Tells encoded prompts from other files. */
static bool is_kept(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_DIGITS && strcmp(name + KEY_DIGITS, SUFFIX) == 0;
}

/* Removes prompts whose use is longest ago, but not the one called key. */
static void trim(const char *folder, const char *key)
{
    const char *asked = getenv("SIGMASCOPE_CACHE_LIMIT");
    uint64_t limit = SS_PROMPT_CACHE_LIMIT;
    ss_cache c = {0};
    ss_str name = {0};
    ss_err e = {0};

    if (asked && *asked && ss_bytes_parse(asked, &limit, &e) != SS_OK)
        ss_warn("SIGMASCOPE_CACHE_LIMIT: %s", e.msg);
    ss_str_addf(&name, "%s" SUFFIX, key);
    if (!name.failed && ss_cache_open(&c, folder, is_kept, false, NULL) == SS_OK &&
        (!limit || ss_cache_keep(&c, name.s, NULL) == SS_OK))
        ss_cache_trim(&c, limit);
    ss_cache_close(&c);
    ss_str_release(&name);
}

static bool is_in(const char *path, const char *name)
{
    ss_safetensors *f;

    if (ss_safetensors_open(path, &f, NULL) != SS_OK)
        return false;
    const bool found = ss_safetensors_find(f, name) != NULL;
    ss_safetensors_close(f);
    return found;
}

bool ss_prompt_cache_read(const char *key, int n, ss_encoded_prompts *out)
{
    char *folder = find_folder(false), *path = path_of(folder, key);
    ss_encoded_prompts p = {0};
    bool good = path && ss_file_exists(path);

    for (int i = 0; i < N_STATES && good; i++) {
        ss_array *a = state(&p, i);
        ss_str name = {0};

        if (!is_in(path, names[i]))
            continue;
        ss_str_addf(&name, "%s#%s", path, names[i]);
        good = !name.failed && ss_safetensors_load_f32(name.s, a, NULL) == SS_OK && a->dim[0] == n;
        ss_str_release(&name);
    }
    good &= p.last.rank == 3 && p.penultimate.rank == 3;
    if (good) {
        *out = p;
        utimensat(AT_FDCWD, path, NULL, 0); /* when it was used */
    } else
        ss_encoded_prompts_release(&p);
    ss_free(path);
    ss_free(folder);
    return good;
}

void ss_prompt_cache_write(const char *key, const ss_encoded_prompts *p)
{
    char *folder = find_folder(true), *path = path_of(folder, key);
    ss_st_item items[N_STATES] = {0};
    size_t n = 0;
    ss_err e = {0};

    for (int i = 0; i < N_STATES; i++) {
        const ss_array *a = state((ss_encoded_prompts *)p, i);

        if (!a->rank)
            continue;
        items[n] =
            (ss_st_item){.name = names[i], .dtype = SS_F32, .rank = a->rank, .values = a->values};
        memcpy(items[n++].dim, a->dim, sizeof a->dim);
    }
    if (path && ss_safetensors_write(path, items, n, NULL, 0, &e) != SS_OK)
        ss_note("the encoded prompts are not kept: %s", e.msg);
    else if (path)
        trim(folder, key);
    ss_free(path);
    ss_free(folder);
}
