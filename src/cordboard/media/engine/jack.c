/* What comes to a jack: who may be heard, what was said, and the terms of offer/answer. */
#include "board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- who may be heard ------------------------------------------------------------------------------------------ */

static void unlatch(struct port *p) {
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    p->clean = false;
    connect(p->fd, &nobody, sizeof nobody);
}

static void latch(struct jack *j, const struct address *from) {
    if (!j->mux && !address_same(from, &j->remote) && address_same(&j->remote, &j->told)) { /* RTCP moves along */
        j->rtcp_remote = *from;
        j->rtcp_remote.name.v4.sin_port = htons((uint16_t)(ntohs(from->name.v4.sin_port) + 1));
    }
    j->remote = *from;
    j->latched = connect(j->rtp.fd, &from->name.any, from->size) == 0; /* the kernel drops strangers from now on */
}

/* Another port of the party's host: a NAT's, if it shows several packets of one sender in sequence. */
static bool proven(struct jack *j, const struct address *from, const struct rtp *p) {
    bool follows = j->probation_count && address_same(from, &j->probation) && p->ssrc == j->probation_ssrc &&
                   (uint16_t)(p->sequence - j->probation_sequence - 1) < 3;
    j->probation_count = follows ? j->probation_count + 1 : 1;
    j->probation = *from, j->probation_ssrc = p->ssrc, j->probation_sequence = p->sequence;
    return j->probation_count >= PROBATION_PACKETS;
}

/* One sender at a time: another SSRC is heard once the first has paused, so that injected packets take no turns. */
static bool right_stream(struct jack *j, const struct rtp *p, int64_t now) {
    if (j->have_ssrc && p->ssrc == j->ssrc_in) return true;
    if (j->have_ssrc) {
        bool follows = p->ssrc == j->candidate_ssrc && (uint16_t)(p->sequence - j->candidate_sequence - 1) < 3;
        j->candidate_count = follows ? j->candidate_count + 1 : 1;
        j->candidate_ssrc = p->ssrc, j->candidate_sequence = p->sequence;
        if (now - j->last_received < SSRC_HOLD_MS * MILLISECOND || j->candidate_count < SSRC_PROBATION) return false;
    }
    if (!j->have_ssrc && j->reception.started && p->ssrc == j->ssrc_in && j->latched) { /* a new offer/answer, same stream */
        j->have_ssrc = true;
        return true;
    }
    j->have_ssrc = true, j->ssrc_in = p->ssrc, j->epoch++, j->candidate_count = 0;
    reception_start(&j->reception, p->sequence, j->clock ? j->clock : 8000);
    j->window = 0, j->anchor_at = 0;
    j->dtmf_in = (struct dtmf_receiver){0};
    if (j->reorder) reorder_reset(j->reorder);
    return true;
}

static bool duplicate(struct jack *j, uint16_t sequence) { /* the last 64 numbers, as a bit each */
    int ahead = sequence_after(sequence, (uint16_t)j->reception.highest);
    if (ahead > 0) {
        j->window = ahead < 64 ? j->window << ahead | 1 : 1;
        return false;
    }
    if (ahead <= -64) return false;
    bool seen = j->window >> -ahead & 1;
    j->window |= 1ull << -ahead;
    return seen;
}

/* --- what was said --------------------------------------------------------------------------------------------- */

static void hear_in_order(void *to, uint8_t type, uint32_t timestamp, const uint8_t *payload, size_t size) {
    struct jack *j = to;
    enum codec codec = (enum codec)j->receive[type & 127];
    if (codec > OPUS || codec == NO_CODEC || !j->ears) return;
    if (j->ordered.codec != codec) {
        decoder_close(&j->ordered);
        if (!decoder_open(&j->ordered, codec)) return;
    }
    int64_t now = j->worker->now;
    size_t count = decode(&j->ordered, payload, size, j->worker->pcm);
    ears_hear(j->ears, j->worker, j->worker->pcm, count, codec_rate(codec), spoken_at(j, timestamp, codec_clock(codec), now), now);
}

void jack_listen_in_order(struct jack *j) {
    if (!j->reorder && !j->rate) j->reorder = calloc(1, sizeof *j->reorder);
}

static void tell_digit(struct jack *j, const struct dtmf_digit *d) {
    struct event e = {.kind = EVENT_DTMF, .jack = j->id, .number = (int64_t)d->duration * 1000 / j->clock, .text = {d->digit}};
    j->dtmf_in_count++;
    board_tell(j->worker->board, &e);
}

