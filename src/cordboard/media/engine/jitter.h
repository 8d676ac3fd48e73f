/* Two buffers between the network and an ear that needs order.
 *
 * `reorder` puts the packets of one sender back into sequence for speech recognition, recordings and mixes: it hands a
 * packet on as soon as its predecessors came, and gives a missing one up once `REORDER_DEPTH` later ones wait or
 * `REORDER_MS` have passed. It never delays a stream that is in order.
 *
 * `playout` is the adaptive jitter buffer of a mix: PCM goes in when it arrives and comes out at a steady pace. Its
 * delay follows the measured jitter between `PLAYOUT_LEAST_MS` and `PLAYOUT_MOST_MS`.
 *
 * Contract: fixed memory, no allocation, no clock of their own; a hostile stream costs at most the fixed memory.
 */
#ifndef CORDBOARD_JITTER_H
#define CORDBOARD_JITTER_H

#include "rtp.h"

enum { REORDER_DEPTH = 4, REORDER_MS = 60, REORDER_LARGEST = 1400 };

struct held {
    bool used;
    uint8_t payload_type;
    uint16_t sequence, size;
    uint32_t timestamp;
    int64_t arrived;
    uint8_t payload[REORDER_LARGEST];
};
struct reorder {
    bool started;
    uint16_t next;
    int waiting; /* packets held */
    uint64_t lost, late;
    struct held held[REORDER_DEPTH];
};

typedef void reorder_deliver(void *to, uint8_t payload_type, uint32_t timestamp, const uint8_t *payload, size_t size);

void reorder_reset(struct reorder *r);
void reorder_put(struct reorder *r, const struct rtp *packet, int64_t now_ms, reorder_deliver *deliver, void *to);
/* Gives up what is overdue; call it now and then. */
void reorder_expire(struct reorder *r, int64_t now_ms, reorder_deliver *deliver, void *to);

enum { PLAYOUT_RATE = 16000, PLAYOUT_LEAST_MS = 20, PLAYOUT_MOST_MS = 200, PLAYOUT_ROOM = PLAYOUT_RATE / 1000 * 400 };

struct playout {
    int16_t samples[PLAYOUT_ROOM];
    size_t start, count;
    bool playing;
    int64_t last_arrival_us, last_length_us;
    double jitter_us, target_ms;
    int surplus; /* consecutive reads with more buffered than needed */
    uint64_t underruns, dropped;
};

void playout_reset(struct playout *p);
void playout_put(struct playout *p, const int16_t *pcm, size_t count, int64_t now_us);
/* Fills `pcm` with `count` samples; false: silence, nothing to play. */
bool playout_get(struct playout *p, int16_t *pcm, size_t count);

#endif
