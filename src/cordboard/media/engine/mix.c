/* Who takes what a party said as PCM: ears in general, taps for speech recognition, and mixes for three parties. */
#include <math.h>
#include <stdlib.h>

#include "board.h"

/* --- ears ---------------------------------------------------------------------------------------------------------- */

void ear_open(struct ear *e, int rate, void (*hear)(struct ear *, const int16_t *, size_t, int64_t, int64_t)) {
    *e = (struct ear){.rate = rate, .hear = hear};
}

void ear_attach(struct jack *j, struct ear **list, struct ear *e) {
    e->jack = j;
    e->next = *list, *list = e;
}

void ear_detach(struct ear **list, struct ear *e) {
    while (*list && *list != e) list = &(*list)->next;
    if (*list) *list = e->next;
    e->jack = NULL;
}

void ears_hear(struct ear *ears, struct worker *w, const int16_t *pcm, size_t count, int rate, int64_t at, int64_t now) {
    for (struct ear *e = ears; e; e = e->next) {
        if (e->input_rate != rate) {
            if (!resampler_open(&e->resampler, rate, e->rate)) continue;
            e->input_rate = rate;
        }
        if (rate == e->rate) e->hear(e, pcm, count, at, now);
        else e->hear(e, w->ear, resample(&e->resampler, pcm, count, w->ear), at, now);
    }
}

/* --- taps ---------------------------------------------------------------------------------------------------------- */

static void tap_append(struct tap *t, const int16_t *pcm, size_t count) { /* NULL: silence */
    for (; pcm && !t->count && count >= TAP_SAMPLES; pcm += TAP_SAMPLES, count -= TAP_SAMPLES) /* the usual case: no copy */
        board_frame(t->worker->board, t->id, pcm);
    while (count) {
        size_t part = TAP_SAMPLES - t->count < count ? TAP_SAMPLES - t->count : count;
        if (pcm) memcpy(t->pcm + t->count, pcm, part * sizeof *pcm), pcm += part;
        else memset(t->pcm + t->count, 0, part * sizeof *pcm);
        t->count += part, count -= part;
        if (t->count < TAP_SAMPLES) return;
        board_frame(t->worker->board, t->id, t->pcm);
        t->count = 0;
    }
}

static void tap_silence(struct tap *t, int64_t length) {
    if (length > 2 * SECOND) length = 2 * SECOND;
    tap_append(t, NULL, (size_t)(length * TAP_RATE / SECOND));
}

static void tap_hear(struct ear *e, const int16_t *pcm, size_t count, int64_t at, int64_t now) {
    enum { PAUSE_MS = 120 };
    struct tap *t = (struct tap *)e;
    if (!count) { /* a party that sends nothing is silent: recognition hears its pauses in real time */
        if (!t->end || now - t->end < PAUSE_MS * MILLISECOND) return;
        int64_t length = (now - t->end) / (FRAME_MS * MILLISECOND) * (FRAME_MS * MILLISECOND) - 2 * FRAME_MS * MILLISECOND;
        tap_silence(t, length);
        t->end += length;
        return;
    }
    if (t->end && at - t->end > 2 * MILLISECOND) tap_silence(t, at - t->end);
    tap_append(t, pcm, count);
    t->end = at + (int64_t)count * SECOND / TAP_RATE;
}

struct tap *tap_open(struct jack *j, int *failure) {
    struct board *b = j->worker->board;
    struct tap *t = calloc(1, sizeof *t);
    *failure = NO_MEMORY;
    if (!t) return NULL;
    ear_open(&t->ear, TAP_RATE, tap_hear);
    t->worker = j->worker;
    t->id = (int)(atomic_fetch_add(&b->next_id, 1) + 1);
    worker_lock(j->worker);
    jack_listen_in_order(j);
    ear_attach(j, &j->ears, &t->ear);
    worker_unlock(j->worker);
    atomic_fetch_add(&b->taps, 1);
    return t;
}

int tap_id(struct tap *t) { return t->id; }

void tap_close(struct tap *t) {
    worker_lock(t->worker);
    if (t->ear.jack) ear_detach(&t->ear.jack->ears, &t->ear);
    worker_unlock(t->worker);
    atomic_fetch_sub(&t->worker->board->taps, 1);
    free(t);
}

/* --- mixes --------------------------------------------------------------------------------------------------------- */

enum { MIX_SAMPLES = PLAYOUT_RATE / 1000 * FRAME_MS };

struct member {
    struct ear ear; /* of a jack */
    struct member *next;
    struct source *source;
    float gain;
    struct resampler resampler; /* of a say */
    size_t clip_at;
    bool clip_over;
    struct playout playout;
    int16_t frame[MIX_SAMPLES + 2];
};

struct mix {
    struct source source;
    struct board *board;
    struct worker *worker;
    struct mix *next;
    struct timer timer;
    struct member *members;
    int64_t at;
};

static void member_hear(struct ear *e, const int16_t *pcm, size_t count, int64_t at, int64_t now) {
    (void)at;
    if (count) playout_put(&((struct member *)e)->playout, pcm, count, now / 1000);
}

static void member_pull(struct member *m) {
    if (m->source->kind == SOURCE_JACK) {
        playout_get(&m->playout, m->frame, MIX_SAMPLES);
    } else if (m->source->kind == SOURCE_CLIP) {
        if (m->clip_over) memset(m->frame, 0, sizeof m->frame);
        else clip_pcm((struct clip *)m->source, PLAYOUT_RATE, MIX_SAMPLES, &m->clip_at, m->frame, &m->clip_over);
    } else {
        struct say *s = (struct say *)m->source;
        int16_t pcm[HIGHEST_RATE / 1000 * FRAME_MS];
        size_t wanted = (size_t)s->rate / 1000 * FRAME_MS;
        memset(m->frame, 0, sizeof m->frame);
        if (!say_pull(s, pcm, wanted)) return;
        if (m->resampler.from != s->rate && !resampler_open(&m->resampler, s->rate, PLAYOUT_RATE)) return;
        resample(&m->resampler, pcm, wanted, m->frame);
    }
}

