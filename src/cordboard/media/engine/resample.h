/* Sample rate conversion.
 *
 * Contract: a polyphase FIR low-pass (Kaiser window, about 60 dB) per pair of rates, made at its first use and kept;
 * those among 8, 16, 24 and 48 kHz are made by `resample_prepare`, so that the engine's threads never make one. Any
 * rate from 4 to 192 kHz is taken whose ratio to the other has no more than 1000 phases. A resampler keeps the last
 * input samples, so that a stream may come in frames of any size. With equal rates samples pass unchanged.
 */
#ifndef CORDBOARD_RESAMPLE_H
#define CORDBOARD_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESAMPLE_HISTORY = 160 };

struct resampler {
    const struct filter *filter; /* NULL: equal rates */
    int from, to;
    unsigned phase; /* of the next output sample, in 1/L input samples */
    int16_t history[RESAMPLE_HISTORY];
};

void resample_prepare(void); /* once, before any other call */
/* False where the pair of rates is not served. */
bool resampler_open(struct resampler *r, int from, int to);
/* Output samples of `count` input samples, at most. */
size_t resample_room(const struct resampler *r, size_t count);
/* Returns the samples written to `out`, which has room for `resample_room(count)`. */
size_t resample(struct resampler *r, const int16_t *in, size_t count, int16_t *out);

#endif
