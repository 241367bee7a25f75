/* weight_files.c - see weight_files.h
 *
 *   lists the files of the folder, understanding each name by itself
 *   picks the one that is asked for; otherwise says what there is instead
 */
#include "models/file/weight_files.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp.h"
#include "models/file/safetensors.h"
#include "models/file/weight_formats.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEM "diffusion_pytorch_model"

/* Names of files of weights, the preferred one first: by diffusers, by transformers and
 * accelerate, and by both for pickles. */
static const char *const stems[] = {STEM, "model", "pytorch_model"};
enum { N_STEMS = sizeof stems / sizeof *stems };

enum { MAX_LISTED = 8, MAX_ENTRIES = 1 << 20 };

typedef enum { NOTHING, WEIGHTS, PART, SHARD, FLAX } kind;

typedef struct {
    char *name;
    kind kind;
    ss_weight_file w; /* of WEIGHTS; its path is not set */
} entry;

typedef struct {
    const char *folder;
    entry *e;
    size_t n, cap;
} listing;

static bool starts_with(const char *s, const char *start)
{
    return strncmp(s, start, strlen(start)) == 0;
}

static bool ends_with(const char *s, size_t n, const char *end)
{
    const size_t m = strlen(end);

    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* True for diffusion_pytorch_model-00001-of-00002.safetensors: a part, never the whole. */
static bool is_part(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of > name && of[-1] >= '0' && of[-1] <= '9' && of[4] >= '0' && of[4] <= '9';
}

/* True for files that are no weights: the table of classes of a model without a pipeline, and other
 * states that a training leaves. */
static bool is_other(const char *name)
{
    static const char *const starts[] = {
        "class_embeddings.", "pytorch_lora_weights", "optimizer", "scheduler",
        "random_states",     "training_args",        "rng",       "scaler",
        "sampler",           "training_state."};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (starts_with(name, starts[i]))
            return true;
    }
    return strstr(name, "optim_states") != NULL; /* DeepSpeed's */
}

static char *copy(const char *s, size_t n)
{
    ss_str t = {0};

    ss_str_addn(&t, s, n);
    return ss_str_detach(&t);
}

/* Splits "STEM.V" or "STEM": returns V, or "". *rank is the place of STEM in stems, N_STEMS for
 * another one. */
static char *split_variant(const char *base, size_t n, int *rank)
{
    const char *dot = memrchr(base, '.', n);

    for (*rank = 0; *rank < N_STEMS; ++*rank) {
        const size_t stem = strlen(stems[*rank]);

        if (n >= stem && memcmp(base, stems[*rank], stem) == 0 &&
            (n == stem || base[stem] == '.')) {
            dot = n == stem ? NULL : base + stem;
            break;
        }
    }
    return dot ? copy(dot + 1, n - (size_t)(dot + 1 - base)) : copy("", 0);
}

/* Reads what follows ".safetensors." in the name of an index: "index.json", "index.V.json",
 * "V.index.json". False if it is no index; *variant is NULL where it names none, or memory is out.
 */
static bool read_index(const char *rest, char **variant, bool *failed)
{
    static const char index[] = "index", end[] = ".json";
    const size_t n = strlen(rest), middle = sizeof index - 1, last = sizeof end - 1;

    *variant = NULL;
    if (strcmp(rest, "index.json") == 0)
        return true;
    if (!ends_with(rest, n, end) || n < middle + last + 2)
        return false;
    if (starts_with(rest, "index."))
        *variant = copy(rest + middle + 1, n - middle - 1 - last);
    else if (ends_with(rest, n - last, ".index"))
        *variant = copy(rest, n - last - middle - 1);
    else
        return false;
    *failed = !*variant;
    return true;
}

/* Understands a name as a file of a format by one of its endings, else leaves *to as it is; false
 * where memory is out. */