static void hear_packet(struct jack *j, const struct rtp *p, uint8_t *payload, int64_t now) {
    enum codec codec = (enum codec)j->receive[p->payload_type];
    if (!j->may_receive) return;
    if (codec == TELEPHONE_EVENT) {
        struct dtmf_digit digit;
        if (p->size < EVENT_PAYLOAD) return;
        if (dtmf_receive(&j->dtmf_in, p, now / MILLISECOND, &digit)) tell_digit(j, &digit);
        for (struct cord *c = j->source.listeners; c; c = c->next)
            if (c == &c->to->now) relay_event(c->to, j, p, payload, now);
    } else if (codec != COMFORT_NOISE && j->source.listeners) {
        struct frame f = {.codec = codec, .packet = p, .payload = payload, .decoder = &j->through, .spoken_by = j,
                          .now = now};
        frame_push(&j->source, &f);
    }
    if (j->ears && j->reorder) reorder_put(j->reorder, p, now / MILLISECOND, hear_in_order, j);
}

static void receive_rtcp(struct jack *j, uint8_t *data, size_t size, int64_t now) {
    struct report r;
    if (j->unprotect && !(size = srtcp_unprotect(j->unprotect, data, size))) return;
    if (!rtcp_read(&r, data, size, j->ssrc_out, now)) return;
    j->rtcp_in++, j->last_rtcp = now, j->rtcp_seen = true, j->answered = true;
    if (r.sender) j->sent.last_remote_ntp = r.ntp, j->sent.last_remote_at = now;
    if (r.about_us) j->remote_lost = r.lost < 0 ? 0 : r.lost;
    if (r.round_trip_ms >= 0) j->round_trip_ms = r.round_trip_ms;
}

static void receive(struct jack *j, const struct address *from, uint8_t *data, size_t size, int64_t now) {
    struct rtp p;
    if (!j->agreed || !j->remote.size || (from && !address_same_host(from, &j->remote))) {
        j->rejected++;
        return;
    }
    if (looks_like_rtcp(data, size)) {
        receive_rtcp(j, data, size, now);
        return;
    }
    if (j->unprotect && !(size = srtp_unprotect(j->unprotect, data, size))) {
        j->malformed++;
        return;
    }
    if (!rtp_parse(&p, data, size)) {
        j->malformed++;
        return;
    }
    bool named = !from || address_same(from, &j->remote);
    if ((!named && (j->latched || !proven(j, from, &p))) || !right_stream(j, &p, now)) {
        j->rejected++;
        return;
    }
    if (!j->receive[p.payload_type]) {
        j->malformed++;
        return;
    }
    if (!j->latched) latch(j, from);
    j->answered = true, j->unanswered = 0, j->silent_told = false;
    if (!j->latch_told) {
        struct event e = {.kind = EVENT_LATCHED, .jack = j->id};
        e.port = address_text(&j->remote, e.text);
        j->latch_told = true;
        board_tell(j->worker->board, &e);
    }
    if (!j->first_received) j->first_received = now;
    j->last_received = now;
    if (duplicate(j, p.sequence)) {
        j->duplicates++;
        return;
    }
    j->reordered += !reception_count(&j->reception, p.sequence, p.timestamp, now);
    j->packets_in++, j->octets_in += p.size, j->worker->packets_in++;
    hear_packet(j, &p, (uint8_t *)p.payload, now);
}

/* One datagram a wake-up: epoll comes back for more after everybody else had a turn, so a flood delays nobody. */
void jack_readable(struct jack *j, struct port *port, int64_t now) {
    uint8_t *data = j->worker->datagram + HEADROOM;
    if (j->closed) return;
    if (port->clean) {
        ssize_t size = receive_from(port->fd, data, DATAGRAM, NULL);
        if (size > 0) receive(j, NULL, data, (size_t)size, now);
        return;
    }
    for (int turns = 0; turns < 16; turns++) { /* strangers may still wait from before the latch */
        struct address from = {.size = sizeof from.name};
        ssize_t size = receive_from(port->fd, data, DATAGRAM, &from);
        if (size < 0) {
            port->clean = errno == EAGAIN && j->latched && !port->rtcp;
            return;
        }
        if (!port->rtcp) receive(j, &from, data, (size_t)size, now);
        else if (j->agreed && address_same_host(&from, &j->remote)) receive_rtcp(j, data, (size_t)size, now);
    }
}

/* --- offer/answer, and what happens now and then ------------------------------------------------------------------- */

static void set_keys(struct jack *j, const struct terms *t) {
    enum srtp_suite suite = (enum srtp_suite)t->suite;
    if (!srtp_same(j->protect, suite, t->send_key)) { /* unchanged keys keep their roll-over counters */
        srtp_close(j->protect);
        j->protect = srtp_open(suite, t->send_key);
    }
    if (!srtp_same(j->unprotect, suite, t->receive_key)) {
        srtp_close(j->unprotect);
        j->unprotect = srtp_open(suite, t->receive_key);
    }
}

