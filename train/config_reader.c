/* config_reader.c - see config_reader.h */
#include "train/config_reader.h"

#include "base/mem.h"
#include "base/near.h"
#include "base/str.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *ss_config_keep(ss_train_config_parts *parts, void *p)
{
    void **grown = p ? ss_grow(parts->kept, &parts->cap, parts->n + 1, sizeof *grown) : NULL;

    if (!grown) {
        ss_free(p);
        return NULL;
    }
    parts->kept = grown;
    return parts->kept[parts->n++] = p;
}

const char *ss_config_path(const ss_config_reader *r, const char *path)
{
    const char *slash = strrchr(r->path, '/');
    char full[PATH_MAX];
    ss_str joined = {0};

    if (*path != '/' && slash)
        ss_str_addn(&joined, r->path, (size_t)(slash - r->path) + 1);
    ss_str_add(&joined, path);
    char *text = ss_str_detach(&joined);
    if (text && realpath(text, full)) {
        ss_free(text);
        text = ss_strdup(full);
    }
    return ss_config_keep(r->t->parts, text);
}

void ss_config_refuse_unread(ss_json *j, const char *known)
{
    const char *key = ss_json_unread(j);
    char shown[96], hint[SS_NEAR];

    if (key && j->err.code == SS_OK)
        ss_fail(&j->err, SS_USAGE, "%s: there is no key \"%s\"%s; known: %s", j->name,
                ss_printable(key, shown, sizeof shown), ss_near_in(key, known, hint), known);
}

bool ss_config_open(ss_json *j, const char *key, ss_json *part)
{
    json_t *v = ss_json_get(j, key), *empty = v ? NULL : json_object();
    char name[512];

    *part = (ss_json){0};
    snprintf(name, sizeof name, "%s: %s", j->name, key);
    if (v && !json_is_object(v))
        ss_json_complain(j, SS_FORMAT, key, "expected an object {...}");
    else if (ss_json_wrap(part, name, v ? v : empty, &j->err) == SS_OK) {
        json_decref(empty);
        return true;
    }
    json_decref(empty);
    return false;
}

void ss_config_close(ss_json *j, ss_json *part)
{
    if (j->err.code == SS_OK)
        ss_json_done(part, &j->err);
    ss_json_release(part);
}
