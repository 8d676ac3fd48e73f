/* What a jack's own timer pulls: clips, prepared once for all who hear them, and says, speech ahead of time. */
#include <stdlib.h>

#include "board.h"

/* --- clips --------------------------------------------------------------------------------------------------------- */

/* A clip in one form: PCM at a rate, or encoded. Opus is encoded packet by packet as the furthest listener gets there. */
struct form {
    struct form *next;
    enum codec codec; /* NO_CODEC: PCM */
    int rate;
    int16_t *pcm; /* of PCM and Opus */
    uint8_t *encoded;
    size_t samples, per_byte, packets, made;
    struct encoder encoder;
    struct packet { uint16_t size; uint8_t *payload; } *packet;
};

struct clip {
    struct source source;
    struct board *board;
    pthread_mutex_t lock;
    atomic_int users;
    uint32_t id;
    bool loop;
    int rate;
    size_t samples;
    struct form *forms;
    int16_t pcm[];
};

static struct form *form_find(struct clip *c, enum codec codec, int rate) {
    struct form *f = c->forms;
    while (f && (f->codec != codec || (codec == NO_CODEC && f->rate != rate))) f = f->next;
    return f;
}

static void form_free(struct form *f) {
    for (size_t i = 0; i < f->made; i++) free(f->packet[i].payload);
    encoder_close(&f->encoder);
    free(f->packet), free(f->encoded), free(f->pcm), free(f);
}

static struct form *form_make(struct clip *c, enum codec codec, int rate) {
    struct form *f = calloc(1, sizeof *f);
    struct resampler r;
    if (!f) return NULL;
    *f = (struct form){.codec = codec, .rate = rate};
    if (!resampler_open(&r, c->rate, rate) || !(f->pcm = calloc(resample_room(&r, c->samples) + 1, sizeof *f->pcm))) {
        form_free(f);
        return NULL;
    }
    f->samples = resample(&r, c->pcm, c->samples, f->pcm);
    if (codec == NO_CODEC) return f;
    bool ok = encoder_open(&f->encoder, codec);
    if (ok && codec == OPUS) {
        f->packets = (f->samples + 959) / 960;
        ok = (f->packet = calloc(f->packets, sizeof *f->packet)) != NULL;
    } else if (ok) {
        f->per_byte = codec == G722 ? 2 : 1;
        f->samples -= f->samples % f->per_byte;
        ok = (f->encoded = malloc(f->samples)) != NULL;
        if (ok) encode(&f->encoder, f->pcm, f->samples, f->encoded, f->samples);
        free(f->pcm), f->pcm = NULL;
    }
    if (ok && f->samples) return f;
    form_free(f);
    return NULL;
}

struct clip *clip_open(struct board *b, const int16_t *pcm, size_t samples, int rate, int loop, int *failure) {
    struct resampler r;
    *failure = BAD_ARGUMENT;
    if (!samples || !resampler_open(&r, rate, 8000)) return NULL;
    struct clip *c = malloc(sizeof *c + samples * sizeof *pcm);
    *failure = NO_MEMORY;
    if (!c) return NULL;
    *c = (struct clip){.source.kind = SOURCE_CLIP, .board = b, .loop = loop, .rate = rate, .samples = samples, .users = 1};
    pthread_mutex_init(&c->lock, NULL);
    memcpy(c->pcm, pcm, samples * sizeof *pcm);
    c->id = atomic_fetch_add(&b->next_id, 1) + 1;
    atomic_fetch_add(&b->clips, 1);
    return c;
}

uint32_t clip_id(struct clip *c) { return c->id; }
struct source *clip_source(struct clip *c) { return &c->source; }

struct clip *clip_share(struct clip *c) {
    atomic_fetch_add(&c->users, 1);
    return c;
}

