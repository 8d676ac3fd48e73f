/* The engine's heart, to be read top to bottom: the timers, the loop of a thread, then what is asked of a jack. What
 * happens to a packet is in jack.c (in) and send.c (out); the board around it is in board.c. */
#include "board.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- timers -------------------------------------------------------------------------------------------------------- */

void timer_clear(struct worker *w, struct timer *t) {
    (void)w;
    if (!t->link) return;
    if ((*t->link = t->next)) t->next->link = t->link;
    t->link = NULL;
}

static void timer_arm(struct worker *w) { /* wake at the next slot that holds something */
    int64_t next = w->wheel_ms + 1;
    if (!w->busy) return;
    unsigned turn = (unsigned)(next % WHEEL);
    uint64_t ahead = turn ? w->busy >> turn | w->busy << (WHEEL - turn) : w->busy;
    next += __builtin_ctzll(ahead);
    if (next == w->armed_ms) return;
    w->armed_ms = next;
    struct itimerspec at = {.it_value = {next / 1000, next % 1000 * 1000000}};
    if (!at.it_value.tv_sec && !at.it_value.tv_nsec) at.it_value.tv_nsec = 1;
    timerfd_settime(w->timerfd, TFD_TIMER_ABSTIME, &at, NULL);
}

void timer_set(struct worker *w, struct timer *t, int64_t due_ms) {
    timer_clear(w, t);
    if (due_ms <= w->wheel_ms) due_ms = w->wheel_ms + 1;
    t->due_ms = due_ms;
    unsigned slot = (unsigned)(due_ms % WHEEL);
    struct timer **head = &w->wheel[slot];
    if ((t->next = *head)) t->next->link = &t->next;
    t->link = head, *head = t;
    w->busy |= 1ull << slot;
    if (due_ms < w->armed_ms) timer_arm(w);
}

/* Bring into the cache the jack after the next, and what the next one has to say. */
static void timer_expect(const struct timer *next) {
    for (int line = -11; next->next && line < 5; line++) __builtin_prefetch((const char *)next->next + 64 * line, 1);
    if (next->fire != jack_tick) return;
    const struct chunk *said = ((const struct jack *)((const char *)next - offsetof(struct jack, timer)))->say.first;
    for (int line = 0; said && line < 6; line++) __builtin_prefetch((const char *)(said->pcm + said->used) + 64 * line);
}

static void timers_run(struct worker *w, int64_t now) {
    int64_t now_ms = now / MILLISECOND;
    if (now_ms - w->wheel_ms > WHEEL) { /* the process was stopped: every slot once, and no more */
        w->skipped_ticks += (uint64_t)(now_ms - w->wheel_ms) / FRAME_MS;
        w->wheel_ms = now_ms - WHEEL;
    }
    w->armed_ms = INT64_MIN; /* nobody needs to arm it meanwhile */
    while (w->wheel_ms < now_ms) {
        unsigned slot = (unsigned)(++w->wheel_ms % WHEEL);
        if (!(w->busy >> slot & 1)) continue;
        struct timer *due = w->wheel[slot], *later = NULL;
        w->wheel[slot] = NULL, w->busy &= ~(1ull << slot);
        if (due) due->link = &due;
        for (struct timer *t; (t = due);) {
            if (t->next) timer_expect(t->next);
            timer_clear(w, t);
            if (t->due_ms > w->wheel_ms) { /* a later turn of the wheel */
                t->next = later, later = t;
            } else {
                w->late_ticks += now_ms - t->due_ms > 5;
                t->fire(t, now);
            }
        }
        while (later) {
            struct timer *t = later;
            later = t->next;
            timer_set(w, t, t->due_ms);
        }
    }
    w->armed_ms = INT64_MAX;
    timer_arm(w);
}

static void housekeeping(struct timer *t, int64_t now) {
    struct worker *w = (struct worker *)((char *)t - offsetof(struct worker, housekeeping));
    for (size_t i = w->turn % HOUSEKEEPING_TURNS; i < w->jack_count; i += HOUSEKEEPING_TURNS)
        jack_housekeeping(w->jacks[i], now);
    w->turn++, w->ticks++;
    board_announce(w->board);
    timer_set(w, t, t->due_ms + HOUSEKEEPING_MS);
}

/* --- a thread ------------------------------------------------------------------------------------------------------ */

