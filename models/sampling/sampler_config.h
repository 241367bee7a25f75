/* sampler_config.h - a sampler's options from scheduler_config.json
 *
 *   ss_sampler_options_load("scheduler_config.json", NULL, &opt, &err);
 */
#ifndef SS_MODELS_SAMPLER_CONFIG_H
#define SS_MODELS_SAMPLER_CONFIG_H

#include "models/sampling/sampler_options.h"

/* From a scheduler_config.json, or the defaults where path is NULL. kind NULL: the file's own
 * class, or ddim where that is none of the four. What the file does not say is as the class that it
 * names has it (scheduler_class.h). Of the keys, those that change what the sampler computes are
 * obeyed, or refused by name; a note names the others. */
ss_code ss_sampler_options_load(const char *path, const ss_sampler_kind *kind,
                                ss_sampler_options *opt, ss_err *e);
/* The same for a network that takes sigma itself: the ends of sigma from the file (0.01 and 1348,
 * as for NCSN++, where it does not say), spaced as Karras et al. do; heun where kind is NULL. */
ss_code ss_sampler_options_load_score(const char *path, const ss_sampler_kind *kind,
                                      ss_sampler_options *opt, ss_err *e);

#endif
