/* checkpoint_edit.h - changes to the tensors of a checkpoint, before a network asks for them
 *
 * Names get another form, parts of a file are picked, values are put together: each such change
 * walks the list of tensors, makes tensors of its own where names, shapes or values differ, and
 * replaces the list.
 *
 *   for (size_t i = 0; i < ss_checkpoint_count(k); i++) {
 *       const ss_stored_tensor *t = ss_checkpoint_at(k, i);
 *       list[n++] = is_fine(t) ? t : ss_checkpoint_derive(k, t, new_name, &err);
 *   }
 *   rc = ss_checkpoint_replace(k, list, n, &err);
 *   rc = ss_checkpoint_say(k, &err, "prefix module. removed from %zu names", n_changed);
 */
#ifndef SS_MODELS_CHECKPOINT_EDIT_H
#define SS_MODELS_CHECKPOINT_EDIT_H

#include "models/file/checkpoint.h"

/* Returns zeroed memory that lives as long as the checkpoint. */
void *ss_checkpoint_alloc(ss_checkpoint *k, size_t bytes, ss_err *e);
/* Makes a copy of t under another name (copied), which lives as long as the checkpoint, and is not
 * in its list. */
ss_stored_tensor *ss_checkpoint_derive(ss_checkpoint *k, const ss_stored_tensor *t,
                                       const char *name, ss_err *e);
/* Replaces the list by list [n], which is copied. Tensors that are not in it live on. Two of one
 * name are SS_FORMAT, and the list stays as it was. */
ss_code ss_checkpoint_replace(ss_checkpoint *k, const ss_stored_tensor *const *list, size_t n,
                              ss_err *e);
/* Makes k the owner of another checkpoint, whose tensors live as long as it. */
ss_code ss_checkpoint_adopt(ss_checkpoint *k, ss_checkpoint *other, ss_err *e);
/* Adds a file to those that the checkpoint was read from, as the file of a LoRA. */
ss_code ss_checkpoint_add_file(ss_checkpoint *k, const char *path, ss_err *e);
/* Adds all files of another checkpoint to them. */
ss_code ss_checkpoint_add_files(ss_checkpoint *k, const ss_checkpoint *other, ss_err *e);
/* Adds a note for the user about what was changed. */
ss_code ss_checkpoint_say(ss_checkpoint *k, ss_err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
