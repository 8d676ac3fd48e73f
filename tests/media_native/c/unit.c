/* The engine's parts, one by one, for the sanitizers. Numbers that must match other implementations are compared in
 * Python; here it is lengths, limits and round trips. */
#include <math.h>
#include <unistd.h>

#include "check.h"
#include "codec.h"
#include "dtmf.h"
#include "engine.h"
#include "jitter.h"
#include "resample.h"
#include "rtcp.h"
#include "srtp.h"

#define PI 3.14159265358979

static void tone(int16_t *pcm, int count, int rate, double frequency) {
    for (int i = 0; i < count; i++) pcm[i] = (int16_t)lrint(9000 * sin(2 * PI * frequency * i / rate));
}

/* Of a tone that went through something with a delay: the best alignment counts. */
static double signal_to_noise(const int16_t *in, const int16_t *out, int count, int most_delay) {
    double best = -100;
    for (int delay = 0; delay < most_delay; delay++) {
        double signal = 0, noise = 1e-9;
        for (int i = count / 2; i < count - most_delay; i++) {
            double differ = in[i] - out[i + delay];
            signal += (double)in[i] * in[i], noise += differ * differ;
        }
        double value = 10 * log10(signal / noise);
        if (value > best) best = value;
    }
    return best;
}

static void codecs_round_trip(void) {
    static const struct { enum codec codec; double least; int delay; } cases[] = {
        {PCMU, 35, 1}, {PCMA, 35, 1}, {G722, 22, 60}, {OPUS, 10, 960}};
    static int16_t in[48000], out[48000 + LONGEST_FRAME];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        if (!codec_available(cases[c].codec)) continue;
        int rate = codec_rate(cases[c].codec), frame = rate / 50, made = 0;
        struct encoder e;
        struct decoder d;
        uint8_t payload[1500];
        tone(in, rate, rate, 440);
        CHECK(encoder_open(&e, cases[c].codec) && decoder_open(&d, cases[c].codec));
        for (int at = 0; at + frame <= rate; at += frame) {
            size_t size = encode(&e, in + at, (size_t)frame, payload, sizeof payload);
            CHECK(size > 0 && codec_samples(cases[c].codec, payload, size) == (size_t)frame);
            size_t count = decode(&d, payload, size, out + made);
            CHECK(count == (size_t)frame);
            made += (int)count;
        }
        double found = signal_to_noise(in, out, rate, cases[c].delay);
        printf("codec %d: signal to noise %.1f dB\n", cases[c].codec, found);
        CHECK(found > cases[c].least);
        encoder_close(&e), decoder_close(&d);
    }
    struct decoder d;
    int16_t pcm[LONGEST_FRAME];
    uint8_t large[LONGEST_FRAME + 1] = {0};
    CHECK(decoder_open(&d, PCMU) && decode(&d, large, sizeof large, pcm) == 0);
    CHECK(!encoder_open(&(struct encoder){0}, TELEPHONE_EVENT));
}

static void rates_convert(void) {
    static const int rates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000};
    static int16_t in[192000], there[192000 + 64], back[192000 + 64];
    for (size_t a = 0; a < sizeof rates / sizeof *rates; a++) {
        for (int b = 0; b < 4; b++) {
            int to = (int[]){8000, 16000, 24000, 48000}[b];
            struct resampler r, again;
            tone(in, rates[a], rates[a], 700);
            CHECK(resampler_open(&r, rates[a], to) && resampler_open(&again, to, rates[a]));
            size_t made = 0;
            for (int at = 0; at < rates[a];) { /* in pieces of any size */
                int piece = 1 + (at * 7919) % 700;
                if (piece > rates[a] - at) piece = rates[a] - at;
                size_t count = resample(&r, in + at, (size_t)piece, there + made);
                CHECK(count <= resample_room(&r, (size_t)piece));
                made += count, at += piece;
            }
            CHECK(labs((long)made - to) <= 1);
            size_t returned = resample(&again, there, made, back);
            CHECK(labs((long)returned - rates[a]) <= rates[a] / to + 2);
            /* Phases that are no whole number of samples cost some of the figure; a broken filter costs all of it. */
            if (rates[a] % 8000 == 0 && to >= rates[a]) CHECK(signal_to_noise(in, back, rates[a] - 200, 120) > 40);
        }
    }
    struct resampler r;
    CHECK(!resampler_open(&r, 1000, 8000) && !resampler_open(&r, 8000, 1000000) && !resampler_open(&r, 8009, 47881));
}

