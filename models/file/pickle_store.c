/* pickle_store.c - memory of the values of a pickle, and the questions that pickle.h answers */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/pickle_machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VALUES_A_BLOCK = 512, TEXT_A_BLOCK = 16384, MAX_PATH = 16 };

/* Values, or the bytes of texts. */
struct ss_pickle_block {
    ss_pickle_block *next;
    size_t n, cap;
    union {
        ss_pickle_value values[1]; /* [cap], as many as there is room for */
        char text[1];
    };
};

static ss_pickle_block *new_block(ss_pickle_block *next, size_t cap, size_t size)
{
    ss_pickle_block *b = cap < SIZE_MAX / size - 1 ? ss_calloc(1, sizeof *b + cap * size) : NULL;

    if (b)
        *b = (ss_pickle_block){.next = next, .cap = cap};
    return b;
}

ss_pickle_value *ss_pickle_new(ss_pickle_store *s, ss_pickle_kind kind, ss_err *e)
{
    ss_pickle_block *b = s->values;

    if (s->n_values >= SS_PICKLE_MAX_VALUES) {
        ss_fail(e, SS_FORMAT, "%s: the pickle has more than %d values", s->path,
                (int)SS_PICKLE_MAX_VALUES);
        return NULL;
    }
    if (!b || b->n == b->cap) {
        b = new_block(s->values, VALUES_A_BLOCK, sizeof b->values[0]);
        if (!b) {
            ss_no_memory(e, s->path);
            return NULL;
        }
        s->values = b;
    }
    s->n_values++;
    ss_pickle_value *v = b->values + b->n++;
    *v = (ss_pickle_value){.kind = kind};
    return v;
}

char *ss_pickle_text(ss_pickle_store *s, size_t n, ss_err *e)
{
    ss_pickle_block *b = s->texts;

    if (!b || b->cap - b->n < n) {
        b = new_block(s->texts, n > TEXT_A_BLOCK ? n : TEXT_A_BLOCK, 1);
        if (!b) {
            ss_no_memory(e, s->path);
            return NULL;
        }
        s->texts = b;
    }
    b->n += n;
    return b->text + b->n - n;
}

static bool has_items(const ss_pickle_value *v)
{
    return v && (v->kind == SS_PICKLE_TUPLE || v->kind == SS_PICKLE_LIST ||
                 v->kind == SS_PICKLE_SET || v->kind == SS_PICKLE_DICT);
}

ss_code ss_pickle_append(ss_pickle_store *s, ss_pickle_value *to, ss_pickle_value *item, ss_err *e)
{
    ss_pickle_value **grown =
        ss_grow(to->items.at, &to->items.cap, to->items.n + 1, sizeof(ss_pickle_value *));

    if (!grown)
        return ss_no_memory(e, s->path);
    to->items.at = grown;
    to->items.at[to->items.n++] = item;
    return SS_OK;
}

void ss_pickle_store_release(ss_pickle_store *s)
{
    for (ss_pickle_block *b = s->values, *next; b; b = next) {
        next = b->next;
        for (size_t i = 0; i < b->n; i++) {
            if (has_items(b->values + i))
                ss_free(b->values[i].items.at);
        }
        ss_free(b);
    }
    for (ss_pickle_block *b = s->texts, *next; b; b = next) {
        next = b->next;
        ss_free(b);
    }
    for (size_t i = 0; i < s->n_tensors; i++)
        ss_free(s->tensors[i]);
    ss_free(s->tensors);
    ss_free(s->storages);
    *s = (ss_pickle_store){0};
}

size_t ss_pickle_count(const ss_pickle_value *v)
{
    return !has_items(v) ? 0 : v->kind == SS_PICKLE_DICT ? v->items.n / 2 : v->items.n;
}

const ss_pickle_value *ss_pickle_at(const ss_pickle_value *v, size_t i)
{
    return v->kind == SS_PICKLE_DICT ? v->items.at[2 * i + 1] : v->items.at[i];
}

const ss_pickle_value *ss_pickle_key(const ss_pickle_value *v, size_t i)
{
    return v->items.at[2 * i];
}

