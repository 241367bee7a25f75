/* convert_files.h - the files of a pipeline beside its weights: for convert.c */
#ifndef SS_MODELS_CONVERT_FILES_H
#define SS_MODELS_CONVERT_FILES_H

#include "base/err.h"

#include <jansson.h>

/* Writes JSON as diffusers does: two blanks, keys sorted. */
ss_code ss_convert_write_json(const char *dir, const char *name, const json_t *value, ss_err *e);
/* Makes DIR/NAME if it is not there; *folder is the caller's to ss_free. */
ss_code ss_convert_make_folder(const char *dir, const char *name, char **folder, ss_err *e);
/* Adds a network of a single file to the model_index.json of its pipeline, whose class follows from
 * the denoiser. scheduler may be NULL. */
ss_code ss_convert_index_add(json_t *index, const json_t *config, const char *name,
                             const json_t *scheduler, ss_err *e);
/* Copies from one pipeline's folder to another what is not there yet: model_index.json, and the
 * files in the folders of its parts. */
ss_code ss_convert_copy_rest(const char *from, const char *to, ss_err *e);
/* Copies the tokenizers of the text encoders that the index lists (NULL: of any): FROM/tokenizer
 * and FROM/tokenizer_2 where those are there, else FROM's own files as that of the first; and
 * enters them into the index. */
ss_code ss_convert_copy_tokenizers(const char *from, const char *to, json_t *index, ss_err *e);

#endif
