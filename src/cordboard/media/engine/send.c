/* What leaves a jack: one stream with our own numbers, whether a packet is relayed, a frame encoded or a source pulled. */
#include "board.h"

#include <stdlib.h>

/* --- numbers, time, the socket -------------------------------------------------------------------------------- */

/* Our RTP clock: what the timestamp of a packet sent now would be, had we never switched. */
uint32_t clock_stamp(const struct jack *j, int64_t now) {
    return j->base_timestamp + (uint32_t)((now - j->clock_start) / 1000 * j->clock / 1000000);
}

/* The timestamp of a packet that follows a switch or a pause: behind the last one, within one frame of the clock. */
static uint32_t next_timestamp(struct jack *j, int64_t now) {
    if (!j->clock_start) j->clock_start = now;
    uint32_t clock = clock_stamp(j, now), follows = j->last_timestamp + (uint32_t)j->frame;
    int frame = j->clock / 1000 * j->ptime;
    if (!j->sent_any) return clock;
    int32_t ahead = timestamp_after(follows, clock);
    uint32_t at = ahead > frame ? clock + (uint32_t)frame : ahead < -frame ? clock : follows;
    return timestamp_after(at, j->last_timestamp) > 0 ? at : j->last_timestamp + 1;
}

static void put_on_wire(struct jack *j, uint8_t *packet, size_t size, int64_t now) {
    struct worker *w = j->worker;
    size_t payload = size - RTP_HEADER;
    if (j->protect) {
        if (packet != w->scratch + HEADROOM) packet = memcpy(w->scratch + HEADROOM, packet, size); /* others need it plain */
        if (!(size = srtp_protect(j->protect, packet, size))) return;
    }
    /* What the network refuses is lost as on the wire; ICMP errors are strangers' word. */
    send_to(j->rtp.fd, packet, size, j->latched ? NULL : &j->remote);
    if (j->last_sent) {
        int64_t gap = now - j->last_sent, frame = j->ptime * MILLISECOND;
        if (gap > j->largest_gap) j->largest_gap = gap;
        if (gap > frame) j->unsent += gap - frame;
    }
    j->last_sent = now;
    j->unanswered += !j->answered;
    j->packets_out++, j->octets_out += payload, w->packets_out++;
    j->sent.packets++, j->sent.octets += payload;
}

static bool may_send(struct jack *j) {
    if (!j->may_send || !j->remote.size) return false;
    if (j->answered || j->unanswered < UNANSWERED_PACKETS) return true;
    j->held_back++;
    return false;
}

static void watchers_hear(struct jack *j, uint32_t timestamp, const uint8_t *payload, size_t size, int64_t now) {
    struct worker *w = j->worker;
    if (j->watched.codec != j->codec) {
        decoder_close(&j->watched);
        if (!decoder_open(&j->watched, j->codec)) return;
    }
    size_t count = decode(&j->watched, payload, size, w->overheard);
    int64_t at = now + ticks_ns(timestamp_after(timestamp, clock_stamp(j, now)), j->clock);
    ears_hear(j->watchers, w, w->overheard, count, codec_rate(j->codec), at, now);
}

/* The header goes into the RTP_HEADER bytes before the payload. */
static void send_packet(struct jack *j, uint8_t *payload, size_t size, int type, bool marker, uint16_t sequence,
                        uint32_t timestamp, int64_t now) {
    if (j->watchers && type == j->payload_type) watchers_hear(j, timestamp, payload, size, now);
    rtp_write_header(payload - RTP_HEADER, (uint8_t)type, marker, sequence, timestamp, j->ssrc_out);
    put_on_wire(j, payload - RTP_HEADER, size + RTP_HEADER, now);
}

/* A frame of our own making, with the next number. */
static void send_own(struct jack *j, uint8_t *payload, size_t size, int type, bool marker, uint32_t timestamp, int length,
                     int64_t now) {
    j->sequence++;
    j->last_timestamp = timestamp, j->frame = length, j->sent_any = true;
    send_packet(j, payload, size, type, marker, j->sequence, timestamp, now);
}

