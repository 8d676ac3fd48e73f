/* A run of telephone-events: never more digits than events began, and only characters of a telephone. */
#include "check.h"
#include "dtmf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct dtmf_receiver r = {0};
    struct dtmf_digit d;
    int64_t now = 0;
    while (size >= 6) {
        size_t length = data[0] % 8;
        if (length > size - 2) length = size - 2;
        struct rtp p = {.timestamp = data[1], .payload = data + 2, .size = length};
        if (dtmf_receive(&r, &p, now, &d)) CHECK(strchr("0123456789*#ABCD", d.digit));
        now += data[1];
        if (dtmf_expire(&r, now, &d)) CHECK(strchr("0123456789*#ABCD", d.digit));
        data += 2 + length, size -= 2 + length;
    }
    return 0;
}
