/* Forged SRTP and SRTCP never pass, and what we protect ourselves does, once. */
#include "check.h"
#include "srtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct srtp *to;
    static const uint8_t key[SRTP_KEY] = {7};
    uint8_t packet[2048 + SRTP_ROOM + 4];
    if (!srtp_available() || size < 2 || size > 2048) return 0;
    if (!to) to = srtp_open(AES_CM_128_HMAC_SHA1_80, key);
    memcpy(packet, data, size);
    CHECK(srtp_unprotect(to, packet, size) == 0);
    memcpy(packet, data, size);
    CHECK(srtcp_unprotect(to, packet, size) == 0);
    memcpy(packet, data, size);
    struct srtp *a = srtp_open(data[0] & 1 ? AES_CM_128_HMAC_SHA1_32 : AES_CM_128_HMAC_SHA1_80, key);
    struct srtp *b = srtp_open(data[0] & 1 ? AES_CM_128_HMAC_SHA1_32 : AES_CM_128_HMAC_SHA1_80, key);
    size_t protected_size = srtp_protect(a, packet, size);
    if (protected_size) {
        uint8_t again[sizeof packet];
        memcpy(again, packet, protected_size);
        CHECK(srtp_unprotect(b, packet, protected_size) == size);
        CHECK(!memcmp(packet, data, size));
        CHECK(srtp_unprotect(b, again, protected_size) == 0);
    }
    srtp_close(a), srtp_close(b);
    return 0;
}
