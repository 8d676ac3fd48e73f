/* SRTP and SRTCP (RFC 3711) with keys from SDES (RFC 4568): AES_CM_128_HMAC_SHA1_80 and _32.
 *
 * Contract: one context protects or unprotects the packets of one direction. Protecting needs SRTP_ROOM free bytes
 * behind the packet; both work in place and return the new size, 0 where the packet must not be used (too short,
 * not authentic, replayed). AES and SHA-1 are libcrypto's, loaded at run time; without it `srtp_available` is false.
 */
#ifndef CORDBOARD_SRTP_H
#define CORDBOARD_SRTP_H

#include "rtp.h"

enum { SRTP_ROOM = 14, SRTP_KEY = 30 };
enum srtp_suite { SRTP_NONE, AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32 };

struct srtp;

bool srtp_available(void);
struct srtp *srtp_open(enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]);
void srtp_close(struct srtp *s);
bool srtp_same(const struct srtp *s, enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]);
size_t srtp_protect(struct srtp *s, uint8_t *packet, size_t size);
size_t srtp_unprotect(struct srtp *s, uint8_t *packet, size_t size);
size_t srtcp_protect(struct srtp *s, uint8_t *packet, size_t size);
size_t srtcp_unprotect(struct srtp *s, uint8_t *packet, size_t size);

#endif
