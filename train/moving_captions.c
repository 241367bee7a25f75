/* moving_captions.c - what a caption says of items that move; see data_source.h
 *
 *   "a boot moving left"   "a bag standing still and growing"
 *   "a boot moving up and a bag moving left and down"
 *
 * A phrase has a class k of K, a motion m of M = 9 (the directions of probe/moving.h, and standing
 * still) and a law of size z of Z = 3. Captions of one item have the numbers (k M + m) Z + z.
 * Captions of two, which move and keep their size, follow: phrase k 8 + m of the first times 8 K,
 * plus that of the second.
 */
#include "base/mem.h"
#include "base/str.h"
#include "train/data_source.h"

#include <inttypes.h>

enum { MOST_CAPTIONS = 1 << 16, WAYS = SS_MOVING_STILL };

static const char *const fashion[] = {"a t-shirt", "trousers", "a pullover", "a dress", "a coat",
                                      "a sandal",  "a shirt",  "a sneaker",  "a bag",   "a boot"};
enum { N_FASHION = sizeof fashion / sizeof *fashion };

static const char *const motions[SS_N_DIRECTIONS] = {"moving right",
                                                     "moving right and down",
                                                     "moving down",
                                                     "moving left and down",
                                                     "moving left",
                                                     "moving left and up",
                                                     "moving up",
                                                     "moving right and up",
                                                     [SS_MOVING_STILL] = "standing still"};
static const char *const sizes[SS_N_SIZE_LAWS] = {"", " and growing", " and shrinking"};

/* Captions of one item. */
static int64_t count_single(int64_t classes)
{
    return classes * SS_N_DIRECTIONS * SS_N_SIZE_LAWS;
}

int64_t ss_data_moving_label(const ss_data *d, const ss_moving_path *a, int64_t class_a,
                             const ss_moving_path *b, int64_t class_b)
{
    const int m = ss_moving_direction(a);

    if (!b)
        return (class_a * SS_N_DIRECTIONS + m) * SS_N_SIZE_LAWS + (int64_t)a->size;
    return count_single(d->kinds) + (class_a * WAYS + m) * d->kinds * WAYS + class_b * WAYS +
           ss_moving_direction(b);
}

/* The text of caption i. NULL: no memory. */
static char *caption(const ss_data *d, const char *const *names, int64_t i)
{
    const int64_t pair = i - count_single(d->kinds), second = d->kinds * WAYS;
    ss_str text = {0};

    if (pair < 0)
        ss_str_addf(&text, "%s %s%s", names[i / (SS_N_DIRECTIONS * SS_N_SIZE_LAWS)],
                    motions[i / SS_N_SIZE_LAWS % SS_N_DIRECTIONS], sizes[i % SS_N_SIZE_LAWS]);
    else
        ss_str_addf(&text, "%s %s and %s %s", names[pair / second / WAYS],
                    motions[pair / second % WAYS], names[pair % second / WAYS],
                    motions[pair % second % WAYS]);
    return ss_str_detach(&text);
}

ss_code ss_data_name_moving(ss_data *d, ss_err *e)
{
    const ss_data_options *o = &d->opt;
    const char *const *names = o->names ? o->names : fashion;
    const int64_t have = o->names ? o->n_names : N_FASHION, pair = d->classes * WAYS;
    const int64_t n = count_single(d->classes) + (o->second > 0 ? pair * pair : 0);

    if (!d->marks.n)
        return ss_fail(e, SS_USAGE, "%s: captions of moving items need their classes (labels)",
                       d->path);
    if (have != d->classes)
        return ss_fail(e, SS_USAGE,
                       "%s: %" PRId64 " classes, and names for %" PRId64
                       " of them; one name for each is needed (names)",
                       d->labels, d->classes, have);
    if (n > MOST_CAPTIONS)
        return ss_fail(e, SS_USAGE,
                       "%s: moving items of %" PRId64 " classes have %" PRId64
                       " captions; at most %d are encoded: take one item at a time (second 0)",
                       d->labels, d->classes, n, MOST_CAPTIONS);
    d->kinds = d->classes;
    if (!(d->caption = ss_calloc((size_t)n, sizeof *d->caption)))
        return ss_no_memory(e, "captions");
    d->classes = d->n_captions = n;
    for (int64_t i = 0; i < n; i++) {
        if (!(d->caption[i] = caption(d, names, i)))
            return ss_no_memory(e, "captions");
    }
    return SS_OK;
}
