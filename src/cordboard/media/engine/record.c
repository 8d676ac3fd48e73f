/* Recordings: WAV files of two channels at 8 kHz, placed by RTP time.
 *
 * The engine's threads only lay samples down on a short ring, at the place that their time says. One clerk thread per
 * board takes what is older than `LAG_MS` from all rings and writes it, so that no disk is ever waited for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "board.h"

enum { RATE = 8000, RING = 2 * RATE, LAG_MS = 600, ROUND_MS = 200, WAV_HEADER = 44, SLACK = RATE / 200 };

struct channel {
    struct ear ear;
    struct recording *recording;
    struct worker *worker; /* of its jack; NULL: silent */
    struct ear **list;
    int64_t next; /* sample that follows what was heard last */
};

struct recording {
    struct recording *after;
    struct board *board;
    pthread_mutex_t lock;
    struct channel channel[2];
    int16_t ring[RING][2];
    int64_t start, written, stop; /* ns; samples; ns, 0 while it runs */
    bool paused;
    uint32_t id;
    int fd, error; /* fd -1: not open yet */
    char path[];
};

static void channel_hear(struct ear *e, const int16_t *pcm, size_t count, int64_t at, int64_t now) {
    struct channel *c = (struct channel *)e;
    struct recording *r = c->recording;
    (void)now;
    if (!count) return;
    pthread_mutex_lock(&r->lock);
    int64_t place = (at - r->start) * (RATE / 1000) / MILLISECOND;
    if (place - c->next < SLACK && c->next - place < SLACK) place = c->next; /* one stream: no seam from rounding */
    c->next = place + (int64_t)count;
    int side = c == &r->channel[1];
    for (size_t i = 0; i < count && !r->paused; i++, place++)
        if (place >= r->written && place < r->written + RING) r->ring[place % RING][side] = pcm[i];
    pthread_mutex_unlock(&r->lock);
}

static void channel_detach(struct channel *c) {
    if (!c->worker) return;
    worker_lock(c->worker);
    if (c->ear.jack) ear_detach(c->list, &c->ear);
    worker_unlock(c->worker);
    c->worker = NULL;
}

static void channel_attach(struct channel *c, struct jack *j, int heard) {
    ear_open(&c->ear, RATE, channel_hear);
    if (!j) return;
    c->worker = j->worker;
    c->list = heard ? &j->watchers : &j->ears;
    worker_lock(j->worker);
    if (!heard) jack_listen_in_order(j);
    ear_attach(j, c->list, &c->ear);
    worker_unlock(j->worker);
}

struct recording *recording_open(struct board *b, const char *path, struct jack *left, int left_heard, struct jack *right,
                                 int right_heard, int *failure) {
    struct recording *r = calloc(1, sizeof *r + strlen(path) + 1);
    *failure = NO_MEMORY;
    if (!r) return NULL;
    strcpy(r->path, path);
    r->board = b, r->fd = -1, r->start = now_ns();
    r->id = atomic_fetch_add(&b->next_id, 1) + 1;
    pthread_mutex_init(&r->lock, NULL);
    r->channel[0].recording = r->channel[1].recording = r;
    pthread_mutex_lock(&b->recordings_lock);
    r->after = b->recordings, b->recordings = r;
    channel_attach(&r->channel[0], left, left_heard);
    channel_attach(&r->channel[1], right, right_heard);
    pthread_mutex_unlock(&b->recordings_lock);
    atomic_fetch_add(&b->recording_count, 1);
    return r;
}

uint32_t recording_id(struct recording *r) { return r->id; }

void recording_pause(struct recording *r, int paused) {
    pthread_mutex_lock(&r->lock);
    r->paused = paused;
    pthread_mutex_unlock(&r->lock);
}

void recording_close(struct recording *r) { /* the clerk completes the file and frees it */
    struct board *b = r->board;
    pthread_mutex_lock(&b->recordings_lock);
    channel_detach(&r->channel[0]), channel_detach(&r->channel[1]);
    pthread_mutex_lock(&r->lock);
    if (!r->stop) r->stop = now_ns();
    pthread_mutex_unlock(&r->lock);
    pthread_cond_signal(&b->clerk_wake);
    pthread_mutex_unlock(&b->recordings_lock);
}

void recordings_forget(struct board *b, struct jack *j) {
    pthread_mutex_lock(&b->recordings_lock);
    for (struct recording *r = b->recordings; r; r = r->after)
        for (int side = 0; side < 2; side++)
            if (r->channel[side].worker && r->channel[side].ear.jack == j) channel_detach(&r->channel[side]);
    pthread_mutex_unlock(&b->recordings_lock);
}

/* --- the clerk ----------------------------------------------------------------------------------------------------- */

