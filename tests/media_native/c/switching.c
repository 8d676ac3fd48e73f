/* The whole engine at once, for the sanitizers: one thread sends packets, good and bad, from right and wrong addresses;
 * others plug, unplug, negotiate, open and close at random. Nothing may race, leak or fall. SECONDS is an argument. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "codec.h"
#include "engine.h"
#include "rtp.h"

enum { PARTIES = 4, PCM_PARTIES = 2 };

static struct board *board;
static atomic_bool over;
static atomic_int ports[PARTIES];
static int peers[PARTIES];
static atomic_ulong heard;

static unsigned next_random(unsigned *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

static void *talk(void *unused) {
    unsigned state = 5;
    uint8_t packet[400];
    uint16_t sequence[PARTIES] = {0};
    int stranger = socket(AF_INET, SOCK_DGRAM, 0);
    static const uint8_t types[] = {0, 8, 9, 96, 101, 13, 77};
    while (!atomic_load(&over)) {
        for (int i = 0; i < PARTIES; i++) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atomic_load(&ports[i])),
                                     .sin_addr = {htonl(INADDR_LOOPBACK)}};
            unsigned dice = next_random(&state) % 16;
            sequence[i]++;
            size_t size = 12 + (dice == 0 ? next_random(&state) % 300 : 160);
            for (size_t k = 12; k < size; k++) packet[k] = (uint8_t)next_random(&state);
            rtp_write_header(packet, dice < 6 ? types[next_random(&state) % 7] : 0, dice == 1, sequence[i], sequence[i] * 160u,
                             dice == 2 ? 666u : 100u + (unsigned)i);
            if (dice == 3) sequence[i] = (uint16_t)next_random(&state);
            if (dice == 4) packet[0] = (uint8_t)next_random(&state);
            sendto(dice == 5 ? stranger : peers[i], packet, size, 0, (struct sockaddr *)&to, sizeof to);
            while (recv(peers[i], packet, sizeof packet, MSG_DONTWAIT) > 0) atomic_fetch_add(&heard, 1);
        }
        usleep(2000);
    }
    close(stranger);
    return unused;
}

static void *fetch(void *unused) {
    struct event events[64];
    while (!atomic_load(&over)) {
        int32_t *ids;
        int16_t *pcm;
        int count = board_frames(board, &ids, &pcm);
        for (int i = 0; i < count; i++) CHECK(ids[i] > 0);
        board_events(board, events, 64);
        usleep(5000);
    }
    return unused;
}

static void negotiate(struct jack *j, int party, unsigned *state) {
    static const int payloads[] = {0, 8, 9, 96}, codecs[] = {PCMU, PCMA, G722, OPUS}, directions[] = {3, 3, 3, 3, 1, 2, 0};
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    getsockname(peers[party], (struct sockaddr *)&at, &size);
    int pick = (int)(next_random(state) % 4);
    if (!board_has(codecs[pick])) pick = 0;
    struct terms t = {.send = payloads[pick], .send_codec = codecs[pick], .dtmf = next_random(state) % 3 ? 101 : -1,
                      .ptime = (int)(next_random(state) % 6 + 1) * 10, .direction = directions[next_random(state) % 7],
                      .host = "127.0.0.1", .port = next_random(state) % 8 ? ntohs(at.sin_port) : 1 + next_random(state) % 60000};
    t.receive[0] = PCMU, t.receive[8] = PCMA, t.receive[9] = G722, t.receive[101] = TELEPHONE_EVENT, t.receive[13] = COMFORT_NOISE;
    if (board_has(OPUS)) t.receive[96] = OPUS;
    CHECK(jack_negotiated(j, &t) == 0);
}

int main(int count, char **arguments) {
    double seconds = count > 1 ? atof(arguments[1]) : 5;
    unsigned state = count > 2 ? (unsigned)atoi(arguments[2]) : 1;
    struct board_settings s = {"127.0.0.1", "switching", 34000, 34400, 1, 0, 0.05, 1, 5};
    int failure, round = 0;
    CHECK(board = board_open(&s, &failure));
    struct jack *jacks[PARTIES + PCM_PARTIES];
    struct tap *tap = NULL;
    struct recording *recording = NULL;
    struct mix *mix = mix_open(board, &failure);
    static int16_t pcm[16000];
    for (int i = 0; i < 16000; i++) pcm[i] = (int16_t)(i * 37);
    struct clip *clips[2] = {clip_open(board, pcm, 8000, 8000, 1, &failure), clip_open(board, pcm, 900, 16000, 0, &failure)};
    for (int i = 0; i < PARTIES; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        peers[i] = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(bind(peers[i], (struct sockaddr *)&at, sizeof at) == 0);
        CHECK(jacks[i] = jack_open(board, NULL, &failure));
        atomic_store(&ports[i], jack_port(jacks[i]));
        negotiate(jacks[i], i, &state);
    }
    for (int i = 0; i < PCM_PARTIES; i++) CHECK(jacks[PARTIES + i] = jack_open_pcm(board, i ? 48000 : 16000, &failure));
    pthread_t talker, fetcher;
    pthread_create(&talker, NULL, talk, NULL), pthread_create(&fetcher, NULL, fetch, NULL);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        int who = (int)(next_random(&state) % (PARTIES + PCM_PARTIES)), other = (int)(next_random(&state) % (PARTIES + PCM_PARTIES));
        int at_once = next_random(&state) % 4 == 0;
        struct jack *j = jacks[who];
        switch (next_random(&state) % 16) {
        case 0: jack_hears_nothing(j); break;
        case 1: case 2: case 3: CHECK(jack_hears_jack(j, jacks[other], at_once) == 0); break;
        case 4: CHECK(jack_hears_clip(j, clips[other % 2], at_once) == 0); break;
        case 5: CHECK(jack_hears_say(j, jacks[other], at_once) == 0); break;
        case 6: CHECK(jack_hears_mix(j, mix, at_once) == 0); break;
        case 7: say_write(j, pcm, 1600, (int[]){8000, 16000, 24000, 22050}[other % 4]), say_mark(j, round); break;
        case 8: say_flush(j); break;
        case 9: CHECK(mix_add_jack(mix, jacks[other], 0.7) == 0 && mix_add_clip(mix, clips[0], 0.3) == 0); break;
        case 10: mix_remove_jack(mix, jacks[other]), mix_add_say(mix, jacks[who], 1); break;
        case 11: if (who < PARTIES) negotiate(j, who, &state); break;
        case 12: if (who < PARTIES) jack_send_dtmf(j, "12w#", 60, 40); else jack_write(j, pcm, 960); break;
        case 13:
            if (tap) tap_close(tap);
            tap = tap_open(jacks[other], &failure);
            break;
        case 14:
            if (recording) recording_close(recording);
            recording = recording_open(board, "/dev/null", j, other & 1, jacks[other], who & 1, &failure);
            break;
        case 15:
            if (round % 3) break;
            if (other == who) {
                mix_close(mix);
                CHECK(mix = mix_open(board, &failure));
                break;
            }
            jack_close(j);
            if (who < PARTIES) {
                CHECK(jacks[who] = jack_open(board, NULL, &failure));
                atomic_store(&ports[who], jack_port(jacks[who]));
                negotiate(jacks[who], who, &state);
            } else {
                CHECK(jacks[who] = jack_open_pcm(board, 8000 * (1 + other % 3), &failure));
            }
        }
        struct jack_stats stats;
        jack_read_stats(jacks[other], &stats);
        int16_t out[4800];
        jack_read(jacks[PARTIES], out, 4800);
        round++;
        usleep(next_random(&state) % 8000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
    atomic_store(&over, true);
    pthread_join(talker, NULL), pthread_join(fetcher, NULL);
    if (tap) tap_close(tap);
    mix_close(mix);
    clip_close(clips[0]);
    board_stop(board); /* with what is still open */
    clip_close(clips[1]);
    board_close(board);
    CHECK(heard > 0);
    printf("switching: %d commands, %lu packets heard\n", round, (unsigned long)heard);
}
