/* spiece.h - spiece.model: a unigram model of sentencepiece, through libsentencepiece
 *
 * The file is a protocol buffer. The library believes the character map in it, so that is checked
 * before the library sees the file:
 *
 *   ModelProto  1 pieces: {1 piece, 2 score, 3 type}, 2 trainer_spec: {3 model_type}, 3 and
 *               5 normalizer_spec and denormalizer_spec: {2 precompiled_charsmap}
 *
 * Source: sentencepiece_model.proto of sentencepiece 0.1.97.
 */
#ifndef SS_MODELS_TEXT_SPIECE_H
#define SS_MODELS_TEXT_SPIECE_H

#include "models/text/words.h"

/* Kinds of pieces: 1 to 6 in the file. */
typedef enum {
    SS_PIECE_NORMAL = 1,
    SS_PIECE_UNKNOWN,
    SS_PIECE_CONTROL,
    SS_PIECE_USER
} ss_piece_kind;

typedef struct {
    void *library;       /* the model in libsentencepiece; threads may share it */
    ss_words words;      /* pieces, their ids being their places in the file, and extra tokens */
    unsigned char *kind; /* [n_pieces], ss_piece_kind and others */
    size_t n_pieces;
} ss_spiece;

/* Reads a file. Behind its pieces stand n_extra tokens, the last one "<extra_id_0>", unless it has
 * such pieces itself. SS_FORMAT if it is damaged, SS_UNSUPPORTED if its model is no unigram model.
 */
ss_code ss_spiece_open(const char *path, int n_extra, ss_spiece *m, ss_err *e);
void ss_spiece_release(ss_spiece *m); /* {0} is fine */

/* Appends the ids of a text: normalised, segmented. */
ss_code ss_spiece_encode(const ss_spiece *m, const char *text, size_t n, ss_ids *out, ss_err *e);

#endif
