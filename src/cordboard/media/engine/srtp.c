#include "srtp.h"
#include <stdlib.h>
bool srtp_available(void) { return false; }
struct srtp *srtp_open(enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]) { (void)suite, (void)key_salt; return NULL; }
void srtp_close(struct srtp *s) { (void)s; }
bool srtp_same(const struct srtp *s, enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]) { (void)key_salt; return !s && !suite; }
size_t srtp_protect(struct srtp *s, uint8_t *p, size_t n) { (void)s, (void)p; return n; }
size_t srtp_unprotect(struct srtp *s, uint8_t *p, size_t n) { (void)s, (void)p; return n; }
size_t srtcp_protect(struct srtp *s, uint8_t *p, size_t n) { (void)s, (void)p; return n; }
size_t srtcp_unprotect(struct srtp *s, uint8_t *p, size_t n) { (void)s, (void)p; return n; }