void worker_bury(struct worker *w) { /* jacks closed since: no event can name them any more */
    for (struct jack *j; (j = w->closed);) {
        w->closed = j->after_closed;
        free(j);
    }
}

/* Bring what the next packets need into the cache while this one is served. A port lies at its jack's beginning. */
static void expect(const struct worker *w, const char *second, const struct port *first) {
    for (int line = 0; second && line < 6; line++) __builtin_prefetch(second + 64 * line, 1);
    if (!first || (const void *)first == w) return;
    const char *ear = (const char *)first->jack->ears;
    if (ear) {
        __builtin_prefetch(first->jack->reorder, 1);
        for (int line = 0; line < 8; line++) __builtin_prefetch(ear + 64 * line, 1);
    }
    if (first->jack->source.listeners) {
        const char *listener = (const char *)first->jack->source.listeners->to;
        for (int line = 0; line < 7; line++) __builtin_prefetch(listener + 64 * line, 1);
    }
}

static void *worker_run(void *arg) {
    struct worker *w = arg;
    struct epoll_event ready[256];
    while (!atomic_load(&w->board->closing)) {
        int n = epoll_wait(w->epoll, ready, 256, -1);
        worker_lock(w);
        int64_t now = w->now = now_ns();
        bool timers = false;
        for (int i = 0; i < n; i++) {
            if (i + 2 < n) expect(w, ready[i + 2].data.ptr, ready[i + 1].data.ptr);
            if (ready[i].data.ptr == w) {
                timers = true;
            } else if (ready[i].data.ptr) {
                struct port *port = ready[i].data.ptr;
                jack_readable(port->jack, port, now);
            }
        }
        if (timers) timers_run(w, w->now = now_ns());
        worker_bury(w);
        worker_unlock(w);
    }
    return NULL;
}

/* Where it is permitted a real-time priority; else a short slice, which every thread may ask for since Linux 6.12 and
 * which lets a thread that slept run at once beside one that computes. */
bool worker_priority(struct worker *w, int priority) {
    struct sched_param p = {.sched_priority = priority};
    if (priority > 0 && !pthread_setschedparam(w->thread, SCHED_FIFO, &p)) return true;
    return false;
}

static void *worker_start(void *arg) {
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; }
        slice = {.size = sizeof slice, .runtime = 100000};
    if (((struct worker *)arg)->board->settings.rt_priority <= 0) syscall(SYS_sched_setattr, 0, &slice, 0);
    return worker_run(arg);
}

static bool watch(struct worker *w, int fd, void *tag) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = tag};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

bool worker_open(struct worker *w, struct board *b) {
    pthread_mutexattr_t attributes;
    w->board = b;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT); /* a command must not hold up a packet */
    pthread_mutex_init(&w->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll < 0 || w->timerfd < 0 || w->wake < 0 || !watch(w, w->timerfd, w) || !watch(w, w->wake, NULL)) return false;
    w->wheel_ms = now_ns() / MILLISECOND;
    w->armed_ms = INT64_MAX;
    w->housekeeping.fire = housekeeping;
    timer_set(w, &w->housekeeping, w->wheel_ms + HOUSEKEEPING_MS);
    return pthread_create(&w->thread, NULL, worker_start, w) == 0;
}

/* --- jacks --------------------------------------------------------------------------------------------------------- */

static bool roll_add(struct worker *w, struct jack *j) { /* the thread's roll of jacks, under its lock */
    if (w->jack_count == w->jack_room) {
        struct jack **more = realloc(w->jacks, (w->jack_room * 2 + 16) * sizeof *more);
        if (!more) return false;
        w->jacks = more, w->jack_room = w->jack_room * 2 + 16;
    }
    w->jacks[w->jack_count++] = j;
    return true;
}

static void roll_remove(struct worker *w, struct jack *j) {
    for (size_t i = 0; i < w->jack_count; i++)
        if (w->jacks[i] == j) {
            w->jacks[i] = w->jacks[--w->jack_count];
            return;
        }
}

