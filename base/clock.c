/* clock.c - see clock.h */
#include "base/clock.h"

#include "base/log.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

char *ss_time_text(char out[SS_TIME_TEXT])
{
    const int64_t most = INT64_C(253402300799); /* the end of the year 9999 */
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    int64_t seconds = 0;
    time_t t = time(NULL);
    struct tm parts;

    if (epoch && ss_parse_i64(epoch, &seconds) && seconds >= 0 && seconds <= most)
        t = (time_t)seconds;
    else if (epoch)
        ss_note_once("SOURCE_DATE_EPOCH is '%s', no number of seconds: the time of now is recorded",
                     SS_SHOW(epoch));
    gmtime_r(&t, &parts);
    strftime(out, SS_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return out;
}
