/* RTP packets (RFC 3550 §5.1) and telephone-event payloads (RFC 4733 §2.3).
 *
 * Contract: `rtp_parse` is the only place where a received RTP header is read, and it checks every length
 * before it uses it. What it returns points into the caller's buffer and is valid as long as that is.
 * Nothing here allocates, blocks or keeps state.
 */
#ifndef CORDBOARD_RTP_H
#define CORDBOARD_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { RTP_HEADER = 12, RTP_LARGEST = 1500, EVENT_PAYLOAD = 4 };

struct rtp {
    uint8_t payload_type;
    bool marker;
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    const uint8_t *payload;
    size_t size; /* of the payload, without padding */
};

static inline uint16_t read16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t read32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void write16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static inline void write32(uint8_t *p, uint32_t v) { write16(p, (uint16_t)(v >> 16)), write16(p + 2, (uint16_t)v); }

/* Signed distance from b to a on a circle: positive where a is newer. */
static inline int sequence_after(uint16_t a, uint16_t b) { return (int16_t)(uint16_t)(a - b); }
static inline int32_t timestamp_after(uint32_t a, uint32_t b) { return (int32_t)(a - b); }

/* RFC 5761 §4: with RTCP on the RTP port, the second byte of RTCP is 192-223. */
static inline bool looks_like_rtcp(const uint8_t *data, size_t size) {
    return size >= 2 && data[1] >= 192 && data[1] <= 223;
}

/* Length of the fixed header with CSRCs and extension; 0 where it does not fit or is not version 2. */
static inline size_t rtp_header_size(const uint8_t *data, size_t size) {
    if (size < RTP_HEADER || data[0] >> 6 != 2) return 0;
    size_t at = RTP_HEADER + 4u * (data[0] & 15);
    if (at > size) return 0;
    if (data[0] & 0x10) { /* RFC 3550 §5.3.1 */
        if (at + 4 > size) return 0;
        at += 4 + 4u * read16(data + at + 2);
        if (at > size) return 0;
    }
    return at;
}

/* False: not a packet that anybody may use. */
static inline bool rtp_parse(struct rtp *out, const uint8_t *data, size_t size) {
    size_t at = rtp_header_size(data, size);
    if (!at) return false;
    size_t padding = 0;
    if (data[0] & 0x20) {
        if (at == size) return false;
        padding = data[size - 1];
        if (!padding || padding > size - at) return false;
    }
    out->marker = data[1] >> 7;
    out->payload_type = data[1] & 127;
    out->sequence = read16(data + 2);
    out->timestamp = read32(data + 4);
    out->ssrc = read32(data + 8);
    out->payload = data + at;
    out->size = size - at - padding;
    return true;
}

static inline void rtp_write_header(uint8_t *to, uint8_t payload_type, bool marker, uint16_t sequence,
                                    uint32_t timestamp, uint32_t ssrc) {
    to[0] = 0x80;
    to[1] = (uint8_t)(payload_type | (marker ? 0x80 : 0));
    write16(to + 2, sequence);
    write32(to + 4, timestamp);
    write32(to + 8, ssrc);
}

#endif