static void heard_append(struct jack *j, const int16_t *pcm, size_t count, int64_t now) {
    size_t ring = (size_t)j->rate;
    if (!j->heard) return;
    for (size_t i = 0; i < count; i++) {
        j->heard[(j->heard_start + j->heard_count) % ring] = pcm[i];
        if (j->heard_count < ring) j->heard_count++;
        else j->heard_start = (j->heard_start + 1) % ring;
    }
    if (j->watchers) ears_hear(j->watchers, j->worker, pcm, count, j->rate, now, now);
}

/* --- relayed packets ------------------------------------------------------------------------------------------ */

/* The sender's clock drifts from ours; once in two seconds the relay follows it, by its least late packet. */
static void follow_drift(struct jack *j, uint32_t timestamp, int64_t now) {
    int32_t ahead = timestamp_after(timestamp, clock_stamp(j, now)), limit = j->clock / 1000 * j->ptime;
    if (ahead > j->phase_most) j->phase_most = ahead;
    if (now - j->phase_since < 2 * SECOND) return;
    if (j->phase_most > limit || j->phase_most < -limit) j->shift -= (uint32_t)j->phase_most;
    j->phase_most = INT32_MIN, j->phase_since = now;
}

static void relay(struct jack *j, struct jack *from, const struct rtp *p, uint8_t *payload, int type, bool event,
                  int64_t now) {
    int ahead = j->anchored ? sequence_after(p->sequence, j->relayed_sequence) : 0;
    bool joins = !j->anchored || !j->relaying || j->relayed_epoch != from->epoch || ahead > 100;
    if (joins) {
        if (event && read16(p->payload + 2) > j->clock / 20) return; /* it began before the switch */
        j->shift = next_timestamp(j, now) - p->timestamp;
        j->relayed_first = p->sequence;
        j->renumber = (uint16_t)(j->sequence + 1 - p->sequence);
        j->anchored = j->relaying = true, j->relayed_epoch = from->epoch;
        j->relayed_sequence = p->sequence;
        j->phase_most = INT32_MIN, j->phase_since = now;
    } else if (sequence_after(p->sequence, j->relayed_first) < 0) {
        return; /* from before the switch */
    }
    uint16_t sequence = (uint16_t)(p->sequence + j->renumber);
    uint32_t timestamp = p->timestamp + j->shift;
    if (joins || ahead > 0) {
        if (!joins && timestamp_after(timestamp, j->last_timestamp) < 0 && !event) { /* the sender set its clock back */
            j->shift = next_timestamp(j, now) - p->timestamp;
            timestamp = p->timestamp + j->shift;
        }
        j->relayed_sequence = p->sequence, j->sequence = sequence, j->sent_any = true;
        if (!event) {
            j->frame = j->codec == OPUS ? (int)opus_duration(p->payload, p->size) : (int)p->size; /* one octet a tick */
            j->last_timestamp = timestamp;
            follow_drift(j, timestamp, now);
        }
    }
    bool marker = p->marker || j->mark_next || joins;
    if (!event) j->mark_next = false;
    send_packet(j, payload, p->size, type, marker, sequence, timestamp, now);
}

void relay_event(struct jack *j, struct jack *from, const struct rtp *p, uint8_t *payload, int64_t now) {
    if (j->rate || j->dtmf_type < 0 || j->dtmf_out.active || !may_send(j)) return;
    relay(j, from, p, payload, j->dtmf_type, true, now);
    j->dtmf_out_count += p->marker;
}

/* When a packet's audio was spoken: its timestamp on our clock, fixed at the stream's first packet. */
int64_t spoken_at(struct jack *j, uint32_t timestamp, int clock, int64_t now) {
    int64_t at = j->anchor_at + ticks_ns(timestamp_after(timestamp, j->anchor_timestamp), clock);
    if (!j->anchor_at || at > now + SECOND / 5 || at < now - SECOND) at = now;
    if (at == now || timestamp_after(timestamp, j->anchor_timestamp) > 0) j->anchor_at = at, j->anchor_timestamp = timestamp;
    return at;
}

/* --- PCM that must be encoded --------------------------------------------------------------------------------- */

int jack_rate(const struct jack *j) { return j->rate ? j->rate : codec_rate(j->codec); }