static int16_t clamp(float v) { return (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : lrintf(v)); }

static void mix_tick(struct timer *t, int64_t now) {
    struct mix *m = (struct mix *)((char *)t - offsetof(struct mix, timer));
    float sum[MIX_SAMPLES] = {0};
    int16_t out[MIX_SAMPLES];
    for (struct member *a = m->members; a; a = a->next) {
        member_pull(a);
        for (int i = 0; i < MIX_SAMPLES; i++) sum[i] += a->gain * a->frame[i];
    }
    m->at = m->at && now - m->at < 3 * FRAME_MS * MILLISECOND ? m->at + FRAME_MS * MILLISECOND : now;
    for (struct cord *c = m->source.listeners, *next; c; c = next) {
        const struct member *own = m->members;
        next = c->next;
        while (own && own->source != &c->to->source) own = own->next; /* nobody hears itself */
        for (int i = 0; i < MIX_SAMPLES; i++) out[i] = clamp(own ? sum[i] - own->gain * own->frame[i] : sum[i]);
        struct frame f = {.pcm = out, .count = MIX_SAMPLES, .rate = PLAYOUT_RATE, .at = m->at, .now = now};
        cord_deliver(c, &f);
    }
    timer_set(m->worker, t, t->due_ms + FRAME_MS);
}

static void mix_bind(struct mix *m, struct worker *w) { /* the first who is plugged to it decides its thread */
    if (m->worker) return;
    m->worker = w;
    worker_lock(w);
    m->next = w->mixes, w->mixes = m;
    timer_set(w, &m->timer, now_ns() / MILLISECOND + FRAME_MS);
    worker_unlock(w);
}

struct mix *mix_open(struct board *b, int *failure) {
    struct mix *m = calloc(1, sizeof *m);
    *failure = NO_MEMORY;
    if (!m) return NULL;
    m->source.kind = SOURCE_MIX;
    m->board = b, m->timer.fire = mix_tick;
    atomic_fetch_add(&b->mixes, 1);
    return m;
}

static int mix_add(struct mix *m, struct worker *w, struct source *source, double gain, struct jack *jack) {
    mix_bind(m, w);
    if (m->worker != w) return OTHER_THREAD;
    struct member *made = calloc(1, sizeof *made);
    if (!made) return NO_MEMORY;
    worker_lock(w);
    struct member *a = m->members;
    while (a && a->source != source) a = a->next;
    if (a) {
        a->gain = (float)gain;
        free(made);
    } else {
        made->source = source, made->gain = (float)gain;
        playout_reset(&made->playout);
        ear_open(&made->ear, PLAYOUT_RATE, member_hear);
        if (jack) jack_listen_in_order(jack), ear_attach(jack, &jack->ears, &made->ear);
        if (source->kind == SOURCE_CLIP) clip_share((struct clip *)source);
        made->next = m->members, m->members = made;
    }
    worker_unlock(w);
    return 0;
}

int mix_add_jack(struct mix *m, struct jack *j, double gain) { return mix_add(m, j->worker, &j->source, gain, j); }
int mix_add_say(struct mix *m, struct jack *owner, double gain) {
    return mix_add(m, owner->worker, &owner->say.source, gain, NULL);
}
int mix_add_clip(struct mix *m, struct clip *c, double gain) {
    if (!clip_prepare(c, NO_CODEC, PLAYOUT_RATE)) return NO_MEMORY;
    return mix_add(m, m->worker ? m->worker : &m->board->workers[0], clip_source(c), gain, NULL);
}

static void forget(struct mix *m, struct source *source) { /* NULL: all; under the lock */
    for (struct member **at = &m->members, *a; (a = *at);) {
        if (source && a->source != source) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        if (a->ear.jack) ear_detach(&a->ear.jack->ears, &a->ear);
        if (a->source->kind == SOURCE_CLIP) clip_close((struct clip *)a->source);
        free(a);
    }
}

void mixes_forget(struct worker *w, struct source *source) {
    for (struct mix *m = w->mixes; m; m = m->next) forget(m, source);
}

static void mix_remove(struct mix *m, struct source *source) {
    if (!m->worker) return;
    worker_lock(m->worker);
    forget(m, source);
    worker_unlock(m->worker);
}

void mix_remove_jack(struct mix *m, struct jack *j) { mix_remove(m, &j->source); }
void mix_remove_say(struct mix *m, struct jack *owner) { mix_remove(m, &owner->say.source); }
void mix_remove_clip(struct mix *m, struct clip *c) { mix_remove(m, clip_source(c)); }

int jack_hears_mix(struct jack *j, struct mix *m, int now) {
    mix_bind(m, j->worker);
    if (m->worker != j->worker) return OTHER_THREAD;
    worker_lock(j->worker);
    jack_plug(j, &m->source, now);
    worker_unlock(j->worker);
    return 0;
}

void mix_close(struct mix *m) {
    struct worker *w = m->worker;
    if (w) {
        worker_lock(w);
        forget(m, NULL);
        while (m->source.listeners) cord_unplug(m->source.listeners);
        timer_clear(w, &m->timer);
        struct mix **at = &w->mixes;
        while (*at && *at != m) at = &(*at)->next;
        if (*at) *at = m->next;
        worker_unlock(w);
    }
    atomic_fetch_sub(&m->board->mixes, 1);
    free(m);
}
