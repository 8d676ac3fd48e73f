/* Whatever a stranger sends as RTCP, and that our own reports can be read. */
#include "check.h"
#include "rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct report r;
    rtcp_read(&r, data, size, size >= 12 ? read32(data + 8) : 0, 1000000000);
    CHECK(r.round_trip_ms >= -1 && r.round_trip_ms < 10000);
    CHECK(r.fraction >= 0 && r.fraction < 1);
    return 0;
}
