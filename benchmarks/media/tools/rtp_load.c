/* A load of bridged G.711 calls, and what becomes of it.
 *
 * rtp_load PORTS CALLS SECONDS PID [TYPE_A TYPE_B [answers]]
 *
 * Sends CALLS streams of 50 packets a second from 127.0.0.1:40000 and as many from :40002, spread evenly over every
 * 20 ms, to a relay's ports: PORTS is a file with a line "portA portB" for each call, or "-" for 46000 + 4i and
 * 46002 + 4i. TYPE_A and TYPE_B are payload types. Each packet carries its number and the moment of its sending; the
 * kernel stamps its arrival. With "answers", only side A sends, and what comes back is counted, not recognised.
 * A relay that translates the law hides the mark; such packets are counted as "strange" among the received ones.
 * The first second is for warming up. Where it is permitted the load runs at real-time priority, so that its own
 * delays are not taken for the relay's.
 *
 * Prints one line of JSON: packets sent and received, loss, the relay's CPU time per packet received (the clock of the
 * process PID; 0: none), and delay in microseconds: p50, p99, p999, most. */
#include <arpa/inet.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIDE_A = 40000, SIDE_B = 40002, BATCH = 32, HEADER = 12, PAYLOAD = 160, SLOTS = 20, LONGEST_US = 500000 };
#define SECOND 1000000000ull

struct mark { char magic[4]; uint32_t stream; uint64_t sent; }; /* at the beginning of a payload */
struct stream { struct sockaddr_in to; uint16_t sequence; uint32_t timestamp; };

static struct stream *streams;
static int side[2], answers, measuring;
static uint64_t sent, received, strange, longest;
static uint32_t delays[LONGEST_US + 1];

static uint64_t clock_now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int open_side(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 8 << 20, on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at)) {
        perror("rtp_load: bind");
        exit(1);
    }
    return fd;
}

static uint64_t arrival(struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
        }
    return 0;
}

static void note(const uint8_t *packet, size_t size, struct msghdr *m) {
    struct mark mark;
    received += packet[1] < 192; /* not RTCP */
    if (answers) return;
    if (size < HEADER + sizeof mark || (memcpy(&mark, packet + HEADER, sizeof mark), memcmp(mark.magic, "LOAD", 4))) {
        strange++;
        return;
    }
    uint64_t came = arrival(m), took = came > mark.sent ? came - mark.sent : 0;
    if (took > longest) longest = took;
    delays[took / 1000 < LONGEST_US ? took / 1000 : LONGEST_US]++;
}

static void drain(int fd) {
    static uint8_t data[BATCH][2048], control[BATCH][128];
    struct mmsghdr batch[BATCH];
    struct iovec parts[BATCH];
    for (int n = BATCH; n == BATCH;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){data[i], sizeof data[i]};
            batch[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = control[i],
                                               .msg_controllen = sizeof control[i]};
        }
        n = recvmmsg(fd, batch, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; measuring && i < n; i++) note(data[i], batch[i].msg_len, &batch[i].msg_hdr);
    }
}

static void flush(int fd, struct mmsghdr *batch, uint8_t (*packets)[HEADER + PAYLOAD], int count) {
    uint64_t now = clock_now(CLOCK_REALTIME);
    for (int i = 0; i < count; i++) memcpy(packets[i] + HEADER + offsetof(struct mark, sent), &now, sizeof now);
    int n = sendmmsg(fd, batch, (unsigned)count, 0);
    if (n > 0) sent += (uint64_t)n;
}

