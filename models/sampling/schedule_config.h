/* schedule_config.h - a schedule of betas from scheduler_config.json */
#ifndef SS_MODELS_SCHEDULE_CONFIG_H
#define SS_MODELS_SCHEDULE_CONFIG_H

#include "base/json.h"
#include "models/sampling/schedule.h"

/* Reads a scheduler_config.json whose class is made of betas (SS_UNSUPPORTED otherwise); only the
 * keys that training obeys are read. Missing keys have the defaults of the class. A NULL path gives
 * the defaults. noising.h reads the other kinds, too. */
ss_code ss_schedule_load(const char *path, ss_schedule **s, ss_err *e);
/* Reads the same from an object in memory. */
ss_code ss_schedule_read(ss_json *j, ss_schedule **s, ss_err *e);
/* Reads the options alone. *trained is what o->trained points to, or NULL, and the caller's to
 * ss_free. Complaints are in j. */
void ss_schedule_read_options(ss_json *j, ss_schedule_options *o, double **trained);

#endif
