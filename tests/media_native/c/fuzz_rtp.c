/* Whatever a stranger sends as RTP: what is parsed lies within the datagram. */
#include "check.h"
#include "rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rtp p;
    if (!rtp_parse(&p, data, size)) return 0;
    CHECK(p.payload >= data + RTP_HEADER && p.payload + p.size <= data + size);
    CHECK(rtp_header_size(data, size) == (size_t)(p.payload - data));
    unsigned sum = 0;
    for (size_t i = 0; i < p.size; i++) sum += p.payload[i];
    volatile unsigned used = sum;
    (void)used;
    return 0;
}