static bool understand_as(const ss_weight_format *f, int ending, const char *name, entry *to)
{
    const char *end = f->endings[ending], *inside = strstr(name, end);
    const size_t n = strlen(name), m = strlen(end);
    bool failed = false;

    if (ends_with(name, n, end) && is_part(name)) {
        to->kind = starts_with(name, "shard-") && f == &ss_safetensors_format ? SHARD : PART;
    } else if (ends_with(name, n, end)) {
        to->kind = WEIGHTS;
        to->w.variant = split_variant(name, n - m, &to->w.stem);
    } else if (inside && inside[m] == '.' && read_index(inside + m + 1, &to->w.variant, &failed)) {
        char *before = split_variant(name, (size_t)(inside - name), &to->w.stem);

        to->kind = WEIGHTS;
        to->w.index = true;
        if (to->w.variant || failed)
            ss_free(before);
        else
            to->w.variant = before;
    }
    to->w.format = f;
    to->w.ending = ending;
    return to->kind != WEIGHTS || to->w.variant;
}

/* Understands a name; false where memory is out. */
static bool understand(const char *name, entry *to)
{
    const ss_weight_format *f;

    *to = (entry){.kind = NOTHING};
    if (is_other(name))
        return true;
    for (int i = 0; (f = ss_weight_format_at(i)); i++) {
        for (int k = 0; f->endings[k] && to->kind == NOTHING; k++) {
            if (!understand_as(f, k, name, to))
                return false;
        }
    }
    if (to->kind == NOTHING && ends_with(name, strlen(name), ".msgpack"))
        to->kind = FLAX;
    if (to->kind == NOTHING)
        return true;
    to->name = ss_strdup(name);
    return to->name;
}

static void release_entry(entry *e)
{
    ss_free(e->name);
    ss_weight_file_release(&e->w);
}

