#include "rtcp.h"

#include <time.h>

#define SECOND 1000000000LL
enum { SENDER_REPORT = 200, RECEIVER_REPORT = 201, DESCRIPTION = 202, GOODBYE = 203, CNAME = 1 };

void reception_start(struct reception *r, uint16_t sequence, int clock) {
    uint64_t earlier = r->started ? reception_lost(r) : 0;
    *r = (struct reception){.started = true, .first = sequence, .highest = sequence, .earlier_lost = earlier, .clock = clock};
    r->first += 1u << 16, r->highest += 1u << 16; /* room below for packets that come before the first */
}

int reception_count(struct reception *r, uint16_t sequence, uint32_t timestamp, int64_t now) {
    int ahead = sequence_after(sequence, (uint16_t)r->highest);
    if (ahead > 0) r->highest += (uint32_t)ahead;
    uint32_t arrival = (uint32_t)((uint64_t)now / 1000 * (uint64_t)r->clock / 1000000);
    int32_t transit = (int32_t)(arrival - timestamp), stray = transit - r->transit;
    if (r->received++) { /* RFC 3550 §A.8 */
        if (stray < 0) stray = -stray;
        if (stray < 10 * r->clock) r->jitter += (stray - r->jitter) / 16;
    }
    r->transit = transit;
    return ahead > 0 || r->received == 1;
}

uint64_t reception_lost(const struct reception *r) {
    uint64_t expected = r->started ? (uint64_t)(r->highest - r->first) + 1 : 0;
    return r->earlier_lost + (expected > r->received ? expected - r->received : 0);
}

uint64_t rtcp_ntp(int64_t monotonic_now) {
    struct timespec real, steady;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    int64_t ns = real.tv_sec * SECOND + real.tv_nsec - (steady.tv_sec * SECOND + steady.tv_nsec - monotonic_now);
    uint64_t seconds = (uint64_t)(ns / SECOND) + 2208988800u; /* 1900 to 1970 */
    return seconds << 32 | ((uint64_t)(ns % SECOND) << 32) / SECOND;
}

static size_t header(uint8_t *at, int count, int type, size_t size) {
    at[0] = (uint8_t)(0x80 | count), at[1] = (uint8_t)type;
    write16(at + 2, (uint16_t)(size / 4 - 1));
    return size;
}

size_t rtcp_write(uint8_t *to, uint32_t ssrc, const struct sender_report *sent, uint32_t timestamp, bool sending,
                  uint32_t source, struct reception *heard, bool hearing, const char *name, bool bye, int64_t now) {
    uint8_t *at = to + 4;
    uint64_t ntp = rtcp_ntp(now);
    write32(at, ssrc), at += 4;
    if (sending) {
        write32(at, (uint32_t)(ntp >> 32)), write32(at + 4, (uint32_t)ntp), write32(at + 8, timestamp);
        write32(at + 12, (uint32_t)sent->packets), write32(at + 16, (uint32_t)sent->octets), at += 20;
    }
    if (hearing) { /* RFC 3550 §6.4.1, §A.3 */
        uint64_t expected = (uint64_t)(heard->highest - heard->first) + 1, lost = reception_lost(heard);
        int64_t due = (int64_t)(expected - heard->expected_before), came = (int64_t)(heard->received - heard->received_before);
        uint32_t fraction = due > came && due > 0 ? (uint32_t)(((due - came) << 8) / due) : 0;
        heard->expected_before = expected, heard->received_before = heard->received;
        write32(at, source);
        write32(at + 4, (fraction > 255 ? 255 : fraction) << 24 | (uint32_t)(lost > 0x7FFFFF ? 0x7FFFFF : lost));
        write32(at + 8, heard->highest - (1u << 16));
        write32(at + 12, (uint32_t)heard->jitter);
        write32(at + 16, sent->last_remote_ntp);
        write32(at + 20, sent->last_remote_ntp ? (uint32_t)((now - sent->last_remote_at) * 65536 / SECOND) : 0);
        at += 24;
    }
    header(to, hearing, sending ? SENDER_REPORT : RECEIVER_REPORT, (size_t)(at - to));
    size_t length = strnlen(name, 60), size = (8 + 2 + length + 4) / 4 * 4; /* §6.5: at least one zero ends the chunk */
    memset(at, 0, size);
    header(at, 1, DESCRIPTION, size);
    write32(at + 4, ssrc), at[8] = CNAME, at[9] = (uint8_t)length;
    memcpy(at + 10, name, length);
    at += size;
    if (bye) {
        write32(at + 4, ssrc);
        at += header(at, 1, GOODBYE, 8);
    }
    return (size_t)(at - to);
}

bool rtcp_read(struct report *out, const uint8_t *data, size_t size, uint32_t our_ssrc, int64_t now) {
    *out = (struct report){.round_trip_ms = -1};
    bool any = false;
    while (size >= 4) {
        size_t length = 4u * (read16(data + 2) + 1u), count = data[0] & 31;
        int type = data[1];
        if (data[0] >> 6 != 2 || length > size) return any;
        if (!any && type != SENDER_REPORT && type != RECEIVER_REPORT) return false; /* §6.1: a report comes first */
        any = true;
        size_t at = 8;
        if (type == SENDER_REPORT) {
            if (length < 28) return false;
            out->sender = true;
            out->ntp = read32(data + 10);
            at = 28;
        } else if (type == GOODBYE) {
            out->bye = true;
        }
        if (type == SENDER_REPORT || type == RECEIVER_REPORT) {
            for (; count && at + 24 <= length; count--, at += 24) {
                const uint8_t *block = data + at;
                if (read32(block) != our_ssrc) continue;
                uint32_t lost = read32(block + 4) & 0xFFFFFF, last = read32(block + 16), delay = read32(block + 20);
                out->about_us = true;
                out->fraction = block[4] / 256.0;
                out->lost = lost & 0x800000 ? (int32_t)(lost | 0xFF000000u) : (int32_t)lost;
                out->jitter = read32(block + 12);
                if (last) { /* §6.4.1: A - LSR - DLSR, in 1/65536 s */
                    int32_t trip = (int32_t)((uint32_t)(rtcp_ntp(now) >> 16) - last - delay);
                    if (trip >= 0 && trip < 10 * 65536) out->round_trip_ms = trip * 1000.0 / 65536;
                }
            }
        }
        data += length, size -= length;
    }
    return any;
}

double mos(double round_trip_ms, double jitter_ms, double loss_fraction) {
    double delay = (round_trip_ms > 0 ? round_trip_ms / 2 : 0) + 2 * jitter_ms + 20; /* network, playout, packet */
    double impairment = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0);
    double loss = loss_fraction * 100, r = 93.2 - impairment - 95 * loss / (loss + 4.3); /* G.711, §3.5 with Bpl 4.3 */
    if (r <= 0) return 1;
    double value = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6;
    return value < 1 ? 1 : value > 4.5 ? 4.5 : value;
}
