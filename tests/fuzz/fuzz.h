/* fuzz.h - hostile input for everything that reads files or texts
 *
 *   fuzz_png(data, size)       parses the bytes, uses what came out, releases it
 *
 * A target neither runs a network nor keeps state, and stops the process (abort) when a promise is
 * broken that a sanitizer cannot see: an error without a message, a message that could drive a
 * terminal. Two programs call it: libFuzzer (`make fuzz`), and tests/test_corpus.c over the files
 * of tests/fuzz/corpus/NAME/, in every `make check`. Findings of the one go into the other.
 */
#ifndef SS_TESTS_FUZZ_H
#define SS_TESTS_FUZZ_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define FUZZ_TARGETS(X)                                                                  \
    X(safetensors) /* a file of tensors */                                               \
    X(npy)         /* an array of numpy.save */                                          \
    X(edits)       /* dtypes that are cast, with scales, and names in wrappers */        \
    X(lora)        /* a file of LoRA, merged */                                          \
    X(adam)        /* the state of an optimiser */                                       \
    X(shards)      /* the index of a checkpoint in several files */                      \
    X(pickle)      /* a file of torch.save or of pickle, whatever its layout */          \
    X(zipped)      /* the pickle in torch's zip, beside a storage */                     \
    X(dcp)         /* .metadata of a torch.distributed.checkpoint folder */              \
    X(single)      /* names and shapes of a pipeline in one file */                      \
    X(json)        /* any JSON as Python writes it */                                    \
    X(config)      /* config.json of a model */                                          \
    X(scheduler)   /* scheduler_config.json: noise schedule and samplers */              \
    X(train)       /* the configuration of a training run */                             \
    X(resume)      /* training.json, the counters beside a checkpoint of a training */   \
    X(log)         /* log.jsonl, events.jsonl, summary.json of a training */             \
    X(captions)    /* captions.jsonl of a data folder */                                 \
    X(samples)     /* generate.json of a folder of samples */                            \
    X(votes)       /* sbs.json of a page of pairs, and votes of its judges */            \
    X(chain)       /* a chain of networks of videos */                                   \
    X(deforum)     /* how a camera moves */                                              \
    X(plan)        /* the plan in a run file, from which a run is repeated */            \
    X(specs)       /* globs, inputs, noise levels, precisions, interventions, numbers */ \
    X(expression)  /* `bisect --fail` */                                                 \
    X(idx)         /* pictures of MNIST's kin, plain or gzipped */                       \
    X(png)                                                                               \
    X(vocabulary) /* tokenizer.json, with a byte for its class */                        \
    X(merges)     /* merges.txt and vocab.json */                                        \
    X(spiece)     /* spiece.model */                                                     \
    X(tokens)     /* the configuration of a tokenizer */                                 \
    X(prompt)     /* a text, through tokenizers */                                       \
    X(run)        /* a run file whose parts are not as they should be, see fuzz_run.c */

#define X(name) void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(X)
#undef X

typedef struct {
    const char *name;
    void (*run)(const uint8_t *data, size_t size);
} fuzz_target;

#define X(name) +1
enum { FUZZ_N_TARGETS = 0 FUZZ_TARGETS(X) };
#undef X
extern const fuzz_target fuzz_targets[FUZZ_N_TARGETS];

/* Path of a file in a folder in memory (/dev/shm, else /tmp) that goes with the process; good
 * until the eighth call from now. */
const char *fuzz_path(const char *name);
/* The same, with these bytes in the file. */
const char *fuzz_file(const char *name, const void *data, size_t size);
/* A folder in there. */
const char *fuzz_folder(const char *name);
/* The bytes as a text that ends in NUL, in a block of just its size; free() it. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Aborts unless rc is an outcome that a caller can work with: on failure e has the same code and
 * a message in which nothing drives a terminal. */
void fuzz_check(ss_code rc, const ss_err *e);

/* A run file made as the bytes say (fuzz_run.c); none of them makes a proper one. */
const char *fuzz_make_run(const char *name, const uint8_t *data, size_t size);

#endif