static char digits[32];
static void type(struct dtmf_receiver *r, const struct rtp *p, int64_t now) {
    struct dtmf_digit d;
    if (dtmf_receive(r, p, now, &d)) strncat(digits, &d.digit, 1);
}

static void digits_go_both_ways(void) {
    struct dtmf_receiver r = {0};
    int64_t now = 0;
    digits[0] = 0;
    for (const char *key = "159#D"; *key; key++) {
        struct dtmf_sender s;
        uint8_t payload[EVENT_PAYLOAD];
        bool first;
        int packets = 0;
        dtmf_start(&s, dtmf_event(*key), 800, 160);
        while (dtmf_next(&s, payload, &first)) {
            struct rtp p = {.timestamp = (uint32_t)now * 8, .payload = payload, .size = sizeof payload};
            CHECK(first == (packets == 0));
            if (packets++ != 2) type(&r, &p, now); /* one is lost */
        }
        CHECK(packets == 7); /* five of 20 ms, the last of them an end, which is sent three times */
        now += 300;
    }
    CHECK(!strcmp(digits, "159#D"));
    uint8_t held[] = {4, 10, 3, 32};
    struct rtp p = {.timestamp = 99999999, .payload = held, .size = 4};
    struct dtmf_digit d;
    type(&r, &p, now);
    CHECK(!dtmf_expire(&r, now + 100, &d) && dtmf_expire(&r, now + 200, &d) && d.digit == '4' && d.duration == 800);
    CHECK(!dtmf_expire(&r, now + 900, &d) && dtmf_event('x') == -1 && dtmf_event(0) == -1);
}

static void reports_come_back(void) {
    struct reception heard = {0};
    struct sender_report sent = {.packets = 50, .octets = 8000};
    struct report r;
    uint8_t packet[RTCP_LARGEST];
    int64_t now = 5000000000;
    reception_start(&heard, 65533, 8000);
    for (int i = 0; i < 20; i++)
        if (i % 5) reception_count(&heard, (uint16_t)(65533 + i), (uint32_t)i * 160, now + i * 20000000);
    CHECK(reception_lost(&heard) == 4);
    sent.last_remote_ntp = (uint32_t)(rtcp_ntp(now) >> 16), sent.last_remote_at = now + 100000000;
    size_t size = rtcp_write(packet, 1, &sent, 99, true, 2, &heard, true, "name", true, now + 200000000);
    CHECK(size % 4 == 0 && rtcp_read(&r, packet, size, 2, now + 150000000));
    CHECK(r.sender && r.about_us && r.bye && r.lost == 4 && r.round_trip_ms > 30 && r.round_trip_ms < 70);
    for (size_t cut = 0; cut < size; cut++) rtcp_read(&r, packet, cut, 2, now);
    CHECK(mos(0, 0, 0) > 4.2 && mos(100, 10, 0.05) < 3.6 && mos(2000, 100, 0.9) == 1);
}

static void keys_protect(void) {
    const uint8_t key[SRTP_KEY] = {1, 2, 3, 4};
    uint8_t packet[200 + SRTP_ROOM + 4];
    if (!srtp_available()) return;
    for (int suite = 1; suite <= 2; suite++) {
        struct srtp *a = srtp_open((enum srtp_suite)suite, key), *b = srtp_open((enum srtp_suite)suite, key);
        CHECK(srtp_same(a, (enum srtp_suite)suite, key) && !srtp_same(a, SRTP_NONE, key));
        for (uint32_t i = 65000; i < 66200; i++) { /* over the roll-over of the sequence number */
            memset(packet, (int)i, sizeof packet);
            rtp_write_header(packet, 0, false, (uint16_t)i, i * 160, 5);
            size_t size = srtp_protect(a, packet, 172);
            CHECK(size == (suite == 1 ? 182u : 176u));
            if (i % 7 == 3) continue; /* lost */
            if (i % 11 == 5) packet[20] ^= 1;
            CHECK(srtp_unprotect(b, packet, size) == (i % 11 == 5 ? 0u : 172u));
            CHECK(i % 11 == 5 || packet[100] == (uint8_t)i);
        }
        size_t size = srtcp_protect(a, packet, 60), kept = size;
        uint8_t copy[sizeof packet];
        memcpy(copy, packet, size);
        CHECK(size == 74 && srtcp_unprotect(b, packet, size) == 60);
        copy[30] ^= 1;
        CHECK(srtcp_unprotect(b, copy, kept) == 0);
        srtp_close(a), srtp_close(b);
    }
}