static struct jack *jack_make(struct board *b, struct worker *w, int rate, int *failure) {
    struct jack *j = calloc(1, sizeof *j);
    *failure = NO_MEMORY;
    if (!j) return NULL;
    j->source.kind = SOURCE_JACK;
    j->say.source.kind = SOURCE_SAY;
    j->say.owner = j, j->say.last = &j->say.first, j->say.rate = rate ? rate : 16000;
    j->worker = w, j->rate = rate;
    j->now.to = j->next.to = j;
    j->rtp = (struct port){.jack = j, .fd = -1};
    j->rtcp = (struct port){.jack = j, .fd = -1, .rtcp = true};
    j->timer.fire = jack_tick;
    j->ssrc_out = random32(), j->base_timestamp = random32(), j->sequence = (uint16_t)random32() & 0x7FFF;
    j->dtmf_type = -1, j->ptime = FRAME_MS, j->clock = 8000, j->remote_lost = -1, j->round_trip_ms = -1;
    j->silent_after = (int64_t)(b->settings.silent_after * SECOND);
    *failure = rate ? 0 : sockets_open(b, j);
    if (*failure) {
        free(j);
        return NULL;
    }
    j->id = atomic_fetch_add(&b->next_id, 1) + 1;
    worker_lock(w);
    bool room = roll_add(w, j);
    if (!rate && room) watch(w, j->rtp.fd, &j->rtp), watch(w, j->rtcp.fd, &j->rtcp);
    worker_unlock(w);
    if (!room) {
        *failure = NO_MEMORY;
        if (!rate) close(j->rtp.fd), close(j->rtcp.fd), port_return(b, j->number, 0);
        free(j);
        return NULL;
    }
    atomic_fetch_add(rate ? &b->pcm_jacks : &b->jacks, 1);
    atomic_fetch_add(&b->ports_open, rate ? 0 : 1);
    return j;
}

struct jack *jack_open(struct board *b, struct jack *beside, int *failure) {
    struct worker *w = beside ? beside->worker : &b->workers[b->next_worker++ % b->worker_count];
    return jack_make(b, w, 0, failure);
}

struct jack *jack_open_pcm(struct board *b, int rate, int *failure) {
    struct jack *j = jack_make(b, &b->workers[0], rate, failure);
    if (!j) return NULL;
    j->spoken = calloc((size_t)rate, sizeof *j->spoken);
    j->heard = calloc((size_t)rate, sizeof *j->heard);
    if (j->spoken && j->heard) return j;
    jack_close(j);
    *failure = NO_MEMORY;
    return NULL;
}

void jack_close(struct jack *j) {
    struct worker *w = j->worker;
    struct board *b = w->board;
    recordings_forget(b, j);
    worker_lock(w);
    jack_report(j, now_ns(), true);
    j->closed = true;
    roll_remove(w, j);
    cord_unplug(&j->now), cord_unplug(&j->next);
    while (j->source.listeners) cord_unplug(j->source.listeners);
    while (j->say.source.listeners) cord_unplug(j->say.source.listeners);
    mixes_forget(w, &j->source), mixes_forget(w, &j->say.source);
    timer_clear(w, &j->timer);
    while (j->ears) ear_detach(&j->ears, j->ears);
    while (j->watchers) ear_detach(&j->watchers, j->watchers);
    say_clear(&j->say);
    encoder_close(&j->encoder);
    decoder_close(&j->through), decoder_close(&j->ordered), decoder_close(&j->watched);
    srtp_close(j->protect), srtp_close(j->unprotect);
    free(j->reorder), free(j->gather), free(j->spoken), free(j->heard);
    bool sockets = j->rtp.fd >= 0;
    int port = j->number;
    if (sockets) close(j->rtp.fd), close(j->rtcp.fd);
    atomic_fetch_sub(j->rate ? &b->pcm_jacks : &b->jacks, 1);
    j->after_closed = w->closed, w->closed = j; /* an event already fetched may still name it */
    worker_unlock(w);
    if (!sockets) return;
    atomic_fetch_sub(&b->ports_open, 1);
    port_return(b, port, now_ns() + (int64_t)(b->settings.quarantine * SECOND));
}

uint32_t jack_id(struct jack *j) { return j->id; }
int jack_port(struct jack *j) { return j->number; }