static void release(listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        release_entry(&l->e[i]);
    ss_free(l->e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static ss_code list(listing *l, ss_err *e)
{
    DIR *d = opendir(l->folder);
    bool failed = false;

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", l->folder, strerror(errno));
    for (struct dirent *f; !failed && l->n < MAX_ENTRIES && (f = readdir(d));) {
        entry *grown = ss_grow(l->e, &l->cap, l->n + 1, sizeof *grown);

        if (!grown) {
            failed = true;
            break;
        }
        l->e = grown;
        failed = !understand(f->d_name, &l->e[l->n]);
        if (failed)
            release_entry(&l->e[l->n]);
        else
            l->n += l->e[l->n].kind != NOTHING;
    }
    closedir(d);
    if (failed)
        return ss_no_memory(e, l->folder);
    if (l->n)
        qsort(l->e, l->n, sizeof *l->e, by_name);
    return SS_OK;
}

/* Grades formats and their endings, the preferred one the lowest. */
static int rank_of(const ss_weight_file *w)
{
    int i = 0;

    while (ss_weight_format_at(i) != w->format)
        i++;
    return i * (int)(sizeof w->format->endings / sizeof *w->format->endings) + w->ending;
}

/* True if a comes before b: diffusers' name before others, then the preferred format, then an index
 * before a file, as diffusers looks for them. */
static bool is_better(const ss_weight_file *a, const ss_weight_file *b)
{
    if (a->stem != b->stem)
        return a->stem < b->stem;
    if (rank_of(a) != rank_of(b))
        return rank_of(a) < rank_of(b);
    return a->index && !b->index;
}

/* Picks the entry that the variant means; NULL where there is none, or doubt. */
static entry *pick(const listing *l, const char *variant)
{
    entry *best = NULL, *only = NULL;
    bool doubt = false;

    for (size_t i = 0; i < l->n; i++) {
        entry *x = &l->e[i];

        if (x->kind != WEIGHTS)
            continue;
        if (variant ? strcmp(x->w.variant, variant) == 0 : x->w.stem < N_STEMS && !*x->w.variant) {
            if (!best || is_better(&x->w, &best->w))
                best = x;
        }
        /* a file and its index are one set of weights, and so may be files of two formats */
        if (only && rank_of(&x->w) == rank_of(&only->w))
            doubt |= !(x->w.stem < N_STEMS && x->w.stem == only->w.stem &&
                       strcmp(x->w.variant, only->w.variant) == 0);
        else if (only && is_better(&x->w, &only->w))
            doubt = false;
        if (!only || is_better(&x->w, &only->w))
            only = x;
    }
    return best || variant || doubt ? best : only;
}

static void add_name(ss_str *s, const char *name, int n)
{

    if (n < MAX_LISTED)
        ss_str_addf(s, "%s%s", n ? ", " : "", SS_SHOW(name));
    else if (n == MAX_LISTED)
        ss_str_add(s, ", ...");
}

/* Takes the shards of DCP's Hugging Face writer, by the first of them, where there is nothing else;
 * NULL where there are none, or memory is out. */
static entry *take_shards(const listing *l, bool *failed)
{
    entry *first = NULL;

    for (size_t i = 0; i < l->n; i++) {
        if (l->e[i].kind == WEIGHTS)
            return NULL;
        if (l->e[i].kind == SHARD && !first)
            first = &l->e[i];
    }
    if (first) {
        first->w = (ss_weight_file){.format = &ss_dcp_shards_format, .variant = ss_strdup("")};
        *failed = !first->w.variant;
    }
    return first;
}

/* Adds the names of one kind, in order; returns how many. */
static int name_all(const listing *l, kind k, ss_str *s)
{
    int n = 0;

    for (size_t i = 0; i < l->n; i++) {
        if (l->e[i].kind == k)
            add_name(s, l->e[i].name, n++);
    }
    return n;
}

/* Adds the names of the variants, each once; returns how many. */
static int name_variants(const listing *l, ss_str *s, const char **first)
{
    int n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const entry *x = &l->e[i];
        bool known = x->kind != WEIGHTS || !*x->w.variant;

        for (size_t k = 0; k < i && !known; k++)
            known = l->e[k].kind == WEIGHTS && strcmp(l->e[k].w.variant, x->w.variant) == 0;
        if (known)
            continue;
        if (!n)
            *first = x->w.variant;
        add_name(s, x->w.variant, n++);
    }
    return n;
}

static ss_code say_none(const listing *l, ss_err *e)
{
    const char *usual = ss_weight_format_at(0)->endings[0];
    ss_str names = {0};
    ss_code rc;

    if (name_all(l, PART, &names))
        rc = ss_fail(e, SS_IO,
                     "%s: %s lie there, but not the index that says what is in them, " STEM
                     "%s.index.json",
                     l->folder, names.s ? names.s : "parts", usual);
    else if (name_all(l, FLAX, &names))
        rc = ss_fail(e, SS_UNSUPPORTED,
                     "%s: its weights are Flax's, %s, which are not read here; in Python, the "
                     "model's class, .from_pretrained(\"%s\", from_flax=True).save_pretrained("
                     "\"%s\"), writes " STEM "%s beside them",
                     l->folder, names.s ? names.s : "a msgpack", l->folder, l->folder, usual);
    else
        rc = ss_fail(e, SS_IO, "%s: no weights; expected " STEM "%s or its index of shards",
                     l->folder, usual);
    ss_str_release(&names);
    return rc;
}

static ss_code say_not_picked(const listing *l, const char *variant, ss_err *e)
{
    ss_str files = {0}, variants = {0};
    const char *first = "", *usual = ss_weight_format_at(0)->endings[0];
    ss_code rc;

    const int n = name_all(l, WEIGHTS, &files);
    const int n_variants = name_variants(l, &variants, &first);
    if (n == 0)
        rc = say_none(l, e);
    else if (variant && n_variants)
        rc = ss_fail(e, SS_USAGE, "%s: there is no variant %s of the weights; there are: %s (%s)",
                     l->folder, variant, variants.s ? variants.s : "", files.s ? files.s : "");
    else if (variant)
        rc = ss_fail(e, SS_USAGE,
                     "%s: there is no variant %s of the weights; without --variant, "
                     "there is %s",
                     l->folder, variant, files.s ? files.s : "");
    else if (n_variants)
        rc = ss_fail(e, SS_USAGE,
                     "%s: there are several weights, %s, none of them " STEM "%s; pick one by "
                     "its variant, as with --variant %s",
                     l->folder, files.s ? files.s : "", usual, SS_SHOW(first));
    else
        rc = ss_fail(e, SS_USAGE,
                     "%s: none of the weights %s is called " STEM "%s; name the right one as MODEL",
                     l->folder, files.s ? files.s : "there", usual);
    ss_str_release(&files);
    ss_str_release(&variants);
    return rc;
}

/* Refuses a link into a cache that was copied without its blobs, or whose download did not end. */
static ss_code check_link(const char *path, ss_err *e)
{
    char target[512];
    const ssize_t n = readlink(path, target, sizeof target - 1);

    if (n < 0 || ss_file_exists(path))
        return SS_OK;
    target[n] = '\0';
    return ss_fail(e, SS_IO,
                   "%s is a symbolic link to %s, which is not there: the download did not end, or "
                   "the folder was copied without what its links lead to",
                   path, SS_SHOW(target));
}

/* True for another model of accelerate's, "model_1.safetensors". */
static bool is_numbered(const entry *x)
{
    return x->kind == WEIGHTS && starts_with(x->name, "model_") &&
           x->name[strlen("model_")] >= '0' && x->name[strlen("model_")] <= '9';
}

/* Lists the other models of a training beside its first, "model.safetensors". */
static ss_code list_beside(const listing *l, ss_weight_file *w, ss_err *e)
{
    ss_str names = {0};
    int n = 0;

    for (size_t i = 0; i < l->n && w->stem < N_STEMS; i++) {
        if (is_numbered(&l->e[i]))
            add_name(&names, l->e[i].name, n++);
    }
    w->beside = n ? ss_str_detach(&names) : NULL;
    ss_str_release(&names);
    return n && !w->beside ? ss_no_memory(e, l->folder) : SS_OK;
}

/* Notes the weights of other formats that are there too. */
static ss_code say_passed_over(const listing *l, const entry *found, ss_weight_file *w, ss_err *e)
{
    ss_str names = {0}, s = {0};
    int n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const entry *x = &l->e[i];

        if (x != found && x->kind == WEIGHTS && rank_of(&x->w) != rank_of(w))
            add_name(&names, x->name, n++);
    }
    if (n)
        ss_str_addf(&s, "the weights are those of %s; there %s also %s", found->name,
                    n == 1 ? "is" : "are", names.s ? names.s : "others");
    const bool failed = names.failed || s.failed;
    w->note = n && !failed ? ss_str_detach(&s) : NULL;
    ss_str_release(&names);
    ss_str_release(&s);
    return failed ? ss_no_memory(e, l->folder) : SS_OK;
}

