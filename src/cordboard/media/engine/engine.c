/* The board: its threads, timers, ports and commands. Read it top to bottom: opening, the loop, then what is asked.
 * What happens to a packet is in jack.c. */
#include "board.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* --- small things -------------------------------------------------------------------------------------------------- */

int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static uint32_t random32(void) {
    uint32_t v = 0;
    if (getrandom(&v, sizeof v, 0) != sizeof v) v = (uint32_t)now_ns() * 2654435761u;
    return v;
}

bool address_parse(struct address *to, const char *host, int port) {
    *to = (struct address){0};
    if (!host || port < 0 || port > 65535) return false;
    if (inet_pton(AF_INET, host, &to->name.v4.sin_addr) == 1) {
        to->name.v4.sin_family = AF_INET;
        to->name.v4.sin_port = htons((uint16_t)port);
        to->size = sizeof to->name.v4;
    } else if (inet_pton(AF_INET6, host, &to->name.v6.sin6_addr) == 1) {
        to->name.v6.sin6_family = AF_INET6;
        to->name.v6.sin6_port = htons((uint16_t)port);
        to->size = sizeof to->name.v6;
    }
    return to->size > 0;
}

bool address_same_host(const struct address *a, const struct address *b) {
    if (!a->size || a->name.any.sa_family != b->name.any.sa_family) return false;
    if (a->name.any.sa_family == AF_INET) return a->name.v4.sin_addr.s_addr == b->name.v4.sin_addr.s_addr;
    return !memcmp(&a->name.v6.sin6_addr, &b->name.v6.sin6_addr, 16);
}

bool address_same(const struct address *a, const struct address *b) { /* both families keep the port at one place */
    return address_same_host(a, b) && a->name.v4.sin_port == b->name.v4.sin_port;
}

int address_text(const struct address *a, char host[64]) {
    host[0] = 0;
    if (!a->size) return 0;
    if (a->name.any.sa_family == AF_INET) inet_ntop(AF_INET, &a->name.v4.sin_addr, host, 64);
    else inet_ntop(AF_INET6, &a->name.v6.sin6_addr, host, 64);
    return ntohs(a->name.v4.sin_port);
}

void worker_lock(struct worker *w) { pthread_mutex_lock(&w->lock); }
void worker_unlock(struct worker *w) { pthread_mutex_unlock(&w->lock); }

/* --- what Python fetches ------------------------------------------------------------------------------------------- */

static void announce(struct board *b) { /* under the outbox lock */
    uint64_t one = 1;
    if (!b->announced) b->announced = write(b->fileno, &one, sizeof one) == sizeof one;
}

static void withdraw(struct board *b) {
    uint64_t count;
    if (b->announced && !b->frame_count && !b->event_count) b->announced = read(b->fileno, &count, sizeof count) < 0;
}

void board_tell(struct board *b, const struct event *e) {
    pthread_mutex_lock(&b->outbox);
    if (b->event_count == MOST_EVENTS) b->dropped_events++;
    else b->events[(b->event_start + b->event_count++) % MOST_EVENTS] = *e;
    announce(b);
    pthread_mutex_unlock(&b->outbox);
}

/* Frames are announced by the housekeeping timer, so that Python is woken for many at once. */
void board_frame(struct board *b, int tap, const int16_t pcm[TAP_SAMPLES]) {
    pthread_mutex_lock(&b->outbox);
    if (b->frame_count == MOST_FRAMES) {
        b->dropped_frames++;
    } else {
        b->ids[b->filling][b->frame_count] = tap;
        memcpy(b->frames[b->filling] + b->frame_count++ * TAP_SAMPLES, pcm, TAP_SAMPLES * sizeof *pcm);
    }
    pthread_mutex_unlock(&b->outbox);
}

int board_events(struct board *b, struct event *to, int room) {
    int n = 0;
    pthread_mutex_lock(&b->outbox);
    for (; n < room && b->event_count; b->event_count--) {
        to[n++] = b->events[b->event_start];
        b->event_start = (b->event_start + 1) % MOST_EVENTS;
    }
    withdraw(b);
    pthread_mutex_unlock(&b->outbox);
    return n;
}

int board_frames(struct board *b, int32_t **ids, int16_t **pcm) {
    pthread_mutex_lock(&b->outbox);
    int count = b->frame_count;
    *ids = b->ids[b->filling], *pcm = b->frames[b->filling];
    b->filling ^= 1, b->frame_count = 0;
    withdraw(b);
    pthread_mutex_unlock(&b->outbox);
    return count;
}

int board_fileno(struct board *b) { return b->fileno; }

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
            for (int line = -9; t->next && line < 5; line++) __builtin_prefetch((const char *)t->next + 64 * line, 1);
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
    struct board *b = w->board;
    pthread_mutex_lock(&b->outbox);
    if (b->frame_count) announce(b);
    pthread_mutex_unlock(&b->outbox);
    timer_set(w, t, t->due_ms + HOUSEKEEPING_MS);
}

