/* unigram.h - the segmentation of a text into pieces whose scores sum to the most
 *
 *   best(end) = max over pieces p that end there of best(end - |p|) + score(p)        (Viterbi)
 *
 * A character that is no piece by itself may stand alone, unknown, for 10 less than the lowest
 * score; unknown ones in a row are one token, or one for each byte ("<0xE2>") if the model has
 * these.
 *
 * Source: Kudo 2018, "Subword regularization", ACL; as `tokenizers` 0.23 has it (models/unigram),
 * in double, ties to the piece that begins first.
 */
#ifndef SS_MODELS_TEXT_UNIGRAM_H
#define SS_MODELS_TEXT_UNIGRAM_H

#include "models/text/words.h"

typedef struct {
    ss_words words;  /* ids are places in the list of pieces */
    double *score;   /* [n] by id */
    double lowest;   /* of all scores */
    int32_t unknown; /* or -1 */
    bool bytes;      /* unknown characters become bytes */
} ss_unigram;

void ss_unigram_release(ss_unigram *m); /* {0} is fine */

/* Appends the ids of a text of n > 0 bytes, well-formed UTF-8. SS_FORMAT where something is unknown
 * and the model has no token for that. */
ss_code ss_unigram_encode(const ss_unigram *m, const char *text, size_t n, ss_ids *out, ss_err *e);

#endif