static void set_codec(struct jack *j, enum codec codec, int64_t now) {
    int clock = codec_clock(codec);
    if (j->codec == codec) return;
    encoder_close(&j->encoder);
    encoder_open(&j->encoder, codec);
    if (j->clock_start && clock != j->clock) { /* timestamps go on from the last one at another pace */
        j->base_timestamp = j->last_timestamp + (uint32_t)j->frame;
        j->clock_start = now;
        j->last_timestamp = j->base_timestamp, j->frame = 0;
    }
    if (clock != j->clock) j->anchored = j->relaying = false;
    j->codec = codec, j->clock = clock;
    j->mark_next = true, j->gathered = 0, j->gather_end = 0;
    say_convert(&j->say, codec_rate(codec));
    for (struct cord *c = &j->now;; c = &j->next) {
        if (c->from && c->from->kind == SOURCE_CLIP) clip_prepare((struct clip *)c->from, codec, codec_rate(codec));
        if (c == &j->next) break;
    }
}

void jack_apply(struct jack *j, const struct terms *t, int64_t now) {
    struct address told;
    address_parse(&told, t->host, t->port);
    bool nowhere = !t->port || !strcmp(t->host, "0.0.0.0") || !strcmp(t->host, "::");
    if (!j->agreed || !address_same(&told, &j->told) || nowhere) {
        if (j->latched) unlatch(&j->rtp);
        j->told = told;
        j->remote = nowhere ? (struct address){0} : told;
        j->latched = j->answered = false, j->unanswered = 0, j->probation_count = 0;
        j->rtcp_remote = j->remote;
        if (!nowhere) j->rtcp_remote.name.v4.sin_port = htons((uint16_t)(t->port + 1)); /* RFC 3550 §11 */
    }
    if (!nowhere && t->rtcp_host) address_parse(&j->rtcp_remote, t->rtcp_host, t->rtcp_port);
    j->mux = t->rtcp_mux;
    set_codec(j, (enum codec)t->send_codec, now);
    memcpy(j->receive, t->receive, sizeof j->receive);
    j->payload_type = (uint8_t)t->send, j->dtmf_type = t->dtmf, j->ptime = t->ptime;
    j->may_send = t->direction & SENDONLY, j->may_receive = t->direction & RECVONLY;
    if (j->dtmf_type < 0) j->digits[0] = 0, j->dtmf_out.active = false;
    set_keys(j, t);
    j->agreed = true, j->agreed_at = now, j->have_ssrc = false, j->latch_told = j->rtcp_seen = j->silent_told = false;
    j->largest_gap = 0;
    if (!j->next_report) j->next_report = now + 2 * SECOND + j->id % 64 * 40 * MILLISECOND;
    jack_schedule(j, now);
}

void jack_report(struct jack *j, int64_t now, bool bye) {
    uint8_t packet[RTCP_LARGEST + SRTP_ROOM + 4];
    char name[80];
    if (!j->agreed || !j->rtcp_remote.size || (!j->answered && j->rtcp_out) || (bye && !j->sent_any)) return;
    snprintf(name, sizeof name, "%.40s-%08x", j->worker->board->name, j->base_timestamp);
    bool sending = j->sent.packets > 0;
    size_t size = rtcp_write(packet, j->ssrc_out, &j->sent, sending ? clock_stamp(j, now) : 0, sending, j->ssrc_in, &j->reception,
                             j->have_ssrc && j->reception.received, name, bye, now);
    if (j->protect) size = srtcp_protect(j->protect, packet, size);
    const struct address *to = j->mux ? &j->remote : &j->rtcp_remote;
    if (size && send_to(j->mux ? j->rtp.fd : j->rtcp.fd, packet, size, to) > 0) j->rtcp_out++;
}

void jack_housekeeping(struct jack *j, int64_t now) {
    struct dtmf_digit digit;
    if (dtmf_expire(&j->dtmf_in, now / MILLISECOND, &digit)) tell_digit(j, &digit);
    if (j->reorder && j->ears) reorder_expire(j->reorder, now / MILLISECOND, hear_in_order, j);
    for (struct ear *e = j->ears; e; e = e->next) e->hear(e, NULL, 0, 0, now); /* a pause is told as nothing */
    if (!j->agreed || j->rate) return;
    int64_t since = j->last_received > j->agreed_at ? j->last_received : j->agreed_at;
    if (j->may_receive && j->silent_after && !j->silent_told && now - since > j->silent_after) {
        struct event e = {.kind = EVENT_SILENT, .jack = j->id, .seconds = (double)(now - since) / SECOND};
        j->silent_told = true;
        board_tell(j->worker->board, &e);
    }
    if (now >= j->next_report) { /* RFC 3550 §6.2: five seconds, give or take half */
        jack_report(j, now, false);
        j->next_report = now + 5 * SECOND / 2 + (int64_t)((j->ssrc_out ^ (uint32_t)now) % 5000) * MILLISECOND;
    }
}
