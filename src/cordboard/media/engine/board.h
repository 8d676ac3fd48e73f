/* What the engine's files share: the shapes of a board, its threads, jacks, cords, ears and sources.
 *
 * The picture. A `worker` is one thread with its sockets, its timer wheel and one lock, held while it serves what epoll
 * reported and by every command for the length of a few assignments. A `jack` is one party. A `source` is whatever can
 * be heard; a `cord` plugs a jack into a source. Jacks and mixes push frames to their listeners when they have one;
 * clips and says are pulled by the listener's own timer. An `ear` takes what a party said, in order, as PCM: taps,
 * recordings and mixes are ears.
 *
 * Locks are taken in this order: worker, then clip, recording or outbox. None is held across a system call that waits.
 */
#ifndef CORDBOARD_BOARD_H
#define CORDBOARD_BOARD_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "codec.h"
#include "dtmf.h"
#include "engine.h"
#include "jitter.h"
#include "resample.h"
#include "rtcp.h"
#include "rtp.h"
#include "srtp.h"

#define MILLISECOND 1000000LL
#define SECOND 1000000000LL

enum { FRAME_MS = 20, LATE_BREAK_MS = 200, UNANSWERED_PACKETS = 50, HOUSEKEEPING_MS = 10, HOUSEKEEPING_TURNS = 10,
       PROBATION_PACKETS = 5, SSRC_PROBATION = 2, SSRC_HOLD_MS = 60, TAP_RATE = 16000, TAP_SAMPLES = 320,
       WHEEL = 64, HEADROOM = 64, DATAGRAM = 2048, MOST_DIGITS = 64, MOST_EVENTS = 8192, MOST_FRAMES = 4096 };

struct address {
    union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } name;
    socklen_t size; /* 0: none */
};
bool address_parse(struct address *to, const char *host, int port);
bool address_same_host(const struct address *a, const struct address *b);
bool address_same(const struct address *a, const struct address *b);
int address_text(const struct address *a, char host[64]); /* returns the port */

/* --- timers: a wheel of 64 slots of one millisecond ---------------------------------------------------------------- */

struct timer {
    struct timer *next, **link; /* NULL link: not in the wheel */
    int64_t due_ms;
    void (*fire)(struct timer *timer, int64_t now);
};

/* --- sources and cords --------------------------------------------------------------------------------------------- */

enum source_kind { SOURCE_JACK, SOURCE_MIX, SOURCE_SAY, SOURCE_CLIP };

struct source {
    enum source_kind kind;
    struct cord *listeners; /* of jacks, mixes and says; a clip is shared by threads and counts its users instead */
};

struct cord {
    struct source *from; /* NULL: nothing */
    struct jack *to;
    struct cord *next, **link;
};

/* One frame on its way from a jack or a mix to its listeners. A packet keeps its payload; PCM is made when asked for. */
struct frame {
    enum codec codec; /* NO_CODEC: only PCM */
    const struct rtp *packet;
    uint8_t *payload; /* HEADROOM bytes before it are free to write */
    struct decoder *decoder;
    const int16_t *pcm;
    size_t count;
    int rate;
    struct jack *spoken_by; /* `at` is asked of it, 0 until then */
    int64_t at; /* when its first sample was spoken */
    int64_t now;
};

struct chunk { /* of a say: samples, or a mark where `count` is 0 */
    struct chunk *next;
    size_t count, used;
    int64_t mark;
    int16_t pcm[];
};
struct say {
    struct source source;
    struct jack *owner;
    struct chunk *first, **last;
    size_t queued; /* samples at `rate` */
    int rate, written_rate;
    bool playing, waited, opened;
    struct resampler resampler; /* of what is written */
};

struct ear { /* takes what a party said (or was sent), in order; a pause is told as no samples */
    struct ear *next;
    struct jack *jack; /* NULL: not attached */
    void (*hear)(struct ear *ear, const int16_t *pcm, size_t count, int64_t at, int64_t now);
    struct resampler resampler;
    int rate; /* what it wants */
    int input_rate; /* what the resampler takes now */
};

struct tap {
    struct ear ear;
    struct worker *worker;
    int id;
    int64_t end; /* when the next sample is due; 0: nothing came yet */
    size_t count;
    int16_t pcm[TAP_SAMPLES];
};

/* --- a jack -------------------------------------------------------------------------------------------------------- */

struct port { struct jack *jack; int fd; bool rtcp; bool clean; /* connected, and strangers drained */ };

