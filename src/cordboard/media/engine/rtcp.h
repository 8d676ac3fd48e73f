/* RTCP (RFC 3550 §6): what we count of a sender, the reports we send, the reports we read.
 *
 * Contract: `reception_count` sees every accepted packet once. `rtcp_write` makes one compound packet (SR or RR, SDES,
 * and BYE where asked). `rtcp_read` checks every length and takes only reports about our own SSRC. No allocation.
 */
#ifndef CORDBOARD_RTCP_H
#define CORDBOARD_RTCP_H

#include "rtp.h"

struct reception { /* RFC 3550 §A.1, §A.3, §A.8 */
    bool started;
    uint32_t first, highest; /* extended sequence numbers */
    uint64_t received, earlier_lost;
    uint64_t expected_before, received_before;
    int32_t transit;
    double jitter; /* RTP clock units */
    int clock;
};

struct sender_report {
    uint64_t packets, octets;
    uint32_t last_remote_ntp; /* middle 32 bits of the peer's last SR */
    int64_t last_remote_at;
};

struct report { /* what a peer tells of us */
    bool sender, about_us, bye;
    uint32_t ntp;
    int32_t lost;
    double fraction, jitter;
    double round_trip_ms; /* below zero: not known */
};

enum { RTCP_LARGEST = 256 };

void reception_start(struct reception *r, uint16_t sequence, int clock);
/* Returns +1 for a packet that is ahead, 0 for one out of order. */
int reception_count(struct reception *r, uint16_t sequence, uint32_t timestamp, int64_t now);
uint64_t reception_lost(const struct reception *r);

uint64_t rtcp_ntp(int64_t monotonic_now);
size_t rtcp_write(uint8_t *to, uint32_t ssrc, const struct sender_report *sent, uint32_t timestamp, bool sending,
                  uint32_t source, struct reception *heard, bool hearing, const char *name, bool bye, int64_t now);
bool rtcp_read(struct report *out, const uint8_t *data, size_t size, uint32_t our_ssrc, int64_t now);

/* ITU-T G.107, simplified for one-way delay and random loss: 1.0 to 4.5. */
double mos(double round_trip_ms, double jitter_ms, double loss_fraction);

#endif