/* PCM spoken at `at` joins what waits; every full frame leaves. A hole in time begins anew. */
static void take_pcm(struct jack *j, const int16_t *pcm, size_t count, int rate, int64_t at, int64_t now) {
    struct worker *w = j->worker;
    int ours = jack_rate(j);
    if (j->incoming.from != rate || j->incoming.to != ours)
        if (!resampler_open(&j->incoming, rate, ours)) return;
    count = resample(&j->incoming, pcm, count, w->pcm2);
    if (j->rate) {
        heard_append(j, w->pcm2, count, now);
        return;
    }
    if (!j->gather && !(j->gather = malloc((LONGEST_FRAME * 2) * sizeof *j->gather))) return;
    if (j->relaying) j->anchored = j->relaying = false, j->gather_end = 0;
    int64_t hole = at - j->gather_end;
    if (hole > 10 * MILLISECOND || hole < -10 * MILLISECOND) {
        j->gathered = 0, j->gather_at = at;
        if (hole > SECOND || hole < 0) j->anchored = false;
    }
    size_t frame = (size_t)(ours / 1000 * j->ptime);
    if (j->codec == OPUS && j->ptime % 20 && j->ptime != 10) frame = (size_t)(ours / 50); /* RFC 6716 §2.1.4 */
    if (j->gathered + count > 2 * LONGEST_FRAME) j->gathered = 0;
    memcpy(j->gather + j->gathered, w->pcm2, count * sizeof *pcm);
    j->gathered += count;
    j->gather_end = at + ticks_ns((int64_t)count, ours);
    size_t used = 0;
    for (; j->gathered - used >= frame; used += frame, j->gather_at += ticks_ns((int64_t)frame, ours)) {
        uint8_t *out = w->scratch + HEADROOM + RTP_HEADER;
        size_t size = encode(&j->encoder, j->gather + used, frame, out, DATAGRAM - RTP_HEADER - SRTP_ROOM);
        if (!size || !may_send(j)) continue;
        if (!j->anchored) j->line_timestamp = next_timestamp(j, now), j->line_at = j->gather_at, j->anchored = true;
        uint32_t timestamp = j->line_timestamp + (uint32_t)((j->gather_at - j->line_at) / 1000 * j->clock / 1000000);
        if (j->sent_any && timestamp_after(timestamp, j->last_timestamp) <= 0) timestamp = j->last_timestamp + 1;
        send_own(j, out, size, j->payload_type, j->mark_next, timestamp, (int)((int64_t)frame * j->clock / ours), now);
        j->mark_next = false;
    }
    memmove(j->gather, j->gather + used, (j->gathered - used) * sizeof *pcm);
    j->gathered -= used;
}

/* One frame from the jack or mix that this jack hears: relayed, translated between the two laws, or transcoded. */
void jack_frame(struct jack *j, struct frame *f) {
    if (j->dtmf_out.active || (!j->rate && !j->agreed)) return;
    if (f->packet && !j->rate && f->codec != NO_CODEC) {
        struct jack *from = (struct jack *)j->now.from;
        bool laws = f->codec <= PCMA && j->codec <= PCMA;
        if (f->codec == j->codec || laws) {
            if (!may_send(j)) return;
            uint8_t *payload = f->payload;
            if (f->codec != j->codec) {
                const uint8_t *table = j->codec == PCMA ? g711_ulaw_to_alaw : g711_alaw_to_ulaw;
                payload = j->worker->scratch + HEADROOM + RTP_HEADER;
                for (size_t i = 0; i < f->packet->size; i++) payload[i] = table[f->payload[i]];
            }
            relay(j, from, f->packet, payload, j->payload_type, false, f->now);
            return;
        }
    }
    if (!f->pcm) {
        if (f->decoder->codec != f->codec) {
            decoder_close(f->decoder);
            if (!decoder_open(f->decoder, f->codec)) return;
        }
        f->count = decode(f->decoder, f->payload, f->packet->size, j->worker->pcm);
        f->pcm = j->worker->pcm, f->rate = codec_rate(f->codec);
    }
    if (!f->at) f->at = spoken_at(f->spoken_by, f->packet->timestamp, codec_clock(f->codec), f->now);
    take_pcm(j, f->pcm, f->count, f->rate, f->at, f->now);
}

/* --- what is pulled, by the jack's own timer ------------------------------------------------------------------- */

static bool pulled(const struct cord *c) {
    return c->from && (c->from->kind == SOURCE_SAY || c->from->kind == SOURCE_CLIP);
}