int jack_negotiated(struct jack *j, const struct terms *t) {
    struct address remote, rtcp;
    if (j->rate || t->ptime < 10 || t->ptime > 60 || t->send < 0 || t->send > 127 || t->dtmf > 127) return BAD_ARGUMENT;
    if (!address_parse(&remote, t->host, t->port)) return BAD_ARGUMENT;
    if (remote.name.any.sa_family != j->worker->board->local.name.any.sa_family) return BAD_ARGUMENT;
    if (t->rtcp_host && !address_parse(&rtcp, t->rtcp_host, t->rtcp_port)) return BAD_ARGUMENT;
    if (t->send_codec < PCMU || t->send_codec > OPUS || !codec_available((enum codec)t->send_codec)) return NO_CODEC_FOR_IT;
    if (t->suite && !srtp_available()) return NO_SRTP;
    worker_lock(j->worker);
    jack_apply(j, t, now_ns());
    worker_unlock(j->worker);
    return 0;
}

/* --- the only switch ----------------------------------------------------------------------------------------------- */

void cord_unplug(struct cord *c) {
    if (c->from && c->from->kind == SOURCE_CLIP) clip_close((struct clip *)c->from);
    if (c->link) {
        if ((*c->link = c->next)) c->next->link = c->link;
        c->link = NULL;
    }
    c->from = NULL;
}

void cord_plug(struct cord *c, struct source *from) {
    if (from && from->kind == SOURCE_CLIP) clip_share((struct clip *)from);
    cord_unplug(c);
    if (!(c->from = from) || from->kind == SOURCE_CLIP) return;
    if ((c->next = from->listeners)) c->next->link = &c->next;
    c->link = &from->listeners;
    from->listeners = c;
}

void cord_deliver(struct cord *c, struct frame *f) {
    struct jack *to = c->to;
    if (c == &to->next) jack_cut(to, f->now); /* the first frame of what is next */
    jack_frame(to, f);
}

void frame_push(struct source *from, struct frame *f) {
    for (struct cord *c = from->listeners, *next; c; c = next) {
        next = c->next; /* a cut moves the cord to the head of the list */
        cord_deliver(c, f);
    }
}

void jack_plug(struct jack *j, struct source *source, bool at_once) {
    int64_t now = now_ns();
    if (j->next.from == source && !at_once) return;
    cord_unplug(&j->next);
    if (j->now.from == source) return;
    cord_plug(&j->next, source);
    j->next_since = now;
    if (at_once || !j->now.from || cord_ready(&j->next)) jack_cut(j, now);
    jack_schedule(j, now);
}

void jack_hears_nothing(struct jack *j) {
    worker_lock(j->worker);
    cord_unplug(&j->next), cord_unplug(&j->now);
    jack_schedule(j, now_ns());
    worker_unlock(j->worker);
}

/* A PCM jack has no socket and follows the first who is plugged to it to their thread. */
static bool follow(struct jack *j, struct worker *to) {
    struct worker *from = j->worker;
    if (from == to) return true;
    worker_lock(from);
    bool free_to_go = j->rate && !j->source.listeners && !j->say.source.listeners && !j->now.from && !j->next.from &&
                      !j->ears && !j->watchers;
    if (free_to_go) {
        timer_clear(from, &j->timer);
        roll_remove(from, j);
    }
    worker_unlock(from);
    if (!free_to_go) return false;
    worker_lock(to);
    j->worker = to;
    bool enrolled = roll_add(to, j);
    jack_schedule(j, now_ns());
    worker_unlock(to);
    return enrolled;
}

bool jacks_meet(struct jack *a, struct jack *b) { return follow(a, b->worker) || follow(b, a->worker); }

int jack_hears_jack(struct jack *j, struct jack *source, int now) {
    if (!jacks_meet(j, source)) return OTHER_THREAD;
    worker_lock(j->worker);
    jack_plug(j, &source->source, now);
    worker_unlock(j->worker);
    return 0;
}

int jack_hears_say(struct jack *j, struct jack *owner, int now) {
    if (!jacks_meet(j, owner)) return OTHER_THREAD;
    worker_lock(j->worker);
    jack_plug(j, &owner->say.source, now);
    worker_unlock(j->worker);
    return 0;
}

int jack_hears_clip(struct jack *j, struct clip *source, int now) {
    worker_lock(j->worker);
    enum codec codec = j->codec;
    int rate = jack_rate(j);
    worker_unlock(j->worker);
    clip_prepare(source, codec, rate); /* the long work outside the lock */
    worker_lock(j->worker);
    bool prepared = clip_prepare(source, j->codec, jack_rate(j));
    if (prepared) jack_plug(j, clip_source(source), now);
    worker_unlock(j->worker);
    return prepared ? 0 : NO_MEMORY;
}

