/* The speech codecs behind one pair of functions: PCMU, PCMA (ITU-T G.711), G.722 (64 kbit/s) and Opus (RFC 6716).
 *
 * Contract: an encoder or decoder is opened for one codec, keeps that codec's state, and is closed. All PCM is mono,
 * native-endian int16 at `codec_rate`. Opus comes from libopus, loaded at run time; where it is missing,
 * `codec_available(OPUS)` is false and opening fails. Functions never block; opening allocates.
 */
#ifndef CORDBOARD_CODEC_H
#define CORDBOARD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec { NO_CODEC, PCMU, PCMA, G722, OPUS, TELEPHONE_EVENT, COMFORT_NOISE };

enum { HIGHEST_RATE = 48000, LONGEST_FRAME_MS = 120, LONGEST_FRAME = HIGHEST_RATE / 1000 * LONGEST_FRAME_MS };

/* Samples per second of the PCM that goes in and comes out; of RTP timestamps (G.722 says 8000, RFC 3551 §4.5.2). */
int codec_rate(enum codec codec);
int codec_clock(enum codec codec);
bool codec_available(enum codec codec);

struct g722 { /* one direction; both bands as in ITU-T G.722 §3 and §4 */
    struct g722_band {
        int s, sp, sz, nb, det;
        int r[3], a[3], ap[3], p[3], d[7], b[7], bp[7];
    } band[2];
    int x[24];
};

struct encoder {
    enum codec codec;
    union { struct g722 *g722; void *opus; } state;
};
struct decoder {
    enum codec codec;
    union { struct g722 *g722; void *opus; } state;
};

bool encoder_open(struct encoder *e, enum codec codec);
void encoder_close(struct encoder *e);
/* Bytes written to `out`, or 0 where the frame cannot be encoded. Opus frames are 10, 20, 40 or 60 ms. */
size_t encode(struct encoder *e, const int16_t *pcm, size_t samples, uint8_t *out, size_t room);

bool decoder_open(struct decoder *d, enum codec codec);
void decoder_close(struct decoder *d);
/* Samples written to `pcm`, which has room for LONGEST_FRAME; 0 where the payload is not of the codec. */
size_t decode(struct decoder *d, const uint8_t *payload, size_t size, int16_t *pcm);

/* Duration of a payload in samples at `codec_rate`, without decoding it. */
size_t codec_samples(enum codec codec, const uint8_t *payload, size_t size);

void g711_prepare(void); /* once, before any other call */
extern int16_t g711_ulaw[256], g711_alaw[256];
extern uint8_t g711_ulaw_to_alaw[256], g711_alaw_to_ulaw[256];
uint8_t g711_to_ulaw(int16_t sample);
uint8_t g711_to_alaw(int16_t sample);

struct g722 *g722_open(void); /* to be freed */
size_t g722_encode(struct g722 *g, const int16_t *pcm, size_t samples, uint8_t *out);
size_t g722_decode(struct g722 *g, const uint8_t *in, size_t size, int16_t *pcm);

bool opus_load(void);
void *opus_open_encoder(void);
void *opus_open_decoder(void);
void opus_close_encoder(void *state);
void opus_close_decoder(void *state);
size_t opus_encode_frame(void *state, const int16_t *pcm, size_t samples, uint8_t *out, size_t room);
size_t opus_decode_frame(void *state, const uint8_t *in, size_t size, int16_t *pcm);
size_t opus_duration(const uint8_t *in, size_t size);

#endif
