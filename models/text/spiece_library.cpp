/* spiece_library.cpp - see spiece_library.h: the one file that is C++ and meets libsentencepiece */
#include "models/text/spiece_library.h"

#include <cstdio>
#include <new>
#include <sentencepiece_processor.h>

using sentencepiece::SentencePieceProcessor;

static const SentencePieceProcessor *processor(const void *model)
{
    return static_cast<const SentencePieceProcessor *>(model);
}

/* Runs a call of the library that gives a status. */
template <typename Call> static ss_spiece_result guard(char *why, size_t room, Call call)
{
    try {
        const sentencepiece::util::Status status = call();

        if (status.ok())
            return SS_SPIECE_OK;
        snprintf(why, room, "%s", status.ToString().c_str());
    } catch (const std::bad_alloc &) {
        return SS_SPIECE_NO_MEMORY;
    } catch (const std::exception &problem) {
        snprintf(why, room, "%s", problem.what());
    } catch (...) {
        snprintf(why, room, "an exception of an unknown kind");
    }
    return SS_SPIECE_FAILED;
}

ss_spiece_result ss_spiece_library_open(const void *bytes, size_t n, void **model, char *why,
                                        size_t room)
{
    SentencePieceProcessor *p = nullptr;
    const ss_spiece_result result = guard(why, room, [&] {
        p = new SentencePieceProcessor;
        return p->LoadFromSerializedProto({static_cast<const char *>(bytes), n});
    });

    if (result != SS_SPIECE_OK) {
        delete p;
        p = nullptr;
    }
    *model = p;
    return result;
}

void ss_spiece_library_close(void *model)
{
    delete static_cast<SentencePieceProcessor *>(model);
}

ss_spiece_result ss_spiece_library_encode(const void *model, const char *text, size_t n,
                                          void (*add)(void *arg, int id), void *arg, char *why,
                                          size_t room)
{
    return guard(why, room, [&] {
        std::vector<int> ids;
        const sentencepiece::util::Status status = processor(model)->Encode({text, n}, &ids);

        for (const int id : ids)
            add(arg, id);
        return status;
    });
}
