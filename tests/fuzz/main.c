/* main.c - libFuzzer's entry into one target, which the program is named after */
#include "base/log.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const fuzz_target *target;

/* The reader of run files tries a file in a child first, so that libhdf5 may crash. Here it gets
 * no child (the linker wraps fork), and goes on without: what crashes is seen, and ten times as
 * many files are. */
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    errno = EAGAIN;
    return -1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *slash = strrchr((*argv)[0], '/'), *name = slash ? slash + 1 : (*argv)[0];

    (void)argc;
    for (int i = 0; i < FUZZ_N_TARGETS; i++) {
        if (strcmp(fuzz_targets[i].name, name) == 0)
            target = &fuzz_targets[i];
    }
    if (!target)
        abort();
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    target->run(data, size);
    return 0;
}
