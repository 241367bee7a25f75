/* unfinished.c - see unfinished.h */
#include "base/unfinished.h"

#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_PATHS = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards paths */
static char paths[MAX_PATHS][PATH_MAX];                  /* "": unused. No heap: nothing can fail */

static void drop(const char *path)
{
    for (int i = 0; i < MAX_PATHS; i++) {
        if (strcmp(paths[i], path) == 0)
            paths[i][0] = '\0';
    }
}

void ss_unfinished_add(const char *path)
{
    const size_t n = strlen(path);

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_PATHS && n < PATH_MAX; i++) {
        if (!paths[i][0]) {
            memcpy(paths[i], path, n + 1);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

void ss_unfinished_hold(void)
{
    pthread_mutex_lock(&lock);
}

void ss_unfinished_let_go(const char *path)
{
    drop(path);
    pthread_mutex_unlock(&lock);
}

void ss_unfinished_drop(const char *path)
{
    ss_unfinished_hold();
    ss_unfinished_let_go(path);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void ss_unfinished_delete(void)
{
    enum { OPEN_FOLDERS = 16, TRIES = 20 };
    const struct timespec moment = {.tv_nsec = 5000000};

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_PATHS; i++) {
        /* again where other threads still write into it; not there at all is the end, too */
        for (int k = 0; paths[i][0] && k < TRIES; k++) {
            struct stat st;

            nftw(paths[i], remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
            if (lstat(paths[i], &st) != 0)
                break;
            nanosleep(&moment, NULL);
        }
    }
}