ss_code ss_weight_file_find(const char *folder, const char *variant, ss_weight_file *w, ss_err *e)
{
    listing l = {.folder = folder};
    ss_code rc = list(&l, e);

    if (rc == SS_OK) {
        entry *found = pick(&l, variant);

        bool failed = false;

        if (!found && !variant)
            found = take_shards(&l, &failed);

        if (failed) {
            rc = ss_no_memory(e, folder);
        } else if (!found) {
            rc = say_not_picked(&l, variant, e);
        } else {
            *w = found->w;
            found->w = (ss_weight_file){0};
            w->path = ss_path_join(folder, found->name);
            rc = w->path ? check_link(w->path, e) : ss_no_memory(e, folder);
            if (rc == SS_OK)
                rc = list_beside(&l, w, e);
            if (rc == SS_OK)
                rc = say_passed_over(&l, found, w, e);
            if (rc != SS_OK)
                ss_weight_file_release(w);
        }
    }
    release(&l);
    return rc;
}

/* Returns the name of a path, without its folders. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Returns the format of a file, or of an index of such files, by its name; NULL if the name has
 * none. */
static const ss_weight_format *format_of(const char *name)
{
    const ss_weight_format *f;

    for (int i = 0; (f = ss_weight_format_at(i)); i++) {
        for (int k = 0; f->endings[k]; k++) {
            const char *end = f->endings[k], *inside = strstr(name, end);

            if (ends_with(name, strlen(name), end) ||
                (inside && starts_with(inside + strlen(end), ".index.")))
                return f;
        }
    }
    return NULL;
}

bool ss_weight_file_named(const char *path)
{
    return format_of(file_name(path)) != NULL;
}

ss_code ss_weight_file_take(const char *path, ss_weight_file *w, ss_err *e)
{
    const ss_weight_format *f = format_of(file_name(path));

    *w = (ss_weight_file){
        .format = f ? f : ss_weight_format_at(0),
        .path = ss_strdup(path),
        .variant = ss_strdup(""),
        .index = ends_with(path, strlen(path), ".json"),
    };
    if (w->path && w->variant)
        return SS_OK;
    ss_weight_file_release(w);
    return ss_no_memory(e, path);
}

void ss_weight_file_release(ss_weight_file *w)
{
    ss_free(w->path);
    ss_free(w->variant);
    ss_free(w->beside);
    ss_free(w->note);
    *w = (ss_weight_file){0};
}
