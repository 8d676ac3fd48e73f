/* Telephone events (RFC 4733): digits in and out.
 *
 * Contract: `dtmf_receive` turns the packets of one sender into whole digits. A digit is told once: at its first
 * packet with the end bit, or by `dtmf_expire` where every end packet was lost (§2.5.2.2). `dtmf_start` and `dtmf_next`
 * produce the payloads of a digit that we send. Durations are in RTP clock units. No allocation, no clock.
 */
#ifndef CORDBOARD_DTMF_H
#define CORDBOARD_DTMF_H

#include "rtp.h"

struct dtmf_receiver {
    bool active;        /* a digit whose end has not been seen */
    bool known;         /* `timestamp` belongs to a digit that was told or is active */
    uint8_t event;
    uint16_t duration;
    uint32_t timestamp;
    int64_t heard;      /* when its last packet came, in the caller's milliseconds */
};

struct dtmf_digit {
    char digit;
    uint16_t duration; /* RTP clock units */
};

struct dtmf_sender {
    uint8_t event;
    uint16_t duration, total, step; /* RTP clock units */
    uint8_t ends;                   /* end packets that are still to be sent */
    bool active, first;
};

/* "0".."9", "*", "#", "A".."D" for events 0-15; 0 for any other. */
char dtmf_character(uint8_t event);
/* The event of a character, or -1. */
int dtmf_event(char digit);

/* True: `told` holds a digit that has just ended. */
bool dtmf_receive(struct dtmf_receiver *r, const struct rtp *packet, int64_t now_ms, struct dtmf_digit *told);
bool dtmf_expire(struct dtmf_receiver *r, int64_t now_ms, struct dtmf_digit *told);

void dtmf_start(struct dtmf_sender *s, int event, uint16_t total, uint16_t step);
/* Writes the next payload; `*first` is set on the packet that begins the event (marker bit). False: the digit is over. */
bool dtmf_next(struct dtmf_sender *s, uint8_t payload[EVENT_PAYLOAD], bool *first);

#endif