static void send_slot(int slot, int calls, const int type[2]) { /* a twentieth of all streams */
    static uint8_t packets[BATCH][HEADER + PAYLOAD];
    struct mmsghdr batch[BATCH];
    struct iovec parts[BATCH];
    int from = calls * slot / SLOTS, until = calls * (slot + 1) / SLOTS;
    for (int s = 0; s < (answers ? 1 : 2); s++) {
        int count = 0;
        for (int call = from; call < until; call++) {
            struct stream *to = &streams[2 * call + s];
            uint8_t *p = packets[count];
            struct mark mark = {"LOAD", (uint32_t)(2 * call + s), 0};
            uint32_t timestamp = htonl(to->timestamp += PAYLOAD), ssrc = htonl(0x1000u + (uint32_t)(2 * call + s));
            uint16_t sequence = htons(++to->sequence);
            memset(p + HEADER, 0xFF, PAYLOAD);
            p[0] = 0x80, p[1] = (uint8_t)type[s];
            memcpy(p + 2, &sequence, 2), memcpy(p + 4, &timestamp, 4), memcpy(p + 8, &ssrc, 4);
            memcpy(p + HEADER, &mark, sizeof mark);
            parts[count] = (struct iovec){p, HEADER + PAYLOAD};
            batch[count].msg_hdr = (struct msghdr){.msg_name = &to->to, .msg_namelen = sizeof to->to,
                                                   .msg_iov = &parts[count], .msg_iovlen = 1};
            count++;
            if (count == BATCH) flush(side[s], batch, packets, count), count = 0;
        }
        if (count) flush(side[s], batch, packets, count);
    }
}

static int percentile(double share) {
    uint64_t sum = 0;
    for (int us = 0; us <= LONGEST_US; us++)
        if ((sum += delays[us]) && (double)sum >= share * (double)received) return us;
    return -1;
}

int main(int count, char **a) {
    if (count < 5) return fputs("rtp_load PORTS CALLS SECONDS PID [TYPE_A TYPE_B [answers]]\n", stderr), 2;
    int calls = atoi(a[2]), pid = atoi(a[4]), type[2] = {count > 6 ? atoi(a[5]) : 0, count > 6 ? atoi(a[6]) : 0};
    double seconds = atof(a[3]);
    FILE *ports = strcmp(a[1], "-") ? fopen(a[1], "r") : NULL;
    clockid_t relay = 0;
    answers = count > 7;
    streams = calloc((size_t)calls * 2, sizeof *streams);
    for (int call = 0; call < calls; call++) {
        int port[2] = {46000 + 4 * call, 46002 + 4 * call};
        if (ports && fscanf(ports, "%d %d", &port[0], &port[1]) != 2) return fputs("rtp_load: too few ports\n", stderr), 1;
        for (int s = 0; s < 2; s++)
            streams[2 * call + s] = (struct stream){
                {.sin_family = AF_INET, .sin_port = htons((uint16_t)port[s]), .sin_addr = {htonl(INADDR_LOOPBACK)}},
                (uint16_t)(7 * call), 0};
    }
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 40});
    side[0] = open_side(SIDE_A), side[1] = open_side(SIDE_B);
    if (pid && clock_getcpuclockid(pid, &relay)) return perror("rtp_load: clock"), 1;
    uint64_t start = clock_now(CLOCK_MONOTONIC) + 5000000, next = start, warm = start + SECOND, cpu = 0, late = 0;
    uint64_t end = warm + (uint64_t)(seconds * 1e9);
    for (int tick = 0;; tick++, next += 1000000) {
        uint64_t now = clock_now(CLOCK_MONOTONIC);
        if (now >= end) break;
        if (!measuring && now >= warm) {
            drain(side[0]), drain(side[1]);
            measuring = 1, sent = 0;
            if (pid) cpu = clock_now(relay);
        }
        if (now < next) {
            struct timespec until = {(time_t)(next / SECOND), (long)(next % SECOND)};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            now = clock_now(CLOCK_MONOTONIC);
        }
        if (measuring && now - next > late) late = now - next;
        send_slot(tick % SLOTS, calls, type);
        drain(side[0]), drain(side[1]);
    }
    if (pid) cpu = clock_now(relay) - cpu;
    usleep(50000);
    drain(side[0]), drain(side[1]);
    printf("{\"sent\": %lu, \"received\": %lu, \"strange\": %lu, \"loss\": %.6f, \"cpu_us\": %.4f, \"p50\": %d, \"p99\": %d, "
           "\"p999\": %d, \"most\": %.0f, \"sender_late\": %.0f}\n",
           sent, received, strange, sent ? 1 - (double)received / (double)sent : 0,
           received ? (double)cpu / 1e3 / (double)received : 0, percentile(0.5), percentile(0.99), percentile(0.999),
           (double)longest / 1e3, (double)late / 1e3);
}
