/* families.c - see families.h */
#include "models/families.h"

#include "base/str.h"
#include "models/file/checkpoint.h"
#include "models/text/text_family.h"
#include "models/unet/unet_family.h"
#include "models/vae/vae_family.h"
#include "models/video/unet_motion_family.h"
#include "models/video/video_family.h"

#include <string.h>

static const ss_family *const families[] = {
    &ss_unet2d_family,
    &ss_unet2d_condition_family,
    &ss_vae_family,
    &ss_vae_temporal_family,
    &ss_clip_text_family,
    &ss_clip_projection_family,
    &ss_clip_family,
    &ss_t5_encoder_family,
    &ss_t5_conditional_family,
    &ss_umt5_encoder_family,
    &ss_umt5_conditional_family,
    &ss_unet_motion_family,
    &ss_unet3d_family,
    &ss_svd_family,
};

enum { N_FAMILIES = sizeof families / sizeof *families };

const ss_family *ss_family_find(const char *class_name)
{
    for (int i = 0; i < N_FAMILIES; i++) {
        if (strcmp(families[i]->class_name, class_name) == 0)
            return families[i];
    }
    return NULL;
}

const char *ss_family_class(ss_json *j)
{
    const char *name = ss_json_string(j, "_class_name", NULL);

    /* transformers names a list of classes */
    return name ? name : json_string_value(json_array_get(ss_json_get(j, "architectures"), 0));
}

/* True for a family whose folder is listed: of a denoiser, and not yet by an earlier family. */
static bool adds_folder(int i)
{
    for (int k = 0; k < i; k++) {
        if (strcmp(families[k]->folder, families[i]->folder) == 0)
            return false;
    }
    return families[i]->role == SS_DENOISER;
}

const char *ss_family_folder(int i)
{
    for (int k = 0; k < N_FAMILIES; k++) {
        if (adds_folder(k) && i-- == 0)
            return families[k]->folder;
    }
    return NULL;
}

/* Lists the classes: "A, B and C". */
static void list_classes(ss_str *s)
{
    for (int i = 0; i < N_FAMILIES; i++) {
        const char *between = i + 1 < N_FAMILIES ? ", " : " and ";

        ss_str_addf(s, "%s%s", i ? between : "", families[i]->class_name);
    }
}

ss_code ss_family_read(ss_json *j, const ss_family **family, void **config, ss_err *e)
{
    const char *class_name = ss_family_class(j);
    ss_str known = {0};

    if (!class_name) {
        ss_json_complain(j, SS_FORMAT, "_class_name", "expected the name of a model");
        return ss_json_done(j, e);
    }
    *family = ss_family_find(class_name);
    if (*family)
        return (*family)->read(j, config, e);
    list_classes(&known);
    const ss_code rc = ss_fail(
        e, SS_UNSUPPORTED, "%s: models of class %s are not supported; %s are. " SS_RECORD_INSTEAD,
        j->name, SS_SHOW(class_name), known.s ? known.s : "others");
    ss_str_release(&known);
    return rc;
}