/* True if a key is the n bytes at text, written out where it is a number. */
static bool is_key(const ss_pickle_value *key, const char *text, size_t n)
{
    char number[24];

    if (key->kind == SS_PICKLE_TEXT)
        return key->text.n == n && memcmp(key->text.s, text, n) == 0;
    if (key->kind != SS_PICKLE_INT)
        return false;
    return (size_t)snprintf(number, sizeof number, "%" PRId64, key->number) == n &&
           memcmp(number, text, n) == 0;
}

/* Takes a step to where a key of n bytes leads in a dict, a list or an object. */
static const ss_pickle_value *step(const ss_pickle_value *v, const char *key, size_t n)
{
    if (!v)
        return NULL;
    if (v->kind == SS_PICKLE_OBJECT) {
        const ss_pickle_value *state = v->object.state, *found = step(v->object.items, key, n);

        if (!found && state && state->kind == SS_PICKLE_DICT)
            found = step(state, key, n);
        /* (__dict__, slots), where a class has both */
        for (size_t i = 0; !found && state && state->kind == SS_PICKLE_TUPLE && i < state->items.n;
             i++) {
            if (state->items.at[i]->kind == SS_PICKLE_DICT)
                found = step(state->items.at[i], key, n);
        }
        return found;
    }
    if (v->kind == SS_PICKLE_DICT) {
        for (size_t i = v->items.n / 2; i-- > 0;) { /* the last of a key counts */
            if (is_key(v->items.at[2 * i], key, n))
                return v->items.at[2 * i + 1];
        }
    } else if (has_items(v)) {
        for (size_t i = 0; i < v->items.n; i++) {
            if (is_key(&(ss_pickle_value){.kind = SS_PICKLE_INT, .number = (int64_t)i}, key, n))
                return v->items.at[i];
        }
    }
    return NULL;
}

const ss_pickle_value *ss_pickle_get(const ss_pickle_value *v, const char *key)
{
    return step(v, key, strlen(key));
}

/* Finds a path in which at most parts dots separate keys. */
static const ss_pickle_value *find(const ss_pickle_value *v, const char *path, int parts)
{
    const ss_pickle_value *found = ss_pickle_get(v, path);

    for (const char *dot = strchr(path, '.'); !found && v && dot && parts > 0;
         dot = strchr(dot + 1, '.'))
        found = find(step(v, path, (size_t)(dot - path)), dot + 1, parts - 1);
    return found;
}

const ss_pickle_value *ss_pickle_find(const ss_pickle_value *v, const char *path)
{
    return find(v, path, MAX_PATH);
}

bool ss_pickle_is(const ss_pickle_value *v, const char *text)
{
    const size_t n = strlen(text);

    return v && v->kind == SS_PICKLE_TEXT && v->text.n == n && memcmp(v->text.s, text, n) == 0;
}

bool ss_pickle_names(const ss_pickle_value *v, const char *name)
{
    if (v && v->kind == SS_PICKLE_OBJECT)
        v = v->object.class_;
    if (!v || v->kind != SS_PICKLE_GLOBAL)
        return false;
    const size_t m = v->global.n_module, n = v->global.n_name;
    return strlen(name) == m + 1 + n && memcmp(name, v->global.module, m) == 0 && name[m] == '.' &&
           memcmp(name + m + 1, v->global.name, n) == 0;
}

int ss_pickle_ints(const ss_pickle_value *v, int64_t *out, int max)
{
    if (ss_pickle_names(v, "torch.Size") && v->kind == SS_PICKLE_OBJECT)
        v = ss_pickle_count(v->object.args) == 1 ? ss_pickle_at(v->object.args, 0) : NULL;
    if (!v || (v->kind != SS_PICKLE_TUPLE && v->kind != SS_PICKLE_LIST) || v->items.n > (size_t)max)
        return -1;
    for (size_t i = 0; i < v->items.n; i++) {
        if (v->items.at[i]->kind != SS_PICKLE_INT)
            return -1;
        out[i] = v->items.at[i]->number;
    }
    return (int)v->items.n;
}
