/* fuzz_training.c - what a training left behind: the counters it goes on from, and its journals */
#include "analyze/training/training_log.h"
#include "tests/fuzz/fuzz.h"
#include "train/config.h"
#include "train/journal.h"
#include "train/trainer_checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config[] =
    "{\"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 4],"
    " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"
    " \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2,"
    " \"attention_head_dim\": 2}, \"data\": {\"kind\": \"shapes\"}, \"batch\": 1,"
    " \"loss_by_sigma\": {\"bins\": 2}}";

static ss_trainer *trainer_of(const ss_train_config *c)
{
    ss_trainer *t = NULL;
    ss_err e = {0};

    if (ss_trainer_new(&c->trainer, &t, &e) != SS_OK) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    return t;
}

void fuzz_resume(const uint8_t *data, size_t size)
{
    static ss_train_config *c;
    static ss_trainer *t;
    ss_err e = {0};

    if (!c) {
        const char *path = fuzz_file("resume.json", config, sizeof config - 1);

        if (ss_train_config_read(path, NULL, 0, &c, &e) != SS_OK)
            abort();
        c->trainer.threads = 1;
        t = trainer_of(c);
        if (ss_trainer_save(t, fuzz_path("step-000000"), false, &e) != SS_OK)
            abort();
    }
    fuzz_file("step-000000/training.json", data, size);
    const ss_code rc = ss_trainer_load(t, fuzz_path("step-000000"), &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK) { /* as its header says */
        ss_trainer_free(t);
        t = trainer_of(c);
    } else if (ss_trainer_steps(t) < 0 || ss_trainer_steps(t) >= INT64_MAX - 1) {
        abort(); /* another step could not be counted */
    }
}

/* The first byte says which file the rest is; the others are as they should be. */
void fuzz_log(const uint8_t *data, size_t size)
{
    static const struct {
        const char *name, *usual;
    } files[] = {
        {"log.jsonl", "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.4}\n"},
        {"events.jsonl", "{\"step\":2,\"event\":\"overflow\",\"module\":\"m1\",\"sigma\":20}\n"},
        {"summary.json", "{\"train\": {\"rows\": [{\"cpu ms\": 12.5}]}}"},
    };
    enum { N = sizeof files / sizeof *files };
    static ss_training_log log;
    ss_journal *j = NULL;
    ss_err e = {0};
    char path[64];

    if (size == 0)
        return;
    fuzz_folder("arm");
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "arm/%s", files[i].name);
        if (i == data[0] % N)
            fuzz_file(path, data + 1, size - 1);
        else
            fuzz_file(path, files[i].usual, strlen(files[i].usual));
    }
    fuzz_make_run("arm/statistics.h5", (const uint8_t[]){1}, 1);
    fuzz_check(ss_training_log_read(fuzz_path("arm"), &log, &e), &e);
    const ss_code rc = ss_journal_open(fuzz_path("arm/log.jsonl"), 1, &j, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK)
        fuzz_check(ss_journal_close(j, &e), &e);
}
