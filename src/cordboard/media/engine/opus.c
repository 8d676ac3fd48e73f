/* Opus by libopus, loaded at run time: a machine without it simply does not offer Opus. */
#include <dlfcn.h>
#include <pthread.h>

#include "codec.h"

enum { APPLICATION_VOIP = 2048, SET_BITRATE = 4002, SET_COMPLEXITY = 4010, SET_INBAND_FEC = 4012,
       SET_PACKET_LOSS_PERC = 4014, BITRATE = 32000, COMPLEXITY = 5, EXPECTED_LOSS_PERCENT = 5 };

static struct {
    void *(*encoder_create)(int32_t rate, int channels, int application, int *error);
    void (*encoder_destroy)(void *);
    int (*encoder_ctl)(void *, int request, ...);
    int32_t (*encode)(void *, const int16_t *pcm, int frame, uint8_t *out, int32_t room);
    void *(*decoder_create)(int32_t rate, int channels, int *error);
    void (*decoder_destroy)(void *);
    int (*decode)(void *, const uint8_t *in, int32_t size, int16_t *pcm, int frame, int fec);
    int (*samples)(const uint8_t *packet, int32_t size, int32_t rate);
    bool loaded;
} lib;

static void load(void) {
    void *so = dlopen("libopus.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!so) return;
    const struct { void *to; const char *name; } symbols[] = {
        {&lib.encoder_create, "opus_encoder_create"}, {&lib.encoder_destroy, "opus_encoder_destroy"},
        {&lib.encoder_ctl, "opus_encoder_ctl"},       {&lib.encode, "opus_encode"},
        {&lib.decoder_create, "opus_decoder_create"}, {&lib.decoder_destroy, "opus_decoder_destroy"},
        {&lib.decode, "opus_decode"},                 {&lib.samples, "opus_packet_get_nb_samples"},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!(*(void **)symbols[i].to = dlsym(so, symbols[i].name))) return;
    lib.loaded = true;
}

bool opus_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return lib.loaded;
}

void *opus_open_encoder(void) {
    int error = 0;
    void *state = opus_load() ? lib.encoder_create(HIGHEST_RATE, 1, APPLICATION_VOIP, &error) : NULL;
    if (!state) return NULL;
    lib.encoder_ctl(state, SET_BITRATE, BITRATE);
    lib.encoder_ctl(state, SET_COMPLEXITY, COMPLEXITY);
    lib.encoder_ctl(state, SET_INBAND_FEC, 1);
    lib.encoder_ctl(state, SET_PACKET_LOSS_PERC, EXPECTED_LOSS_PERCENT);
    return state;
}

void *opus_open_decoder(void) {
    int error = 0;
    return opus_load() ? lib.decoder_create(HIGHEST_RATE, 1, &error) : NULL;
}

void opus_close_encoder(void *state) { lib.encoder_destroy(state); }
void opus_close_decoder(void *state) { lib.decoder_destroy(state); }

size_t opus_encode_frame(void *state, const int16_t *pcm, size_t samples, uint8_t *out, size_t room) {
    int32_t size = lib.encode(state, pcm, (int)samples, out, (int32_t)room);
    return size > 0 ? (size_t)size : 0;
}

size_t opus_decode_frame(void *state, const uint8_t *in, size_t size, int16_t *pcm) {
    int samples = size ? lib.decode(state, in, (int32_t)size, pcm, LONGEST_FRAME, 0) : 0;
    return samples > 0 ? (size_t)samples : 0;
}

size_t opus_duration(const uint8_t *in, size_t size) {
    int samples = size && opus_load() ? lib.samples(in, (int32_t)size, HIGHEST_RATE) : 0;
    return samples > 0 ? (size_t)samples : 0;
}