bool cord_ready(const struct cord *c) {
    return pulled(c) && (c->from->kind == SOURCE_CLIP || ((struct say *)c->from)->queued > 0);
}

/* The break: from now on the jack hears what was next. */
void jack_cut(struct jack *j, int64_t now) {
    struct source *from = j->next.from;
    if (!from) return;
    cord_plug(&j->now, from);
    cord_unplug(&j->next);
    j->anchored = j->relaying = false, j->mark_next = true;
    j->gathered = 0, j->gather_end = 0;
    j->clip_at = 0, j->clip_over = false;
    jack_schedule(j, now);
}

/* When the timer must fire next: for a frame, a digit, a PCM party's speech, or the end of a late break. */
void jack_schedule(struct jack *j, int64_t now) {
    bool frames = pulled(&j->now) || pulled(&j->next) || j->dtmf_out.active || j->digits[0] || (j->rate && j->spoken_count);
    int64_t due = INT64_MAX;
    if (frames) {
        int64_t period = j->ptime * MILLISECOND;
        if (j->due <= now - period || j->due > now + period) { /* it was not running: join on to the last packet */
            int64_t follows = j->last_sent + period;
            j->due = follows > now && follows <= now + period ? follows : now;
        }
        due = j->due;
    }
    if (j->next.from && j->next_since + LATE_BREAK_MS * MILLISECOND < due) due = j->next_since + LATE_BREAK_MS * MILLISECOND;
    if (due == INT64_MAX) timer_clear(j->worker, &j->timer);
    else timer_set(j->worker, &j->timer, due / MILLISECOND);
}

static void pull_pcm(struct jack *j, int16_t *pcm, size_t count, int64_t now) { /* for a PCM jack */
    struct worker *w = j->worker;
    if (j->now.from->kind == SOURCE_CLIP) {
        size_t got = clip_pcm((struct clip *)j->now.from, j->rate, count, &j->clip_at, pcm, &j->clip_over);
        if (got) heard_append(j, pcm, count, now);
        return;
    }
    struct say *s = (struct say *)j->now.from;
    size_t wanted = count * (size_t)s->rate / (size_t)j->rate;
    if (!say_pull(s, w->pcm2, wanted)) return;
    if (j->incoming.from != s->rate || j->incoming.to != j->rate)
        if (!resampler_open(&j->incoming, s->rate, j->rate)) return;
    heard_append(j, pcm, resample(&j->incoming, w->pcm2, wanted, pcm), now);
}

static size_t pull_encoded(struct jack *j, uint8_t *out, size_t samples) {
    struct worker *w = j->worker;
    size_t room = DATAGRAM - RTP_HEADER - SRTP_ROOM;
    if (j->now.from->kind == SOURCE_CLIP)
        return clip_encoded((struct clip *)j->now.from, j->codec, samples, &j->clip_at, out, room, &j->clip_over);
    struct say *s = (struct say *)j->now.from;
    int rate = codec_rate(j->codec);
    size_t wanted = samples * (size_t)s->rate / (size_t)rate;
    if (!say_pull(s, w->pcm, wanted)) return 0;
    if (s->rate == rate) return encode(&j->encoder, w->pcm, samples, out, room);
    if (j->incoming.from != s->rate || j->incoming.to != rate)
        if (!resampler_open(&j->incoming, s->rate, rate)) return 0;
    memset(w->pcm2, 0, samples * sizeof *w->pcm2);
    resample(&j->incoming, w->pcm, wanted, w->pcm2);
    return encode(&j->encoder, w->pcm2, samples, out, room);
}

static void pull(struct jack *j, int64_t now) {
    struct worker *w = j->worker;
    if (j->clip_over) return;
    if (j->rate) {
        pull_pcm(j, w->pcm, (size_t)j->rate / 1000 * FRAME_MS, now);
    } else if (j->agreed && j->may_send) {
        uint8_t *out = w->scratch + HEADROOM + RTP_HEADER;
        int ms = j->codec == OPUS && j->ptime % 20 && j->ptime != 10 ? FRAME_MS : j->ptime;
        size_t samples = (size_t)(codec_rate(j->codec) / 1000 * ms), size = pull_encoded(j, out, samples);
        if (size && may_send(j)) {
            uint32_t follows = j->last_timestamp + (uint32_t)j->frame, timestamp = next_timestamp(j, now);
            bool marker = j->mark_next || timestamp != follows;
            j->mark_next = false;
            send_own(j, out, size, j->payload_type, marker, timestamp, j->clock / 1000 * ms, now);
        }
    }
    if (j->clip_over) {
        struct event e = {.kind = EVENT_ENDED, .jack = j->id, .subject = clip_id((struct clip *)j->now.from)};
        board_tell(w->board, &e);
    }
}