int jack_send_dtmf(struct jack *j, const char *digits, int duration_ms, int gap_ms) {
    for (const char *d = digits; *d; d++)
        if (dtmf_event(*d) < 0 && *d != 'w' && *d != 'W') return BAD_ARGUMENT;
    worker_lock(j->worker);
    int result = 0;
    if (j->dtmf_type < 0) result = NO_EVENTS;
    else if (strlen(j->digits) + strlen(digits) > MOST_DIGITS) result = FULL;
    if (!result) {
        strcat(j->digits, digits);
        j->digit_ms = duration_ms < 40 ? 40 : duration_ms > 6000 ? 6000 : duration_ms;
        j->gap_ms = gap_ms < 0 ? 0 : gap_ms > 6000 ? 6000 : gap_ms;
        jack_schedule(j, now_ns());
    }
    worker_unlock(j->worker);
    return result;
}

void jack_silent_after(struct jack *j, double seconds) {
    worker_lock(j->worker);
    j->silent_after = (int64_t)(seconds * SECOND);
    worker_unlock(j->worker);
}

void jack_read_stats(struct jack *j, struct jack_stats *to) {
    worker_lock(j->worker);
    const struct reception *r = &j->reception;
    *to = (struct jack_stats){
        .packets_in = j->packets_in, .octets_in = j->octets_in, .packets_out = j->packets_out, .octets_out = j->octets_out,
        .lost = reception_lost(r), .duplicates = j->duplicates, .reordered = j->reordered, .rejected = j->rejected,
        .malformed = j->malformed, .held_back = j->held_back, .jitter_ms = r->clock ? r->jitter * 1000 / r->clock : 0,
        .first_received = j->first_received, .last_received = j->last_received, .last_rtcp = j->last_rtcp, .now = now_ns(),
        .latched = j->latch_told, .has_ssrc_in = j->have_ssrc, .rtcp_seen = j->rtcp_seen, .ssrc_in = j->ssrc_in,
        .ssrc_out = j->ssrc_out, .rtcp_in = j->rtcp_in, .rtcp_out = j->rtcp_out, .dtmf_in = j->dtmf_in_count,
        .dtmf_out = j->dtmf_out_count, .round_trip_ms = j->round_trip_ms, .remote_lost = j->remote_lost, .mos = -1,
        .largest_gap_out_ms = (double)j->largest_gap / MILLISECOND, .unsent_ms = (double)j->unsent / MILLISECOND};
    to->port = address_text(&j->remote, to->host);
    uint64_t expected = j->packets_in + to->lost;
    if (j->packets_in >= 10) to->mos = mos(j->round_trip_ms, to->jitter_ms, (double)to->lost / (double)expected);
    worker_unlock(j->worker);
}

double jack_write(struct jack *j, const int16_t *pcm, size_t samples) {
    size_t room = (size_t)j->rate;
    if (!j->spoken) return BAD_ARGUMENT;
    if (samples > room) pcm += samples - room, samples = room;
    worker_lock(j->worker);
    if (j->spoken_count + samples > room) { /* a party cannot speak ahead of time: the oldest goes */
        size_t excess = j->spoken_count + samples - room;
        j->spoken_start = (j->spoken_start + excess) % room;
        j->spoken_count -= excess;
    }
    for (size_t i = 0; i < samples; i++) j->spoken[(j->spoken_start + j->spoken_count + i) % room] = pcm[i];
    j->spoken_count += samples;
    double queued = (double)j->spoken_count * 1000 / j->rate;
    jack_schedule(j, now_ns());
    worker_unlock(j->worker);
    return queued;
}

size_t jack_read(struct jack *j, int16_t *pcm, size_t room) {
    worker_lock(j->worker);
    size_t count = j->heard_count < room ? j->heard_count : room, ring = (size_t)j->rate;
    for (size_t i = 0; i < count; i++) pcm[i] = j->heard[(j->heard_start + i) % ring];
    j->heard_start = ring ? (j->heard_start + count) % ring : 0;
    j->heard_count -= count;
    worker_unlock(j->worker);
    return count;
}