/* --- a thread ------------------------------------------------------------------------------------------------------ */

static void bury(struct worker *w) { /* jacks closed since: no event can name them any more */
    for (struct jack *j; (j = w->closed);) {
        w->closed = j->after_closed;
        free(j);
    }
}

/* Bring what the next packets need into the cache while this one is served. A port lies at its jack's beginning. */
static void expect(const struct worker *w, const char *second, const struct port *first) {
    for (int line = 0; second && line < 6; line++) __builtin_prefetch(second + 64 * line, 1);
    if (first && (const void *)first != w && first->jack->source.listeners) {
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
        int64_t now = now_ns();
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
        if (timers) timers_run(w, now_ns());
        bury(w);
        worker_unlock(w);
    }
    return NULL;
}

/* Where it is permitted a real-time priority; else a short slice, which every thread may ask for since Linux 6.12 and
 * which lets a thread that slept run at once beside one that computes. */
static bool worker_priority(struct worker *w, int priority) {
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

static bool worker_open(struct worker *w, struct board *b) {
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

/* --- opening and closing a board ----------------------------------------------------------------------------------- */

static void prepare(void) {
    g711_prepare();
    resample_prepare();
}

struct board *board_open(const struct board_settings *settings, int *failure) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    struct board *b = calloc(1, sizeof *b);
    *failure = NO_MEMORY;
    if (!b) return NULL;
    b->settings = *settings;
    snprintf(b->ip, sizeof b->ip, "%s", settings->ip);
    snprintf(b->name, sizeof b->name, "%s", settings->name);
    b->settings.ip = b->ip, b->settings.name = b->name;
    b->fileno = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&b->ports_lock, NULL);
    pthread_mutex_init(&b->outbox, NULL);
    b->events = calloc(MOST_EVENTS, sizeof *b->events);
    for (int i = 0; i < 2; i++) {
        b->ids[i] = calloc(MOST_FRAMES, sizeof **b->ids);
        b->frames[i] = calloc((size_t)MOST_FRAMES * TAP_SAMPLES, sizeof **b->frames);
    }
    int low = (settings->low_port + 1) & ~1;
    b->pair_room = settings->high_port > low ? (size_t)(settings->high_port - low + 1) / 2 : 0;
    b->pairs = calloc(b->pair_room + 1, sizeof *b->pairs);
    b->worker_count = settings->threads < 1 ? 1 : settings->threads > 64 ? 64 : settings->threads;
    b->workers = calloc((size_t)b->worker_count, sizeof *b->workers);
    bool memory = b->events && b->ids[1] && b->frames[1] && b->pairs && b->workers && b->ids[0] && b->frames[0];
    *failure = !memory ? NO_MEMORY : b->fileno < 0 ? SYSTEM : BAD_ARGUMENT;
    if (!memory || b->fileno < 0 || !b->pair_room || !address_parse(&b->local, b->ip, 0)) {
        board_close(b);
        return NULL;
    }
    size_t offset = random32() % b->pair_room; /* begin anywhere: what an old process left is not met at once */
    for (size_t i = 0; i < b->pair_room; i++) b->pairs[i].port = low + 2 * (int)((i + offset) % b->pair_room);
    b->pair_count = b->pair_room;
    *failure = SYSTEM;
    b->priority = settings->rt_priority > 0;
    for (int i = 0; i < b->worker_count; i++) {
        if (!worker_open(&b->workers[i], b)) {
            board_close(b);
            return NULL;
        }
        b->priority &= worker_priority(&b->workers[i], settings->rt_priority);
    }
    if (!clerk_start(b)) {
        board_close(b);
        return NULL;
    }
    return b;
}

void board_stop(struct board *b) {
    atomic_store(&b->closing, true);
    for (int i = 0; b->workers && i < b->worker_count; i++) {
        struct worker *w = &b->workers[i];
        uint64_t one = 1;
        if (!w->thread || w->joined) continue;
        if (write(w->wake, &one, sizeof one) == sizeof one) pthread_join(w->thread, NULL);
        while (w->jack_count) jack_close(w->jacks[0]);
        w->joined = true;
    }
    clerk_stop(b);
}

void board_close(struct board *b) {
    board_stop(b);
    for (int i = 0; b->workers && i < b->worker_count; i++) {
        struct worker *w = &b->workers[i];
        if (!w->thread) continue;
        bury(w);
        free(w->jacks);
        close(w->epoll), close(w->timerfd), close(w->wake);
        pthread_mutex_destroy(&w->lock);
    }
    if (b->fileno >= 0) close(b->fileno);
    for (int i = 0; i < 2; i++) free(b->ids[i]), free(b->frames[i]);
    free(b->events), free(b->pairs), free(b->workers);
    pthread_mutex_destroy(&b->ports_lock), pthread_mutex_destroy(&b->outbox);
    free(b);
}