/* The first lines are what every packet touches; the order is for the processor's cache. */
struct jack {
    struct source source;
    struct worker *worker;
    struct port rtp, rtcp;
    bool closed, agreed, may_send, may_receive, mux;
    bool latched, latch_told, have_ssrc, silent_told, rtcp_seen;
    bool answered, sent_any, mark_next, anchored, relaying;
    uint8_t payload_type;
    enum codec codec; /* that we send */
    int clock, ptime, dtmf_type, unanswered, frame; /* the last: RTP clock units of the last packet */
    struct srtp *protect, *unprotect;
    struct ear *ears, *watchers; /* of what was said; of what was sent */
    struct reorder *reorder;
    /* in */
    uint32_t ssrc_in;
    unsigned epoch; /* counts the sender's streams: an SSRC each */
    struct reception reception;
    uint64_t window; /* of sequence numbers seen, as bits */
    int64_t first_received, last_received;
    uint64_t packets_in, octets_in;
    struct decoder ordered; /* for ears */
    int64_t anchor_at;
    uint32_t anchor_timestamp;
    /* out */
    uint32_t ssrc_out, base_timestamp, last_timestamp, shift;
    uint16_t sequence, relayed_sequence, relayed_first, renumber; /* the last is added to the sender's numbers */
    unsigned relayed_epoch;
    int32_t phase_most;
    int64_t phase_since, clock_start, last_sent;
    uint64_t packets_out, octets_out;
    struct sender_report sent;
    int64_t largest_gap, unsent; /* ns */
    struct address remote;
    struct cord now, next;
    uint8_t receive[128]; /* enum codec by payload type */

    uint32_t id;
    int number, rate; /* the port; the rate of a PCM jack, 0 for one with sockets */
    struct jack *after_closed;
    struct timer timer;
    int64_t next_since, due;
    /* out: what is pulled by the timer */
    struct encoder encoder;
    size_t clip_at;
    bool clip_over;
    struct dtmf_sender dtmf_out;
    char digits[MOST_DIGITS + 1];
    int digit_ms, gap_ms;
    int64_t digits_wait;
    uint32_t dtmf_timestamp;
    struct say say;

    struct address rtcp_remote, told;

    /* in: who may be heard */
    uint32_t candidate_ssrc, probation_ssrc;
    uint16_t candidate_sequence, probation_sequence;
    int candidate_count, probation_count;
    struct address probation;
    /* in: what was said */
    int64_t agreed_at, silent_after, last_rtcp;
    struct decoder through, watched; /* for transcoding; for what was sent */
    struct dtmf_receiver dtmf_in;

    /* out: PCM that waits for a full frame */
    struct resampler incoming; /* to our codec's rate */
    int16_t *gather;
    size_t gathered;
    int64_t gather_at, gather_end, line_at;
    uint32_t line_timestamp;

    /* a PCM jack's two queues, rings of one second */
    int16_t *spoken, *heard;
    size_t spoken_start, spoken_count, heard_start, heard_count;
    bool spoke;

    int64_t next_report, remote_lost;
    double round_trip_ms;
    uint64_t duplicates, reordered, rejected, malformed, held_back, rtcp_in, rtcp_out, dtmf_in_count, dtmf_out_count;
};

/* --- threads and the board ----------------------------------------------------------------------------------------- */

struct worker {
    struct board *board;
    pthread_t thread;
    bool joined;
    pthread_mutex_t lock;
    int epoll, timerfd, wake;
    struct timer *wheel[WHEEL];
    uint64_t busy;      /* slots of the wheel that hold something */
    int64_t wheel_ms, armed_ms;
    struct timer housekeeping;
    unsigned turn;
    struct jack **jacks;
    size_t jack_count, jack_room;
    struct jack *closed;
    struct mix *mixes;
    uint64_t packets_in, packets_out, ticks, late_ticks, skipped_ticks;
    int64_t now; /* when this turn began; jacks are served by it */
    uint8_t datagram[HEADROOM + DATAGRAM], scratch[HEADROOM + DATAGRAM];
    int16_t pcm[LONGEST_FRAME], pcm2[LONGEST_FRAME * 6 + 8], overheard[LONGEST_FRAME], ear[LONGEST_FRAME * 2 + 8];
};

struct pair { int port; int64_t free_at; };

struct board {
    struct board_settings settings;
    char ip[64], name[64];
    struct address local;
    struct worker *workers;
    int worker_count, next_worker;
    bool priority;
    atomic_bool closing;
    atomic_uint next_id;

    pthread_mutex_t ports_lock;
    struct pair *pairs; /* a ring of free pairs, the longest free first */
    size_t pair_room, pair_start, pair_count;

    pthread_mutex_t outbox; /* what Python fetches */
    int fileno;
    bool announced;
    struct event *events;
    size_t event_start, event_count;
    int32_t *ids[2];
    int16_t *frames[2];
    int filling, frame_count;
    uint64_t dropped_frames, dropped_events;

