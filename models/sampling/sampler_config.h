/* sampler_config.h - a sampler's options from scheduler_config.json
 *
 *   ss_sampler_options_load("scheduler_config.json", NULL, &opt, &err);
 */
#ifndef SS_MODELS_SAMPLER_CONFIG_H
#define SS_MODELS_SAMPLER_CONFIG_H

#include "base/json.h"
#include "models/sampling/sampler_options.h"

/* Reads a scheduler_config.json; path NULL gives the defaults. kind NULL is the sampler of the
 * file's class, or ddim where that has none here. Keys that are missing have the defaults of the
 * class (scheduler_class.h). Keys that change what the sampler computes are obeyed, or refused by
 * name; a note names the others. */
ss_code ss_sampler_options_load(const char *path, const ss_sampler_kind *kind,
                                ss_sampler_options *opt, ss_err *e);
/* Reads the same from an object in memory, or loaded. */
ss_code ss_sampler_options_read(ss_json *j, const ss_sampler_kind *kind, ss_sampler_options *opt,
                                ss_err *e);
/* Reads the same for a network that takes sigma itself: the ends of sigma from the file (0.01 and
 * 1348, as for NCSN++, where it does not say), spaced as Karras et al. do. kind NULL is heun. */
ss_code ss_sampler_options_load_score(const char *path, const ss_sampler_kind *kind,
                                      ss_sampler_options *opt, ss_err *e);

#endif
