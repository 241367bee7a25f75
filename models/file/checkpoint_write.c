/* checkpoint_write.c - see checkpoint_write.h */
#include "models/file/checkpoint_write.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/outdir.h"

/* Writes JSON as diffusers does: keys sorted, two blanks, a newline at the end. */
static ss_code write_json(const char *dir, const char *name, const json_t *value, ss_err *e)
{
    char *path = ss_path_join(dir, name);
    ss_code rc = path ? ss_json_write(path, value, JSON_INDENT(2) | JSON_SORT_KEYS, e)
                      : ss_no_memory(e, name);

    ss_free(path);
    return rc;
}

ss_code ss_checkpoint_write_into(const char *dir, const ss_checkpoint_parts *parts, ss_err *e)
{
    static const ss_st_note format = {"format", "pt"}; /* some loaders refuse a file without it */
    char *weights = ss_path_join(dir, "diffusion_pytorch_model.safetensors");
    ss_code rc = SS_OK;

    if (!weights)
        return ss_no_memory(e, dir);
    rc = write_json(dir, "config.json", parts->config, e);
    if (rc == SS_OK && parts->scheduler)
        rc = write_json(dir, "scheduler_config.json", parts->scheduler, e);
    if (rc == SS_OK)
        rc = ss_safetensors_write(weights, parts->weights, parts->n_weights, &format, 1, e);
    ss_free(weights);
    return rc;
}

ss_code ss_checkpoint_write(const char *dir, const ss_checkpoint_parts *parts, bool replace,
                            ss_err *e)
{
    ss_outdir o = {0};
    ss_code rc = ss_outdir_open(&o, dir, "config.json", replace, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_checkpoint_write_into(o.tmp, parts, e);
    if (rc == SS_OK)
        return ss_outdir_commit(&o, e);
    ss_outdir_discard(&o);
    return rc;
}
