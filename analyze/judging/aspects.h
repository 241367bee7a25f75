/* aspects.h - what judges are asked about a pair of pictures or videos
 *
 * The one that is chosen is the better one in every aspect: fewer defects, more movement.
 */
#ifndef SS_ANALYZE_ASPECTS_H
#define SS_ANALYZE_ASPECTS_H

/* name, question */
#define SS_ASPECTS(X)                                                           \
    X(BEAUTY, "beauty", "Which one looks better?")                              \
    X(SOFTNESS, "softness",                                                     \
      "Which one goes more softly from frame to frame: no jumps, no flicker?")  \
    X(MOVEMENT, "movement", "Which one moves more, and more as things do?")     \
    X(CONSISTENCY, "consistency", "In which one do things stay what they are?") \
    X(DEFECT, "defect", "Which one has fewer defects?")                         \
    X(RELEVANCE, "relevance", "Which one fits its text better?")                \
    X(PREFERENCE, "preference", "Which one would you choose?")

#define X(id, name, question) SS_ASPECT_##id,
enum { SS_ASPECTS(X) SS_N_ASPECTS };
#undef X

/* Names, and questions of a page. */
extern const char *const ss_aspect_names[SS_N_ASPECTS], *const ss_aspect_questions[SS_N_ASPECTS];

/* Index of the aspect of that name, -1 if there is none. */
int ss_aspect_find(const char *name);

#endif
