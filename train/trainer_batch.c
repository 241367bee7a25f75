/* trainer_batch.c - a trainer's data, and what of them goes through the network together; see
 * trainer_state.h
 */
#include "train/trainer_state.h"

#include <inttypes.h>
#include <string.h>

ss_code ss_trainer_open_data(ss_trainer *t, ss_err *e)
{
    const int64_t classes = ss_model_about(t->model)->net.needs.n_classes;
    const bool depth = t->opt.objective.prediction == SS_OBJECTIVE_DEPTH;
    ss_data_options o = t->opt.data;
    ss_code rc;

    o.frames = t->size.frames;
    o.h = t->size.height;
    o.w = t->size.width;
    o.c = depth ? t->seen.channels + 1 : t->size.channels;
    if (depth != (o.kind == SS_DATA_SCENES))
        return ss_fail(e, SS_USAGE,
                       "objective.prediction \"depth\" and data.kind \"scenes\" go together only");
    o.pool = t->stage.pool;
    o.texts = t->opt.text != NULL;
    if (t->opt.text && o.null_class < 0)
        o.null_class = SS_NO_CAPTION;
    if ((rc = ss_data_open(&o, &t->data, e)) != SS_OK)
        return rc;
    if (classes && (ss_data_classes(t->data) > classes || o.null_class >= classes ||
                    (o.static_share > 0 && o.static_class >= classes)))
        return ss_fail(e, SS_USAGE,
                       "%s: the network knows labels 0 to %" PRId64 ", the data have %" PRId64
                       " classes, the null class %" PRId64 " and that of static videos %" PRId64,
                       t->opt.config_name, classes - 1, ss_data_classes(t->data), o.null_class,
                       o.static_class);
    if (classes && !ss_data_classes(t->data) && o.null_class < 0)
        return ss_fail(e, SS_USAGE, "%s: the network wants labels, and the data have none",
                       t->opt.config_name);
    return SS_OK;
}

ss_batch ss_trainer_batch(const ss_trainer *t, int first, ss_condition *condition)
{
    const ss_condition_needs *needs = &ss_model_about(t->model)->net.needs;
    const int64_t at = first * ss_sample_values(t->size);

    *condition = (ss_condition){.class_labels = needs->n_classes ? t->labels + first : NULL};
    if (t->captions) {
        ss_captions_batch(t->captions, t->ids + first, t->stage.batch);
        ss_captions_tell(t->captions, condition);
    }
    if (t->eyes.begin)
        t->eyes.begin(t->eyes.self, first, t->stage.batch);
    return (ss_batch){.n = t->stage.batch,
                      .size = t->seen,
                      .x = t->latents ? t->x0 + at : t->input + first * ss_sample_values(t->seen),
                      .levels = t->levels + first,
                      .condition = needs->n_classes || t->captions ? condition : NULL,
                      .target = t->target + at,
                      .objective = &t->opt.objective,
                      .latent_noise = t->latents ? t->latent_noise + first * t->latents : NULL};
}

ss_code ss_trainer_forward(ss_trainer *t, int first, ss_err *e)
{
    ss_condition condition;
    const ss_batch batch = ss_trainer_batch(t, first, &condition);

    return ss_batch_forward(t->c, t->model, &batch, e);
}

ss_code ss_trainer_infer(ss_trainer *t, ss_err *e)
{
    memset(t->ids, 0, (size_t)t->samples * sizeof *t->ids);
    memset(t->labels, 0, (size_t)t->samples * sizeof *t->labels);
    ss_ctx_set_shapes_only(t->c, true);
    const ss_code rc = ss_trainer_forward(t, 0, e);
    ss_ctx_set_shapes_only(t->c, false);
    return rc;
}
