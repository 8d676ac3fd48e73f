/* Packets in any order: each is delivered once at most, in order between restarts; playout never reads what was not put. */
#include "check.h"
#include "jitter.h"

struct seen { int started; uint16_t last; };

static void deliver(void *to, uint8_t type, uint32_t timestamp, const uint8_t *payload, size_t size) {
    struct seen *s = to;
    int ahead = sequence_after((uint16_t)timestamp, s->last);
    (void)type, (void)payload, (void)size;
    CHECK(!s->started || ahead > 0 || ahead < -90);
    s->started = 1, s->last = (uint16_t)timestamp;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct reorder r;
    static struct playout p;
    int16_t pcm[480] = {0};
    struct seen seen = {0};
    int64_t now = 0;
    memset(&r, 0, sizeof r);
    playout_reset(&p);
    for (; size >= 4; data += 4, size -= 4) {
        uint16_t sequence = read16(data);
        struct rtp packet = {.sequence = sequence, .timestamp = sequence, .payload = data, .size = data[2] % 4};
        now += data[3] % 64;
        if (data[3] & 0x80) reorder_expire(&r, now, deliver, &seen);
        else reorder_put(&r, &packet, now, deliver, &seen);
        playout_put(&p, pcm, data[2], now * 1000);
        CHECK(p.count <= PLAYOUT_ROOM && p.start < PLAYOUT_ROOM);
        playout_get(&p, pcm, data[3] % 200 + 1);
        CHECK(p.count <= PLAYOUT_ROOM && p.start < PLAYOUT_ROOM);
    }
    return 0;
}
