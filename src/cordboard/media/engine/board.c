/* A board as a whole: its outbox, which Python fetches, its ports, its opening and closing. */
#include "board.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* --- small things -------------------------------------------------------------------------------------------------- */

int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

uint32_t random32(void) {
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

void board_announce(struct board *b) {
    pthread_mutex_lock(&b->outbox);
    if (b->frame_count) announce(b);
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

/* --- ports --------------------------------------------------------------------------------------------------------- */

void port_return(struct board *b, int port, int64_t free_at) {
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

int sockets_open(struct board *b, struct jack *j) {
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
        port_return(b, port, now_ns() + (int64_t)(b->settings.quarantine * SECOND)); /* somebody else has it */
        if (why == EMFILE || why == ENFILE || why == EADDRNOTAVAIL) return SYSTEM;
    }
    return NO_PORT;
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
        worker_bury(w);
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
