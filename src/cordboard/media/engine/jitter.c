#include "jitter.h"

void reorder_reset(struct reorder *r) {
    r->started = false;
    r->waiting = 0;
    for (int i = 0; i < REORDER_DEPTH; i++) r->held[i].used = false;
}

static struct held *oldest(struct reorder *r) {
    struct held *best = NULL;
    if (!r->waiting) return NULL;
    for (struct held *h = r->held; h < r->held + REORDER_DEPTH; h++)
        if (h->used && (!best || sequence_after(h->sequence, best->sequence) < 0)) best = h;
    return best;
}

static void release(struct reorder *r, struct held *h, reorder_deliver *deliver, void *to) {
    int missing = sequence_after(h->sequence, r->next);
    if (missing > 0) r->lost += (uint64_t)missing;
    r->next = (uint16_t)(h->sequence + 1);
    h->used = false, r->waiting--;
    deliver(to, h->payload_type, h->timestamp, h->payload, h->size);
}

static void release_in_order(struct reorder *r, reorder_deliver *deliver, void *to) {
    for (struct held *h; (h = oldest(r)) && h->sequence == r->next;) release(r, h, deliver, to);
}

void reorder_put(struct reorder *r, const struct rtp *packet, int64_t now_ms, reorder_deliver *deliver, void *to) {
    enum { RESTART = 100 }; /* a jump that no network makes: the sender began anew */
    if (packet->size > REORDER_LARGEST) return;
    int ahead = r->started ? sequence_after(packet->sequence, r->next) : 0;
    if (!r->started || ahead > RESTART || ahead < -RESTART) {
        for (struct held *h; (h = oldest(r));) release(r, h, deliver, to);
        r->started = true, r->next = packet->sequence, ahead = 0;
    }
    if (ahead < 0) {
        r->late++;
        return;
    }
    if (ahead == 0) {
        r->next++;
        deliver(to, packet->payload_type, packet->timestamp, packet->payload, packet->size);
        release_in_order(r, deliver, to);
        return;
    }
    struct held *place = NULL;
    for (struct held *h = r->held; h < r->held + REORDER_DEPTH; h++) {
        if (h->used && h->sequence == packet->sequence) return;
        if (!h->used) place = h;
    }
    if (!place) {
        struct held *first = oldest(r);
        if (sequence_after(packet->sequence, first->sequence) < 0) { /* what waits comes after it: its turn is now */
            r->lost += (uint64_t)ahead;
            r->next = (uint16_t)(packet->sequence + 1);
            deliver(to, packet->payload_type, packet->timestamp, packet->payload, packet->size);
            release_in_order(r, deliver, to);
            return;
        }
        release(r, first, deliver, to);
        release_in_order(r, deliver, to);
        reorder_put(r, packet, now_ms, deliver, to); /* there is room now */
        return;
    }
    r->waiting++;
    *place = (struct held){.used = true, .payload_type = packet->payload_type, .sequence = packet->sequence,
                           .size = (uint16_t)packet->size, .timestamp = packet->timestamp, .arrived = now_ms};
    memcpy(place->payload, packet->payload, packet->size);
}

void reorder_expire(struct reorder *r, int64_t now_ms, reorder_deliver *deliver, void *to) {
    struct held *h = oldest(r);
    if (!h || now_ms - h->arrived < REORDER_MS) return;
    release(r, h, deliver, to);
    release_in_order(r, deliver, to);
}

void playout_reset(struct playout *p) { *p = (struct playout){.target_ms = PLAYOUT_LEAST_MS}; }

static void drop(struct playout *p, size_t count) {
    if (count > p->count) count = p->count;
    p->start = (p->start + count) % PLAYOUT_ROOM;
    p->count -= count;
    p->dropped += count;
}

void playout_put(struct playout *p, const int16_t *pcm, size_t count, int64_t now_us) {
    if (count > PLAYOUT_ROOM) pcm += count - PLAYOUT_ROOM, count = PLAYOUT_ROOM;
    if (p->last_length_us) { /* how far the arrival strays from the sender's pace */
        double stray = (double)(now_us - p->last_arrival_us - p->last_length_us);
        if (stray < 0) stray = -stray;
        if (stray < 1e6) p->jitter_us += (stray - p->jitter_us) / 16;
        double want = 2 * p->jitter_us / 1000 + PLAYOUT_LEAST_MS;
        p->target_ms += (want - p->target_ms) * (want > p->target_ms ? 0.25 : 0.01); /* up fast, down slowly */
        if (p->target_ms > PLAYOUT_MOST_MS) p->target_ms = PLAYOUT_MOST_MS;
    }
    p->last_arrival_us = now_us;
    p->last_length_us = (int64_t)count * 1000000 / PLAYOUT_RATE;
    if (p->count + count > PLAYOUT_ROOM) drop(p, p->count + count - PLAYOUT_ROOM);
    for (size_t i = 0; i < count; i++) p->samples[(p->start + p->count + i) % PLAYOUT_ROOM] = pcm[i];
    p->count += count;
}

bool playout_get(struct playout *p, int16_t *pcm, size_t count) {
    size_t target = (size_t)p->target_ms * (PLAYOUT_RATE / 1000);
    if (!p->playing && p->count >= target + count) p->playing = true;
    if (!p->playing || p->count == 0) {
        p->underruns += p->playing;
        p->playing = false;
        memset(pcm, 0, count * sizeof *pcm);
        return false;
    }
    /* Half a second of standing surplus: the delay is longer than the jitter asks for. */
    p->surplus = p->count > target + 2 * count ? p->surplus + 1 : 0;
    if (p->surplus > 25) drop(p, count / 4), p->surplus = 0;
    size_t have = p->count < count ? p->count : count;
    for (size_t i = 0; i < have; i++) pcm[i] = p->samples[(p->start + i) % PLAYOUT_ROOM];
    memset(pcm + have, 0, (count - have) * sizeof *pcm);
    p->start = (p->start + have) % PLAYOUT_ROOM;
    p->count -= have;
    return true;
}
