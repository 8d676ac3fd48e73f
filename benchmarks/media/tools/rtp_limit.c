/* The limit that the media engine is held against: forward datagrams between pairs of ports and do nothing else.
 *
 * rtp_limit CALLS: call i has the ports 46000 + 4i and 46002 + 4i; what comes to one leaves by the other, to
 * 127.0.0.1:40002 and :40000. One thread, epoll, recv, send: the cost of the UDP stack itself. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { FIRST_PORT = 46000, SIDE_A = 40000, SIDE_B = 40002, READY = 256, DATAGRAM = 2048 };

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

int main(int count, char **arguments) {
    int legs = 2 * (count > 1 ? atoi(arguments[1]) : 1), epoll = epoll_create1(0);
    int *sockets = calloc((size_t)legs, sizeof *sockets);
    for (int leg = 0; leg < legs; leg++) {
        struct sockaddr_in local = loopback(FIRST_PORT + 2 * leg), remote = loopback(leg & 1 ? SIDE_B : SIDE_A);
        struct epoll_event watch = {.events = EPOLLIN, .data.u32 = (unsigned)leg};
        sockets[leg] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (bind(sockets[leg], (struct sockaddr *)&local, sizeof local) ||
            connect(sockets[leg], (struct sockaddr *)&remote, sizeof remote) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[leg], &watch)) {
            perror("rtp_limit");
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[READY];
        char datagram[DATAGRAM];
        int n = epoll_wait(epoll, ready, READY, -1);
        for (int i = 0; i < n; i++) {
            unsigned leg = ready[i].data.u32;
            ssize_t size = recv(sockets[leg], datagram, sizeof datagram, 0);
            if (size > 0) send(sockets[leg ^ 1], datagram, (size_t)size, 0);
        }
    }
}