/* RFC 4733: a digit is a run of packets with one timestamp; the party's ears pause for it. */
static void send_digit(struct jack *j, int64_t now) {
    uint8_t *payload = j->worker->scratch + HEADROOM + RTP_HEADER;
    bool first;
    if (!j->dtmf_out.active) {
        if (now < j->digits_wait) return;
        char digit = j->digits[0];
        memmove(j->digits, j->digits + 1, strlen(j->digits));
        if (digit == 'w' || digit == 'W') {
            j->digits_wait = now + (digit == 'w' ? SECOND / 2 : SECOND);
            return;
        }
        int64_t total = (int64_t)j->digit_ms * j->clock / 1000;
        dtmf_start(&j->dtmf_out, dtmf_event(digit), (uint16_t)(total > 65535 ? 65535 : total),
                   (uint16_t)(j->clock / 1000 * j->ptime));
        j->dtmf_timestamp = next_timestamp(j, now);
        j->dtmf_out_count++;
    }
    if (!dtmf_next(&j->dtmf_out, payload, &first)) return;
    j->sequence++, j->sent_any = true;
    if (may_send(j)) send_packet(j, payload, EVENT_PAYLOAD, j->dtmf_type, first, j->sequence, j->dtmf_timestamp, now);
    if (j->dtmf_out.active) return;
    j->last_timestamp = j->dtmf_timestamp, j->frame = j->dtmf_out.total;
    j->digits_wait = now + j->gap_ms * MILLISECOND;
    j->anchored = false, j->mark_next = true;
}

static void speak_pcm(struct jack *j, int64_t now) { /* 20 ms of what a PCM party says */
    size_t frame = (size_t)j->rate / 1000 * FRAME_MS, ring = (size_t)j->rate;
    if (j->spoken_count < frame && !j->spoke) { /* the rest of a frame waits one turn for more */
        j->spoke = true;
        return;
    }
    j->spoke = false;
    int16_t pcm[HIGHEST_RATE / 1000 * FRAME_MS] = {0};
    size_t have = j->spoken_count < frame ? j->spoken_count : frame;
    for (size_t i = 0; i < have; i++) pcm[i] = j->spoken[(j->spoken_start + i) % ring];
    j->spoken_start = (j->spoken_start + have) % ring, j->spoken_count -= have;
    int64_t at = j->anchor_at && now - j->anchor_at < 2 * FRAME_MS * MILLISECOND ? j->anchor_at + FRAME_MS * MILLISECOND : now;
    j->anchor_at = at;
    struct frame f = {.pcm = pcm, .count = frame, .rate = j->rate, .at = at, .now = now};
    frame_push(&j->source, &f);
    if (j->ears) ears_hear(j->ears, j->worker, pcm, frame, j->rate, at, now);
}

void jack_tick(struct timer *t, int64_t now) {
    struct jack *j = (struct jack *)((char *)t - offsetof(struct jack, timer));
    int64_t period = j->ptime * MILLISECOND;
    if (j->next.from && (now - j->next_since >= LATE_BREAK_MS * MILLISECOND || cord_ready(&j->next)))
        jack_cut(j, now);
    if (now >= j->due - MILLISECOND) {
        if (j->rate && j->spoken_count) speak_pcm(j, now);
        if (j->dtmf_out.active || j->digits[0]) send_digit(j, now);
        if (pulled(&j->now) && !j->dtmf_out.active) pull(j, now);
        j->due += period;
        if (j->due < now - 3 * period) j->due = now; /* too late to catch up */
        /* After a switch the next packet may belong up to a frame ahead of the clock; give that back a little at a time. */
        if (j->sent_any && timestamp_after(j->last_timestamp, clock_stamp(j, now)) > j->clock / 500) j->due += MILLISECOND;
    }
    jack_schedule(j, now);
}
