/* families.h - the families of networks that can be opened */
#ifndef SS_MODELS_FAMILIES_H
#define SS_MODELS_FAMILIES_H

#include "models/net/family.h"

/* Returns the class that a config.json names, as diffusers or transformers do, or NULL; borrowed.
 */
const char *ss_family_class(ss_json *j);
/* The family of a class, or NULL. */
const ss_family *ss_family_find(const char *class_name);
/* Reads a config.json by the family that its _class_name names, *family; *config is the caller's to
 * ss_free. Another class is SS_UNSUPPORTED, with the list of those that are known. */
ss_code ss_family_read(ss_json *j, const ss_family **family, void **config, ss_err *e);
/* A pipeline keeps its denoiser in a folder of this name: folder i of all such families, each once;
 * NULL past the last. */
const char *ss_family_folder(int i);

#endif