void clip_close(struct clip *c) {
    if (atomic_fetch_sub(&c->users, 1) != 1) return;
    for (struct form *f; (f = c->forms);) c->forms = f->next, form_free(f);
    atomic_fetch_sub(&c->board->clips, 1);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool clip_prepare(struct clip *c, enum codec codec, int rate) {
    pthread_mutex_lock(&c->lock);
    struct form *f = form_find(c, codec, rate);
    if (!f && (f = form_make(c, codec, rate))) f->next = c->forms, c->forms = f;
    pthread_mutex_unlock(&c->lock);
    return f != NULL;
}

/* Where the next `want` samples lie; moves `*at`. Fewer than wanted: the rest is at the beginning, or silence. */
static size_t advance(struct clip *c, size_t total, size_t *at, size_t want, bool *over) {
    if (*at >= total) *at = c->loop ? *at % total : total;
    size_t have = total - *at < want ? total - *at : want;
    *at += have;
    *over = !c->loop && *at >= total;
    return have;
}

static size_t copy_encoded(struct clip *c, struct form *f, size_t samples, size_t *at, uint8_t *out, bool *over) {
    static const uint8_t silence[] = {[PCMU] = 0xFF, [PCMA] = 0xD5, [G722] = 0xFA};
    size_t made = 0;
    while (made < samples && !*over) {
        size_t start = *at % f->samples, have = advance(c, f->samples, at, samples - made, over);
        memcpy(out + made / f->per_byte, f->encoded + start / f->per_byte, have / f->per_byte);
        made += have;
    }
    memset(out + made / f->per_byte, silence[f->codec], (samples - made) / f->per_byte);
    return samples / f->per_byte;
}

static size_t copy_opus(struct clip *c, struct form *f, size_t *at, uint8_t *out, size_t room, bool *over) {
    enum { FRAME = 960 };
    size_t number = *at / FRAME;
    if (number >= f->packets) number = *at = 0;
    while (f->made <= number) {
        int16_t pcm[FRAME] = {0};
        uint8_t buffer[1276];
        size_t start = f->made * FRAME, have = f->samples - start < FRAME ? f->samples - start : FRAME;
        memcpy(pcm, f->pcm + start, have * sizeof *pcm);
        if (c->loop && have < FRAME) /* the seam */
            for (size_t i = have; i < FRAME; i++) pcm[i] = f->pcm[(i - have) % f->samples];
        struct packet *p = &f->packet[f->made];
        p->size = (uint16_t)encode(&f->encoder, pcm, FRAME, buffer, sizeof buffer);
        if (!p->size || !(p->payload = malloc(p->size))) return 0;
        memcpy(p->payload, buffer, p->size);
        f->made++;
    }
    struct packet *p = &f->packet[number];
    *at += FRAME;
    *over = !c->loop && number + 1 == f->packets;
    if (p->size > room) return 0;
    memcpy(out, p->payload, p->size);
    return p->size;
}

size_t clip_encoded(struct clip *c, enum codec codec, size_t samples, size_t *at, uint8_t *out, size_t room, bool *over) {
    size_t size = 0;
    pthread_mutex_lock(&c->lock);
    struct form *f = form_find(c, codec, 0);
    if (f && codec == OPUS) size = copy_opus(c, f, at, out, room, over);
    else if (f && samples / f->per_byte <= room) size = copy_encoded(c, f, samples, at, out, over);
    pthread_mutex_unlock(&c->lock);
    return size;
}

size_t clip_pcm(struct clip *c, int rate, size_t samples, size_t *at, int16_t *out, bool *over) {
    size_t made = 0;
    pthread_mutex_lock(&c->lock);
    struct form *f = form_find(c, NO_CODEC, rate);
    while (f && made < samples && !*over) {
        size_t start = *at % f->samples, have = advance(c, f->samples, at, samples - made, over);
        memcpy(out + made, f->pcm + start, have * sizeof *out);
        made += have;
    }
    memset(out + made, 0, (samples - made) * sizeof *out);
    pthread_mutex_unlock(&c->lock);
    return made;
}

/* --- speech ahead of time ------------------------------------------------------------------------------------------ */

static void append(struct say *s, struct chunk *c) {
    c->next = NULL;
    *s->last = c, s->last = &c->next;
    s->queued += c->count;
}

static void drop_first(struct say *s) {
    struct chunk *c = s->first;
    if (!(s->first = c->next)) s->last = &s->first;
    free(c);
}

static void tell_marks(struct say *s) { /* those that nothing precedes */
    while (s->first && !s->first->count) {
        struct event e = {.kind = EVENT_MARK, .jack = s->owner->id, .number = s->first->mark};
        board_tell(s->owner->worker->board, &e);
        drop_first(s);
    }
}

double say_write(struct jack *j, const int16_t *pcm, size_t samples, int rate) {
    struct say *s = &j->say;
    struct worker *w = j->worker;
    worker_lock(w);
    int target = s->rate;
    bool fresh = s->written_rate != rate || s->resampler.to != target || !s->opened;
    worker_unlock(w);
    /* The resampler belongs to the writer; only the finished chunk is shared with the engine. */
    if (fresh && !resampler_open(&s->resampler, rate, target)) return BAD_ARGUMENT;
    s->written_rate = rate, s->opened = true;
    double limit = w->board->settings.say_limit;
    if ((double)samples / rate > limit) return FULL;
    struct chunk *c = malloc(sizeof *c + resample_room(&s->resampler, samples) * sizeof *pcm + 64);
    if (!c) return NO_MEMORY;
    *c = (struct chunk){.count = resample(&s->resampler, pcm, samples, c->pcm)};
    worker_lock(w);
    double queued = (double)(s->queued + c->count) / s->rate;
    bool full = queued > limit;
    if (full || !c->count) {
        free(c);
    } else {
        append(s, c);
        if (s->rate != target) say_convert(s, -target); /* the codec changed meanwhile */
        for (struct cord *l = s->source.listeners; l; l = l->next) jack_schedule(l->to, now_ns());
    }
    worker_unlock(w);
    return full ? FULL : queued * 1000;
}

int say_mark(struct jack *j, int64_t id) {
    struct chunk *c = calloc(1, sizeof *c);
    if (!c) return NO_MEMORY;
    c->mark = id;
    worker_lock(j->worker);
    append(&j->say, c);
    if (!j->say.queued) tell_marks(&j->say);
    worker_unlock(j->worker);
    return 0;
}

void say_clear(struct say *s) {
    while (s->first) drop_first(s);
    s->queued = 0, s->opened = false;
}

double say_flush(struct jack *j) {
    worker_lock(j->worker);
    double forgotten = (double)j->say.queued * 1000 / j->say.rate;
    say_clear(&j->say);
    worker_unlock(j->worker);
    return forgotten;
}

double say_queued(struct jack *j) {
    worker_lock(j->worker);
    double queued = (double)j->say.queued * 1000 / j->say.rate;
    worker_unlock(j->worker);
    return queued;
}

size_t say_pull(struct say *s, int16_t *out, size_t count) {
    size_t made = 0;
    if (!s->queued) return 0;
    if (s->queued < count && !s->playing && !s->waited) { /* the first words come in small pieces: one frame's patience */
        s->waited = true;
        return 0;
    }
    s->waited = false, s->playing = true;
    while (made < count && s->queued) {
        tell_marks(s);
        struct chunk *c = s->first;
        size_t left = c->count - c->used, have = left < count - made ? left : count - made;
        memcpy(out + made, c->pcm + c->used, have * sizeof *out);
        made += have, c->used += have, s->queued -= have;
        if (c->used == c->count) drop_first(s);
    }
    if (!s->queued) s->playing = false;
    tell_marks(s);
    memset(out + made, 0, (count - made) * sizeof *out);
    return made;
}

/* What is queued, at another rate. A negative rate: only the last chunk, which was made at that rate. */
void say_convert(struct say *s, int rate) {
    int from = rate < 0 ? -rate : s->rate, to = rate < 0 ? s->rate : rate;
    struct resampler r;
    if (from == to || !resampler_open(&r, from, to)) return;
    s->rate = to;
    for (struct chunk **at = &s->first; *at; at = &(*at)->next) {
        struct chunk *c = *at, *made;
        if (!c->count || (rate < 0 && c->next)) continue;
        if (!(made = malloc(sizeof *made + resample_room(&r, c->count) * sizeof *made->pcm + 64))) continue;
        *made = (struct chunk){.next = c->next};
        made->count = resample(&r, c->pcm + c->used, c->count - c->used, made->pcm);
        s->queued = s->queued - (c->count - c->used) + made->count;
        if (s->last == &c->next) s->last = &made->next;
        *at = made;
        free(c);
    }
}
