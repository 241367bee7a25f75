/* stand_in.c - see stand_in.h */
#include "probe/stand_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <string.h>

/* SDXL's refiner is told five numbers besides the pooled text, SDXL six; both texts are as wide. */
enum { SDXL_POOLED = 1280, SDXL_NUMBERS = 6, REFINER_NUMBERS = 5 };

bool ss_stand_in_is(const char *from)
{
    return from && (strcmp(from, SS_STAND_IN_ZEROS) == 0 || strcmp(from, SS_STAND_IN_RANDOM) == 0);
}

ss_code ss_stand_in_make(const char *option, const char *from, const ss_array *shape, int samples,
                         uint64_t seed, ss_array *a, ss_err *e)
{
    const bool zeros = strcmp(from, SS_STAND_IN_ZEROS) == 0;
    ss_array made = *shape;
    ss_str text = {0};
    size_t row = 1;

    made.dim[0] = zeros ? 1 : samples;
    for (int i = 1; i < made.rank; i++) {
        row *= (size_t)made.dim[i];
        ss_str_addf(&text, "%s%lld", i > 1 ? "," : "", (long long)made.dim[i]);
    }
    made.values = ss_calloc((size_t)made.dim[0], row * sizeof *made.values);
    if (!made.values || text.failed) {
        ss_free(made.values);
        ss_str_release(&text);
        return ss_no_memory(e, "conditions");
    }
    for (int i = 0; i < samples && !zeros; i++)
        ss_rng_normals(ss_rng_stream(seed, option, (uint64_t)i, 0), 0,
                       made.values + (size_t)i * row, row);
    ss_note_once("--%s %s: %s [%s] stand in for the real condition", option, from,
                 zeros ? "zeros" : "normal numbers", text.s);
    ss_str_release(&text);
    *a = made;
    return SS_OK;
}

ss_array ss_stand_in_text(const ss_condition_needs *needs)
{
    const int64_t tokens = needs->numbers_only   ? 1
                           : needs->table_tokens ? needs->table_tokens
                                                 : SS_STAND_IN_TOKENS;

    return needs->text_width ? (ss_array){.rank = 3, .dim = {0, tokens, needs->text_width}}
                             : (ss_array){0};
}

ss_array ss_stand_in_pooled(const ss_condition_needs *needs)
{
    const int64_t six = needs->added_width - SDXL_NUMBERS * needs->time_id_width;
    const int64_t five = needs->added_width - REFINER_NUMBERS * needs->time_id_width;
    const int64_t width = five == SDXL_POOLED || six < 1 ? five : six;

    if (needs->numbers_only || !needs->time_id_width || width < 1)
        return (ss_array){0};
    return (ss_array){.rank = 2, .dim = {0, width}};
}
