#include "dtmf.h"

enum { LOST_END_MS = 150, END_PACKETS = 3, VOLUME = 10 /* -dBm0 */ };

static const char characters[] = "0123456789*#ABCD";

char dtmf_character(uint8_t event) { return event < 16 ? characters[event] : 0; }

int dtmf_event(char digit) {
    if (digit >= 'a' && digit <= 'd') digit = (char)(digit - 'a' + 'A');
    const char *at = digit ? strchr(characters, digit) : NULL;
    return at ? (int)(at - characters) : -1;
}

static bool tell(struct dtmf_receiver *r, struct dtmf_digit *told) {
    r->active = false;
    told->digit = dtmf_character(r->event);
    told->duration = r->duration;
    return told->digit != 0;
}

bool dtmf_receive(struct dtmf_receiver *r, const struct rtp *packet, int64_t now_ms, struct dtmf_digit *told) {
    if (packet->size < EVENT_PAYLOAD) return false;
    uint8_t event = packet->payload[0];
    bool end = packet->payload[1] & 0x80;
    uint16_t duration = read16(packet->payload + 2);
    bool ended_before = false;
    struct dtmf_digit earlier;
    /* RFC 4733 §2.5.1.2: all packets of one event carry the timestamp of its beginning. */
    if (!r->known || packet->timestamp != r->timestamp) {
        if (r->known && timestamp_after(packet->timestamp, r->timestamp) < 0) return false; /* a straggler */
        if (r->active) ended_before = tell(r, &earlier);
        *r = (struct dtmf_receiver){.active = true, .known = true, .event = event, .timestamp = packet->timestamp};
    }
    if (!r->active || event != r->event) return false; /* a repeated end packet */
    if (duration > r->duration) r->duration = duration;
    r->heard = now_ms;
    if (ended_before) { /* the new digit's own end comes with its repetitions */
        *told = earlier;
        return true;
    }
    return end && tell(r, told);
}

bool dtmf_expire(struct dtmf_receiver *r, int64_t now_ms, struct dtmf_digit *told) {
    return r->active && now_ms - r->heard > LOST_END_MS && tell(r, told);
}

void dtmf_start(struct dtmf_sender *s, int event, uint16_t total, uint16_t step) {
    *s = (struct dtmf_sender){.event = (uint8_t)event, .total = total, .step = step, .ends = END_PACKETS,
                              .active = true, .first = true};
}

bool dtmf_next(struct dtmf_sender *s, uint8_t payload[EVENT_PAYLOAD], bool *first) {
    if (!s->active) return false;
    *first = s->first;
    s->first = false;
    if (s->duration < s->total) s->duration = (uint16_t)(s->total - s->duration > s->step ? s->duration + s->step : s->total);
    bool end = s->duration >= s->total;
    payload[0] = s->event;
    payload[1] = (uint8_t)(VOLUME | (end ? 0x80 : 0));
    write16(payload + 2, s->duration);
    if (end && !--s->ends) s->active = false; /* RFC 4733 §2.5.1.4: the end is sent three times */
    return true;
}
