/* ITU-T G.711 and the table of codecs. Encoding goes through a table of the 14-bit (µ-law) or 13-bit (A-law) value;
 * µ-law <-> A-law is one table look-up a sample, which is all that a bridge between the two laws costs. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"

int16_t g711_ulaw[256], g711_alaw[256];
uint8_t g711_ulaw_to_alaw[256], g711_alaw_to_ulaw[256];
static uint8_t from14[1 << 14], from13[1 << 13];

static int segment(int value, int first_limit) {
    int at = 0;
    for (int limit = first_limit; at < 8 && value > limit; limit = limit * 2 + 1) at++;
    return at;
}

static uint8_t ulaw_of(int value) { /* 14 bits; G.711 table 2 */
    int mask = value < 0 ? 0x7F : 0xFF;
    if (value < 0) value = -value;
    if (value > 8159) value = 8159;
    value += 33;
    int at = segment(value, 0x3F);
    return (uint8_t)((at >= 8 ? 0x7F : at << 4 | (value >> (at + 1) & 15)) ^ mask);
}

static uint8_t alaw_of(int value) { /* 13 bits; G.711 table 1 */
    int mask = value < 0 ? 0x55 : 0xD5;
    if (value < 0) value = -value - 1;
    int at = segment(value, 0x1F);
    return (uint8_t)((at >= 8 ? 0x7F : at << 4 | (value >> (at < 2 ? 1 : at) & 15)) ^ mask);
}

void g711_prepare(void) {
    for (int i = -8192; i < 8192; i++) from14[i & 16383] = ulaw_of(i);
    for (int i = -4096; i < 4096; i++) from13[i & 8191] = alaw_of(i);
    for (int i = 0; i < 256; i++) {
        int u = ~i & 0xFF, magnitude = (((u & 15) << 3) + 132) << (u >> 4 & 7);
        g711_ulaw[i] = (int16_t)(u & 0x80 ? 132 - magnitude : magnitude - 132);
        int a = i ^ 0x55, at = a >> 4 & 7;
        magnitude = (a & 15) << 4;
        magnitude = at == 0 ? magnitude + 8 : (magnitude + 0x108) << (at - 1);
        g711_alaw[i] = (int16_t)(a & 0x80 ? magnitude : -magnitude);
    }
    for (int i = 0; i < 256; i++) {
        g711_ulaw_to_alaw[i] = g711_to_alaw(g711_ulaw[i]);
        g711_alaw_to_ulaw[i] = g711_to_ulaw(g711_alaw[i]);
    }
}

uint8_t g711_to_ulaw(int16_t sample) { return from14[(sample >> 2) & 16383]; }
uint8_t g711_to_alaw(int16_t sample) { return from13[(sample >> 3) & 8191]; }

int codec_rate(enum codec codec) { return codec == OPUS ? 48000 : codec == G722 ? 16000 : 8000; }
int codec_clock(enum codec codec) { return codec == OPUS ? 48000 : 8000; }
bool codec_available(enum codec codec) { return codec == OPUS ? opus_load() : codec != NO_CODEC; }

bool encoder_open(struct encoder *e, enum codec codec) {
    *e = (struct encoder){.codec = codec};
    if (codec == G722 && !(e->state.g722 = g722_open())) e->codec = NO_CODEC;
    if (codec == OPUS && !(e->state.opus = opus_open_encoder())) e->codec = NO_CODEC;
    return e->codec >= PCMU && e->codec <= OPUS;
}

void encoder_close(struct encoder *e) {
    if (e->codec == OPUS) opus_close_encoder(e->state.opus);
    if (e->codec == G722) free(e->state.g722);
    e->codec = NO_CODEC;
}

size_t encode(struct encoder *e, const int16_t *pcm, size_t samples, uint8_t *out, size_t room) {
    switch (e->codec) {
    case PCMU:
        if (samples > room) return 0;
        for (size_t i = 0; i < samples; i++) out[i] = g711_to_ulaw(pcm[i]);
        return samples;
    case PCMA:
        if (samples > room) return 0;
        for (size_t i = 0; i < samples; i++) out[i] = g711_to_alaw(pcm[i]);
        return samples;
    case G722: return samples / 2 > room ? 0 : g722_encode(e->state.g722, pcm, samples, out);
    case OPUS: return opus_encode_frame(e->state.opus, pcm, samples, out, room);
    default: return 0;
    }
}

bool decoder_open(struct decoder *d, enum codec codec) {
    *d = (struct decoder){.codec = codec};
    if (codec == G722 && !(d->state.g722 = g722_open())) d->codec = NO_CODEC;
    if (codec == OPUS && !(d->state.opus = opus_open_decoder())) d->codec = NO_CODEC;
    return d->codec >= PCMU && d->codec <= OPUS;
}

void decoder_close(struct decoder *d) {
    if (d->codec == OPUS) opus_close_decoder(d->state.opus);
    if (d->codec == G722) free(d->state.g722);
    d->codec = NO_CODEC;
}

size_t codec_samples(enum codec codec, const uint8_t *payload, size_t size) {
    if (codec == OPUS) return opus_duration(payload, size);
    return codec == G722 ? size * 2 : size;
}

size_t decode(struct decoder *d, const uint8_t *payload, size_t size, int16_t *pcm) {
    const int16_t *table = d->codec == PCMU ? g711_ulaw : g711_alaw;
    if (codec_samples(d->codec, payload, size) > LONGEST_FRAME) return 0;
    switch (d->codec) {
    case PCMU:
    case PCMA:
        for (size_t i = 0; i < size; i++) pcm[i] = table[payload[i]];
        return size;
    case G722: return g722_decode(d->state.g722, payload, size, pcm);
    case OPUS: return opus_decode_frame(d->state.opus, payload, size, pcm);
    default: return 0;
    }
}
