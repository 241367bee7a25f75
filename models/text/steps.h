/* steps.h - what happens to a text before a model sees it: it is normalised, then cut into words
 *
 *   CLIP   NFC, runs of white space become a space, lower case | the words of a pattern, each byte
 *          of them as a character of its own ("Ã", "¤" for "ä")
 *   T5     the table of spiece.model | words between white space, each with "▁" before it
 *
 * A tokenizer.json lists such steps under "normalizer" and "pre_tokenizer".
 */
#ifndef SS_MODELS_TEXT_STEPS_H
#define SS_MODELS_TEXT_STEPS_H

#include "models/text/charsmap.h"
#include "models/text/split.h"

typedef enum {
    SS_NORMAL_NFC,
    SS_NORMAL_SPACES, /* runs of white space become `with` */
    SS_NORMAL_LOWER,
    SS_NORMAL_CHARSMAP,
    SS_NORMAL_STRIP, /* white space at the ends goes */
    SS_NORMAL_RUNS   /* two or more spaces (U+0020) become `with` */
} ss_normal_kind;

typedef struct {
    ss_normal_kind kind;
    bool left, right; /* STRIP */
    char *with;
    ss_charsmap map;
} ss_normal_step;

typedef enum {
    SS_CUT_PATTERN,    /* the matches of a pattern; the rest is dropped */
    SS_CUT_ALL,        /* the same, of a pattern that leaves no rest */
    SS_CUT_BYTES,      /* not cut: bytes become characters */
    SS_CUT_SPACES,     /* what is between white space */
    SS_CUT_UNDERLINES, /* spaces become "▁", each of which begins a word */
} ss_cut_kind;

/* Where SS_CUT_UNDERLINES puts a "▁" that is not there yet. */
typedef enum { SS_PREPEND_NEVER, SS_PREPEND_FIRST, SS_PREPEND_ALWAYS } ss_prepend;

typedef struct {
    ss_cut_kind kind;
    ss_split *pattern;
    ss_prepend prepend;
    bool cut; /* at underlines; else they are put in and nothing is cut */
} ss_cut_step;

enum { SS_MOST_STEPS = 16 };
/* Bytes of a text, and of one on its way through normalisation. */
enum { SS_LONGEST_TEXT = 1 << 20, SS_LONGEST_NORMALIZED = 4 << 20 };

typedef struct {
    ss_normal_step normal[SS_MOST_STEPS];
    ss_cut_step cut[SS_MOST_STEPS];
    int n_normal, n_cut;
} ss_steps;

/* Add a step at the end, which then owns what the step holds, also on failure: SS_UNSUPPORTED where
 * there are too many. */
ss_code ss_steps_add_normal(ss_steps *p, ss_normal_step *step, ss_err *e);
ss_code ss_steps_add_cut(ss_steps *p, ss_cut_step *step, ss_err *e);
ss_code ss_steps_add_pattern(ss_steps *p, ss_cut_kind kind, ss_split_pattern pattern, ss_err *e);

/* The steps of CLIPTokenizer, and those of T5Tokenizer but for the table. */
ss_code ss_steps_clip(ss_steps *p, ss_err *e);
ss_code ss_steps_t5(ss_steps *p, ss_err *e);

void ss_steps_release(ss_steps *p); /* {0} is fine */

/* Appends the text, normalised; out is an ss_str. SS_FORMAT where it becomes too long. */
ss_code ss_steps_normalize(const void *steps, const char *text, size_t n, void *out, ss_err *e);

/* Calls word(arg, text, n) for each word of a normalised text, in order; none is empty. at_start:
 * the text begins where the user's text does. */
ss_code ss_steps_cut(const ss_steps *p, const char *text, size_t n, bool at_start,
                     ss_code (*word)(void *arg, const char *text, size_t n), void *arg, ss_err *e);

#endif
