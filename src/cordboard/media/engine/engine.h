/* The media engine: a board of jacks, and what each jack hears.
 *
 * Contract. One board has one or more threads; a jack lives on one of them, and so does everything that is plugged to
 * it. Every function may be called from any thread, never waits for the network or a disk, and never calls back: what
 * the engine has to tell is fetched with `board_events` and `board_frames` after `board_fileno` became readable.
 * The engine's threads know nothing of Python, so the GIL cannot delay a packet.
 *
 * Functions that can fail return a negative `enum failure`, those that open something NULL with `*failure` set.
 * A closed jack, clip, mix, tap or recording must not be used again; whoever heard it hears nothing from then on.
 * Times are nanoseconds of CLOCK_MONOTONIC unless named otherwise. PCM is native int16, one channel.
 */
#ifndef CORDBOARD_ENGINE_H
#define CORDBOARD_ENGINE_H

#include <stdint.h>
#include <stddef.h>

enum failure { NO_PORT = -1, NO_MEMORY = -2, BAD_ARGUMENT = -3, OTHER_THREAD = -4, NO_CODEC_FOR_IT = -5, NO_EVENTS = -6,
               FULL = -7, SYSTEM = -8, NO_SRTP = -9 };
enum direction { INACTIVE = 0, SENDONLY = 1, RECVONLY = 2, SENDRECV = 3 };
enum event_kind { EVENT_DTMF, EVENT_LATCHED, EVENT_SILENT, EVENT_MARK, EVENT_ENDED, EVENT_RECORDED };

struct board; struct jack; struct clip; struct mix; struct tap; struct recording;

struct board_settings {
    const char *ip, *name;
    int low_port, high_port, threads, rt_priority;
    double quarantine, silent_after, say_limit; /* seconds; silent_after 0: never */
};

struct event {
    int kind;
    uint32_t jack;    /* or 0 */
    uint32_t subject; /* clip or recording */
    int64_t number;   /* DTMF: milliseconds; mark: its id; recording: frames */
    double seconds;
    char text[64];    /* digit, host, or error */
    int port;
};

struct terms { /* the result of one offer/answer */
    uint8_t receive[128]; /* enum codec by payload type, 0: not negotiated */
    int send, send_codec; /* payload type; enum codec */
    int dtmf;             /* payload type the peer takes telephone-event on, -1: none */
    int ptime, direction;
    const char *host; int port;
    const char *rtcp_host; int rtcp_port, rtcp_mux;
    int suite;            /* 0: plain RTP, 1: AES_CM_128_HMAC_SHA1_80, 2: _32 */
    uint8_t send_key[30], receive_key[30];
};

struct jack_stats {
    uint64_t packets_in, octets_in, packets_out, octets_out, lost, duplicates, reordered, rejected, malformed, held_back;
    double jitter_ms;
    int64_t first_received, last_received, last_rtcp, now; /* 0: never */
    char host[64]; int port;
    int latched, has_ssrc_in, rtcp_seen;
    uint32_t ssrc_in, ssrc_out;
    uint64_t rtcp_in, rtcp_out, dtmf_in, dtmf_out;
    double round_trip_ms, mos; /* below zero: not known */
    int64_t remote_lost;       /* below zero: not known */
    double largest_gap_out_ms, unsent_ms;
};

struct board_stats {
    int jacks, pcm_jacks, clips, taps, mixes, recordings, ports_open, ports_quarantined;
    uint64_t packets_in, packets_out, ticks, late_ticks, skipped_ticks, dropped_frames, dropped_events;
};

/* --- board --- */
struct board *board_open(const struct board_settings *settings, int *failure);
void board_stop(struct board *board);  /* ends the threads, closes the jacks, completes the recordings */
void board_close(struct board *board); /* after that only freed memory is left */
int board_fileno(struct board *board);
int board_has(int codec);     /* enum codec: can it be encoded and decoded here? */
int board_has_srtp(void);
int board_has_priority(struct board *board);
int board_events(struct board *board, struct event *to, int room);
/* Frames of all taps since the last call: `*ids` and `*pcm` (320 samples each) stay valid until the next call. */
int board_frames(struct board *board, int32_t **ids, int16_t **pcm);
void board_read_stats(struct board *board, struct board_stats *to);

/* --- jacks --- */
struct jack *jack_open(struct board *board, struct jack *beside, int *failure);
struct jack *jack_open_pcm(struct board *board, int rate, int *failure);
void jack_close(struct jack *jack);
uint32_t jack_id(struct jack *jack);
int jack_port(struct jack *jack);
int jack_negotiated(struct jack *jack, const struct terms *terms);
void jack_hears_nothing(struct jack *jack);
int jack_hears_jack(struct jack *jack, struct jack *source, int now);
int jack_hears_say(struct jack *jack, struct jack *owner, int now);
int jack_hears_clip(struct jack *jack, struct clip *source, int now);
int jack_hears_mix(struct jack *jack, struct mix *source, int now);
int jack_send_dtmf(struct jack *jack, const char *digits, int duration_ms, int gap_ms);
void jack_silent_after(struct jack *jack, double seconds);
void jack_read_stats(struct jack *jack, struct jack_stats *to);
/* PCM jacks: what the party says, and what it has heard. Milliseconds queued; samples read. */
double jack_write(struct jack *jack, const int16_t *pcm, size_t samples);
size_t jack_read(struct jack *jack, int16_t *pcm, size_t room);

/* --- speech ahead of time --- */
double say_write(struct jack *jack, const int16_t *pcm, size_t samples, int rate); /* queued ms, or a failure */
int say_mark(struct jack *jack, int64_t id);
double say_flush(struct jack *jack);
double say_queued(struct jack *jack);

/* --- clips, mixes, taps, recordings --- */
struct clip *clip_open(struct board *board, const int16_t *pcm, size_t samples, int rate, int loop, int *failure);
uint32_t clip_id(struct clip *clip);
void clip_close(struct clip *clip);
struct mix *mix_open(struct board *board, int *failure);
int mix_add_jack(struct mix *mix, struct jack *source, double gain);
int mix_add_say(struct mix *mix, struct jack *owner, double gain);
int mix_add_clip(struct mix *mix, struct clip *source, double gain);
void mix_remove_jack(struct mix *mix, struct jack *source);
void mix_remove_say(struct mix *mix, struct jack *owner);
void mix_remove_clip(struct mix *mix, struct clip *source);
void mix_close(struct mix *mix);
struct tap *tap_open(struct jack *jack, int *failure);
int tap_id(struct tap *tap);
void tap_close(struct tap *tap);
struct recording *recording_open(struct board *board, const char *path, struct jack *left, int left_heard,
                                 struct jack *right, int right_heard, int *failure);
uint32_t recording_id(struct recording *recording);
void recording_pause(struct recording *recording, int paused);
void recording_close(struct recording *recording);

#endif
