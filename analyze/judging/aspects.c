/* aspects.c - see aspects.h */
#include "analyze/judging/aspects.h"

#include <string.h>

#define X(id, name, question) name,
const char *const ss_aspect_names[SS_N_ASPECTS] = {SS_ASPECTS(X)};
#undef X
#define X(id, name, question) question,
const char *const ss_aspect_questions[SS_N_ASPECTS] = {SS_ASPECTS(X)};
#undef X

int ss_aspect_find(const char *name)
{
    for (int i = 0; i < SS_N_ASPECTS; i++) {
        if (strcmp(ss_aspect_names[i], name) == 0)
            return i;
    }
    return -1;
}