    pthread_t clerk; /* writes recordings */
    bool clerk_runs, clerk_over;
    pthread_mutex_t recordings_lock;
    pthread_cond_t clerk_wake;
    struct recording *recordings;

    atomic_int jacks, pcm_jacks, clips, taps, mixes, recording_count, ports_open;
};

int64_t now_ns(void);
uint32_t random32(void);
static inline int64_t ticks_ns(int64_t ticks, int clock) { return ticks * SECOND / clock; }

/* The system's own calls: libc's are cancellation points, which cost as much as the rest of what we do for a packet. */
static inline ssize_t receive_from(int fd, void *data, size_t room, struct address *from) {
    return syscall(SYS_recvfrom, fd, data, room, 0, from ? &from->name : NULL, from ? &from->size : NULL);
}
static inline ssize_t send_to(int fd, const void *data, size_t size, const struct address *to) {
    return syscall(SYS_sendto, fd, data, size, 0, to ? &to->name : NULL, to ? to->size : 0);
}

/* board.c */
void board_announce(struct board *b);
int sockets_open(struct board *b, struct jack *j); /* 0 or a failure */
void port_return(struct board *b, int port, int64_t free_at);
/* engine.c */
bool worker_open(struct worker *w, struct board *b);
bool worker_priority(struct worker *w, int priority);
void worker_bury(struct worker *w);
bool jacks_meet(struct jack *a, struct jack *b); /* are they, or can they be, on one thread? */
void worker_lock(struct worker *w);
void worker_unlock(struct worker *w);
void timer_set(struct worker *w, struct timer *t, int64_t due_ms);
void timer_clear(struct worker *w, struct timer *t);
void board_tell(struct board *b, const struct event *e);
void board_frame(struct board *b, int tap, const int16_t pcm[TAP_SAMPLES]);

void cord_plug(struct cord *c, struct source *from);
void cord_unplug(struct cord *c);
bool cord_ready(const struct cord *c); /* a clip, or a say with something to say */
void cord_deliver(struct cord *c, struct frame *f);
void frame_push(struct source *from, struct frame *f);
void jack_plug(struct jack *j, struct source *source, bool at_once); /* under the lock */
void ears_hear(struct ear *ears, struct worker *w, const int16_t *pcm, size_t count, int rate, int64_t at, int64_t now);
void ear_open(struct ear *e, int rate, void (*hear)(struct ear *, const int16_t *, size_t, int64_t, int64_t));
void ear_attach(struct jack *j, struct ear **list, struct ear *e);
void ear_detach(struct ear **list, struct ear *e);

/* jack.c and send.c: packets in and out */
uint32_t clock_stamp(const struct jack *j, int64_t now);
int64_t spoken_at(struct jack *j, uint32_t timestamp, int clock, int64_t now);
void relay_event(struct jack *j, struct jack *from, const struct rtp *p, uint8_t *payload, int64_t now);
void jack_readable(struct jack *j, struct port *port, int64_t now);
void jack_frame(struct jack *j, struct frame *f);
void jack_tick(struct timer *t, int64_t now);
void jack_schedule(struct jack *j, int64_t now);
void jack_cut(struct jack *j, int64_t now);
void jack_housekeeping(struct jack *j, int64_t now);
void jack_report(struct jack *j, int64_t now, bool bye);
void jack_apply(struct jack *j, const struct terms *terms, int64_t now);
void jack_listen_in_order(struct jack *j);
int jack_rate(const struct jack *j); /* of the PCM that it is sent */

/* clip.c: what is pulled */
bool clip_prepare(struct clip *c, enum codec codec, int rate);
struct clip *clip_share(struct clip *c);
struct source *clip_source(struct clip *c);
/* The next frame of a clip, encoded or as PCM; advances `*at`. Size in bytes or samples; `*over` where a clip ends. */
size_t clip_encoded(struct clip *c, enum codec codec, size_t samples, size_t *at, uint8_t *out, size_t room, bool *over);
size_t clip_pcm(struct clip *c, int rate, size_t samples, size_t *at, int16_t *out, bool *over);
/* Up to `count` samples of a say at its own rate; the rest is silence. Returns what was there; tells its marks. */
size_t say_pull(struct say *s, int16_t *out, size_t count);
void say_convert(struct say *s, int rate);
void say_clear(struct say *s);

/* mix.c, record.c */
void mixes_forget(struct worker *w, struct source *source);
void recordings_forget(struct board *b, struct jack *j);
bool clerk_start(struct board *b);
void clerk_stop(struct board *b);

#endif