static void little(uint8_t *p, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static void write_all(struct recording *r, const void *data, size_t size, off_t at) {
    while (size && !r->error) {
        ssize_t n = pwrite(r->fd, data, size, at);
        if (n < 0 && errno != EINTR) r->error = errno;
        if (n > 0) data = (const char *)data + n, size -= (size_t)n, at += n;
    }
}

static void write_header(struct recording *r, int64_t frames) { /* again each round: a crash leaves a playable file */
    uint8_t h[WAV_HEADER] = "RIFF....WAVEfmt ";
    little(h + 4, (uint32_t)(36 + 4 * frames), 4);
    little(h + 16, 16, 4), little(h + 20, 1, 2), little(h + 22, 2, 2), little(h + 24, RATE, 4), little(h + 28, RATE * 4, 4);
    little(h + 32, 4, 2), little(h + 34, 16, 2);
    memcpy(h + 36, "data", 4);
    little(h + 40, (uint32_t)(4 * frames), 4);
    write_all(r, h, sizeof h, 0);
}

static bool write_round(struct recording *r, int64_t now) { /* true: the recording is over */
    static int16_t out[RING][2]; /* the clerk's own */
    if (r->fd < 0 && !r->error && (r->fd = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0) r->error = errno;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        int64_t stop = r->stop, from = r->written, until = ((stop ? stop : now - LAG_MS * MILLISECOND) - r->start) * 8 / MILLISECOND;
        int64_t count = until - from > RING ? RING : until - from;
        for (int64_t i = 0; i < count; i++) {
            int16_t *sample = r->ring[(from + i) % RING];
            memcpy(out[i], sample, sizeof out[i]);
            sample[0] = sample[1] = 0;
        }
        if (count > 0) r->written += count;
        pthread_mutex_unlock(&r->lock);
        if (count > 0) write_all(r, out, (size_t)count * 4, WAV_HEADER + from * 4);
        if (count >= RING) continue;
        if (count > 0 || stop) write_header(r, r->written);
        return stop != 0;
    }
}

static void finish(struct recording *r) {
    struct event e = {.kind = EVENT_RECORDED, .subject = r->id, .number = r->written, .seconds = (double)r->written / RATE};
    if (r->fd >= 0 && close(r->fd) && !r->error) r->error = errno;
    if (r->error) snprintf(e.text, sizeof e.text, "%s", strerror(r->error));
    board_tell(r->board, &e);
    atomic_fetch_sub(&r->board->recording_count, 1);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void *clerk_run(void *arg) {
    struct board *b = arg;
    pthread_mutex_lock(&b->recordings_lock);
    for (bool last = false; !last;) {
        last = b->clerk_over;
        for (struct recording **at = &b->recordings, *r; (r = *at);) {
            pthread_mutex_unlock(&b->recordings_lock); /* only the clerk takes recordings off the list */
            bool over = write_round(r, now_ns());
            pthread_mutex_lock(&b->recordings_lock);
            if (!over) {
                at = &r->after;
                continue;
            }
            for (at = &b->recordings; *at != r;) at = &(*at)->after; /* newer ones may have come before it */
            *at = r->after;
            finish(r);
        }
        if (last) break;
        int64_t wake = now_ns() + ROUND_MS * MILLISECOND;
        struct timespec until = {wake / SECOND, wake % SECOND};
        if (!b->clerk_over) pthread_cond_timedwait(&b->clerk_wake, &b->recordings_lock, &until);
    }
    pthread_mutex_unlock(&b->recordings_lock);
    return NULL;
}

bool clerk_start(struct board *b) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->recordings_lock, NULL);
    pthread_cond_init(&b->clerk_wake, &attributes);
    pthread_condattr_destroy(&attributes);
    b->clerk_runs = pthread_create(&b->clerk, NULL, clerk_run, b) == 0;
    return b->clerk_runs;
}

void clerk_stop(struct board *b) { /* completes what still runs */
    if (!b->clerk_runs) return;
    pthread_mutex_lock(&b->recordings_lock);
    for (struct recording *r = b->recordings; r; r = r->after) {
        channel_detach(&r->channel[0]), channel_detach(&r->channel[1]);
        pthread_mutex_lock(&r->lock);
        if (!r->stop) r->stop = now_ns();
        pthread_mutex_unlock(&r->lock);
    }
    b->clerk_over = true;
    pthread_cond_signal(&b->clerk_wake);
    pthread_mutex_unlock(&b->recordings_lock);
    pthread_join(b->clerk, NULL);
    b->clerk_runs = false;
    pthread_mutex_destroy(&b->recordings_lock), pthread_cond_destroy(&b->clerk_wake);
}