int board_has(int codec) { return codec_available((enum codec)codec); }
int board_has_srtp(void) { return srtp_available(); }
int board_has_priority(struct board *b) { return b->priority; }

void board_read_stats(struct board *b, struct board_stats *to) {
    *to = (struct board_stats){.jacks = b->jacks, .pcm_jacks = b->pcm_jacks, .clips = b->clips, .taps = b->taps,
                               .mixes = b->mixes, .recordings = b->recording_count, .ports_open = b->ports_open};
    for (int i = 0; i < b->worker_count; i++) {
        struct worker *w = &b->workers[i];
        worker_lock(w);
        to->packets_in += w->packets_in, to->packets_out += w->packets_out;
        to->ticks += w->ticks, to->late_ticks += w->late_ticks, to->skipped_ticks += w->skipped_ticks;
        worker_unlock(w);
    }
    int64_t now = now_ns();
    pthread_mutex_lock(&b->ports_lock);
    for (size_t i = 0; i < b->pair_count; i++)
        to->ports_quarantined += b->pairs[(b->pair_start + i) % b->pair_room].free_at > now;
    pthread_mutex_unlock(&b->ports_lock);
    pthread_mutex_lock(&b->outbox);
    to->dropped_frames = b->dropped_frames, to->dropped_events = b->dropped_events;
    pthread_mutex_unlock(&b->outbox);
}

/* --- ports --------------------------------------------------------------------------------------------------------- */

static void port_return(struct board *b, int port, int64_t free_at) {
    pthread_mutex_lock(&b->ports_lock);
    b->pairs[(b->pair_start + b->pair_count++) % b->pair_room] = (struct pair){port, free_at};
    pthread_mutex_unlock(&b->ports_lock);
}

static int port_take(struct board *b) { /* 0: all are in use or held back */
    int port = 0;
    pthread_mutex_lock(&b->ports_lock);
    if (b->pair_count && b->pairs[b->pair_start].free_at <= now_ns()) {
        port = b->pairs[b->pair_start].port;
        b->pair_start = (b->pair_start + 1) % b->pair_room;
        b->pair_count--;
    }
    pthread_mutex_unlock(&b->ports_lock);
    return port;
}

static int socket_open(struct board *b, int port) {
    int family = b->local.name.any.sa_family, one = 1, expedited = 46 << 2; /* RFC 3246 */
    struct address at = b->local;
    at.name.v4.sin_port = htons((uint16_t)port);
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &expedited, sizeof expedited);
    } else {
        setsockopt(fd, IPPROTO_IP, IP_TOS, &expedited, sizeof expedited);
    }
    if (bind(fd, &at.name.any, at.size) == 0) return fd;
    close(fd);
    return -1;
}

static int sockets_open(struct board *b, struct jack *j) {
    for (size_t attempts = 0; attempts < b->pair_room; attempts++) {
        int port = port_take(b);
        if (!port) return NO_PORT;
        j->rtp.fd = socket_open(b, port);
        j->rtcp.fd = j->rtp.fd < 0 ? -1 : socket_open(b, port + 1);
        if (j->rtcp.fd >= 0) {
            j->number = port;
            return 0;
        }
        int why = errno;
        if (j->rtp.fd >= 0) close(j->rtp.fd);
        j->rtp.fd = -1;
        port_return(b, port, now_ns() + SECOND); /* somebody else has it: try again later */
        if (why == EMFILE || why == ENFILE || why == EADDRNOTAVAIL) return SYSTEM;
    }
    return NO_PORT;
}

/* --- jacks --------------------------------------------------------------------------------------------------------- */

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
    bool room = w->jack_count < w->jack_room;
    if (!room) {
        struct jack **more = realloc(w->jacks, (w->jack_room * 2 + 16) * sizeof *more);
        if (more) w->jacks = more, w->jack_room = w->jack_room * 2 + 16, room = true;
    }
    if (room) w->jacks[w->jack_count++] = j;
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
    for (size_t i = 0; i < w->jack_count; i++)
        if (w->jacks[i] == j) {
            w->jacks[i] = w->jacks[--w->jack_count];
            break;
        }
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

int jack_hears_jack(struct jack *j, struct jack *source, int now) {
    if (source->worker != j->worker) return OTHER_THREAD;
    worker_lock(j->worker);
    jack_plug(j, &source->source, now);
    worker_unlock(j->worker);
    return 0;
}

int jack_hears_say(struct jack *j, struct jack *owner, int now) {
    if (owner->worker != j->worker) return OTHER_THREAD;
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
        j->digit_ms = duration_ms < 40 ? 40 : duration_ms > 2000 ? 2000 : duration_ms;
        j->gap_ms = gap_ms < 40 ? 40 : gap_ms > 2000 ? 2000 : gap_ms;
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