static void a_board_opens_and_closes(void) {
    struct board_settings s = {"127.0.0.1", "unit", 33000, 33020, 2, 0, 0, 10, 5};
    int failure = 0;
    struct board *b = board_open(&s, &failure);
    CHECK(b);
    struct jack *jacks[11];
    for (int i = 0; i < 10; i++) CHECK((jacks[i] = jack_open(b, i ? jacks[i - 1] : NULL, &failure)));
    jacks[10] = jack_open(b, NULL, &failure);
    CHECK(!jacks[10] || jack_port(jacks[10]) == 33020);
    if (jacks[10]) jack_close(jacks[10]);
    int16_t pcm[8000];
    tone(pcm, 8000, 8000, 300);
    struct clip *clip = clip_open(b, pcm, 8000, 8000, 0, &failure);
    struct mix *mix = mix_open(b, &failure);
    struct tap *tap = tap_open(jacks[1], &failure);
    struct recording *recording = recording_open(b, "/dev/full", jacks[0], 0, jacks[0], 1, &failure);
    CHECK(clip && mix && tap && recording);
    CHECK(!clip_open(b, pcm, 0, 8000, 0, &failure) && !clip_open(b, pcm, 8000, 100, 0, &failure));
    CHECK(jack_hears_clip(jacks[0], clip, 0) == 0 && jack_hears_jack(jacks[0], jacks[1], 0) == 0);
    CHECK(mix_add_jack(mix, jacks[1], 1) == 0 && mix_add_clip(mix, clip, 0.5) == 0 && mix_add_say(mix, jacks[2], 1) == 0);
    CHECK(jack_hears_mix(jacks[2], mix, 0) == 0 && jack_hears_say(jacks[3], jacks[3], 0) == 0);
    CHECK(say_write(jacks[3], pcm, 8000, 8000) == 1000 && say_mark(jacks[3], 7) == 0);
    for (int i = 0; i < 4; i++) say_write(jacks[3], pcm, 8000, 8000);
    CHECK(say_write(jacks[3], pcm, 8000, 8000) == FULL && say_flush(jacks[3]) == 5000 && say_queued(jacks[3]) == 0);
    CHECK(jack_send_dtmf(jacks[0], "1", 100, 80) == NO_EVENTS && jack_send_dtmf(jacks[0], "x", 100, 80) == BAD_ARGUMENT);
    struct terms bad = {.host = "not an address", .send_codec = PCMU, .ptime = 20};
    CHECK(jack_negotiated(jacks[0], &bad) == BAD_ARGUMENT);
    clip_close(clip);
    jack_close(jacks[1]); /* heard, tapped and mixed */
    tap_close(tap);
    recording_pause(recording, 1);
    recording_close(recording);
    usleep(400000);
    struct event events[8];
    CHECK(board_events(b, events, 8) == 1 && events[0].kind == EVENT_RECORDED && events[0].text[0]);
    mix_close(mix);
    for (int i = 0; i < 10; i++)
        if (i != 1) jack_close(jacks[i]);
    struct board_stats stats;
    board_read_stats(b, &stats);
    CHECK(!stats.jacks && !stats.clips && !stats.taps && !stats.mixes && !stats.recordings && !stats.ports_open);
    board_close(b);
}

int main(void) {
    g711_prepare();
    resample_prepare();
    codecs_round_trip();
    rates_convert();
    digits_go_both_ways();
    reports_come_back();
    keys_protect();
    a_board_opens_and_closes();
    puts("unit: all hold");
}
