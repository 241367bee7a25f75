/* config_stages.c - the stages of a training configuration; see config_network.h */
#include "base/mem.h"
#include "train/config_network.h"

#include <math.h>
#include <stdio.h>

enum { MOST_SIDE = 1 << 14 };

/* A whole number from 1 to `most`; 0 where the key is absent, or after a complaint. */
static int64_t read_number(ss_json *j, const char *key, double most)
{
    const int64_t v = ss_json_int(j, key, 1);

    if (!ss_json_has(j, key))
        return 0;
    if (v >= 1 && (double)v <= most)
        return v;
    ss_json_complain(j, SS_USAGE, key, "allowed: 1 to %.0f", most);
    return 0;
}

/* "size": a side of squares, or [height, width]. */
static void read_size(ss_json *j, ss_train_stage *s)
{
    const json_t *v = ss_json_get(j, "size");
    const json_t *h = json_is_array(v) ? json_array_get(v, 0) : v;
    const json_t *w = json_is_array(v) ? json_array_get(v, 1) : v;
    const json_int_t height = json_integer_value(h), width = json_integer_value(w);

    if (!v)
        return;
    if ((json_is_array(v) && json_array_size(v) != 2) || !json_is_integer(h) ||
        !json_is_integer(w) || height < 1 || width < 1 || height > MOST_SIDE || width > MOST_SIDE) {
        ss_json_complain(j, SS_USAGE, "size", "allowed: a side from 1 to %d, or [height, width]",
                         MOST_SIDE);
        return;
    }
    s->height = (int)height;
    s->width = (int)width;
}

static void read_stage(ss_json *file, const json_t *v, size_t i, bool last, ss_train_stage *s)
{
    char name[512];
    ss_json j = {0};

    snprintf(name, sizeof name, "%s: stage %zu", file->name, i + 1);
    if (ss_json_wrap(&j, name, (json_t *)v, &file->err) != SS_OK)
        return;
    s->steps = read_number(&j, "steps", SS_MOST_STEPS / SS_MOST_STAGES);
    if (!s->steps && !last && j.err.code == SS_OK)
        ss_json_complain(&j, SS_USAGE, "steps", "every stage but the last says how long it is");
    read_size(&j, s);
    s->frames = (int)read_number(&j, "frames", 1 << 16);
    s->pool = (int)read_number(&j, "pool", 1 << 12);
    s->batch = (int)read_number(&j, "batch", SS_MOST_SAMPLES);
    s->accumulate = (int)read_number(&j, "accumulate", SS_MOST_SAMPLES);
    s->lr = ss_json_double(&j, "lr", -1);
    if (ss_json_has(&j, "lr") && (!(s->lr >= 0) || isinf(s->lr)))
        ss_json_complain(&j, SS_USAGE, "lr", "allowed: numbers from 0");
    ss_config_refuse_unread(&j, "steps, size, frames, pool, batch, accumulate, lr");
    ss_config_close(file, &j);
}

void ss_config_read_stages(ss_config_reader *r, ss_json *j)
{
    ss_train_config *t = r->t;
    const json_t *list = ss_json_get(j, "stages");
    const size_t n = json_array_size(list);
    int64_t steps = 0;

    if (!list)
        return;
    if (!json_is_array(list) || n < 1 || n > SS_MOST_STAGES) {
        ss_json_complain(j, SS_FORMAT, "stages", "expected a list of 1 to %d objects",
                         SS_MOST_STAGES);
        return;
    }
    ss_train_stage *s = ss_config_keep(t->parts, ss_calloc(n, sizeof *s));
    if (!s) {
        ss_json_complain(j, SS_NOMEM, "stages", "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        read_stage(j, json_array_get(list, i), i, i == n - 1, &s[i]);
        steps += s[i].steps;
    }
    t->trainer.stages = s;
    t->trainer.n_stages = (int)n;
    if (!ss_json_has(j, "steps") && s[n - 1].steps)
        t->steps = steps;
}
