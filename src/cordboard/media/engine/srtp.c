#include "srtp.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

enum { AES_BLOCK = 16, SALT = 14, AUTH_KEY = 20, SHA1 = 20, STREAMS = 4, REPLAY = 64, LONGEST = 2048 };

/* --- libcrypto ----------------------------------------------------------------------------------------------------- */

typedef struct { uint64_t room[16]; } sha1_state; /* OpenSSL's SHA_CTX, 96 bytes since its first release */

static struct {
    void *(*cipher_new)(void);
    void (*cipher_free)(void *);
    const void *(*aes_128_ecb)(void);
    int (*encrypt_init)(void *, const void *cipher, void *engine, const uint8_t *key, const uint8_t *iv);
    int (*set_padding)(void *, int);
    int (*encrypt)(void *, uint8_t *out, int *size, const uint8_t *in, int count);
    int (*sha1_init)(sha1_state *);
    int (*sha1_update)(sha1_state *, const void *data, size_t size);
    int (*sha1_final)(uint8_t *digest, sha1_state *);
    bool loaded;
} lib;

static void load(void) {
    void *so = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!so) so = dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_LOCAL);
    if (!so) return;
    const struct { void *to; const char *name; } symbols[] = {
        {&lib.cipher_new, "EVP_CIPHER_CTX_new"},     {&lib.cipher_free, "EVP_CIPHER_CTX_free"},
        {&lib.aes_128_ecb, "EVP_aes_128_ecb"},       {&lib.encrypt_init, "EVP_EncryptInit_ex"},
        {&lib.encrypt, "EVP_EncryptUpdate"},         {&lib.set_padding, "EVP_CIPHER_CTX_set_padding"},
        {&lib.sha1_init, "SHA1_Init"},               {&lib.sha1_update, "SHA1_Update"},
        {&lib.sha1_final, "SHA1_Final"},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!(*(void **)symbols[i].to = dlsym(so, symbols[i].name))) return;
    lib.loaded = true;
}

bool srtp_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return lib.loaded;
}

/* --- keys ---------------------------------------------------------------------------------------------------------- */

struct half { /* of RTP or of RTCP */
    void *cipher;
    uint8_t salt[SALT];
    sha1_state inner, outer; /* HMAC with the key already in: RFC 2104 */
};

struct stream { /* RFC 3711 §3.2.3, one per SSRC */
    bool used;
    uint32_t ssrc, roll_over;
    uint16_t highest;
    uint64_t seen; /* replay list: bit n is `highest` - n */
    uint64_t control_index, control_seen;
    bool control_used;
};

struct srtp {
    struct half rtp, rtcp;
    enum srtp_suite suite;
    uint8_t key_salt[SRTP_KEY];
    size_t tag;
    struct stream streams[STREAMS];
    unsigned turn;
    uint32_t control_sent;
};

static void *cipher_open(const uint8_t key[AES_BLOCK]) {
    void *c = lib.cipher_new();
    if (c && lib.encrypt_init(c, lib.aes_128_ecb(), NULL, key, NULL)) lib.set_padding(c, 0);
    return c;
}

/* RFC 3711 §4.1.1: the blocks iv + 0, iv + 1, ... encrypted are what is added to the text. */
static bool add_keystream(void *cipher, const uint8_t iv[AES_BLOCK], uint8_t *text, size_t size) {
    uint8_t blocks[LONGEST + AES_BLOCK];
    size_t count = (size + AES_BLOCK - 1) / AES_BLOCK;
    int made;
    if (size > LONGEST) return false;
    for (size_t i = 0; i < count; i++) {
        memcpy(blocks + i * AES_BLOCK, iv, SALT);
        write16(blocks + i * AES_BLOCK + SALT, (uint16_t)i);
    }
    if (count && !lib.encrypt(cipher, blocks, &made, blocks, (int)(count * AES_BLOCK))) return false;
    for (size_t i = 0; i < size; i++) text[i] ^= blocks[i];
    return true;
}

static void derive(void *master, const uint8_t salt[SALT], uint8_t label, uint8_t *out, size_t size) { /* §4.3.1 */
    uint8_t iv[AES_BLOCK] = {0};
    memcpy(iv, salt, SALT);
    iv[7] ^= label;
    memset(out, 0, size);
    add_keystream(master, iv, out, size);
}

static bool half_open(struct half *h, void *master, const uint8_t salt[SALT], uint8_t label) {
    uint8_t key[AES_BLOCK], auth[AUTH_KEY], pad[64];
    derive(master, salt, label, key, sizeof key);
    derive(master, salt, (uint8_t)(label + 1), auth, sizeof auth);
    derive(master, salt, (uint8_t)(label + 2), h->salt, sizeof h->salt);
    h->cipher = cipher_open(key);
    for (int i = 0; i < 64; i++) pad[i] = (uint8_t)((i < AUTH_KEY ? auth[i] : 0) ^ 0x36);
    lib.sha1_init(&h->inner), lib.sha1_update(&h->inner, pad, sizeof pad);
    for (int i = 0; i < 64; i++) pad[i] ^= 0x36 ^ 0x5C;
    lib.sha1_init(&h->outer), lib.sha1_update(&h->outer, pad, sizeof pad);
    return h->cipher != NULL;
}

struct srtp *srtp_open(enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]) {
    if (suite == SRTP_NONE || !srtp_available()) return NULL;
    struct srtp *s = calloc(1, sizeof *s);
    void *master = cipher_open(key_salt);
    if (s && master) {
        s->suite = suite, s->tag = suite == AES_CM_128_HMAC_SHA1_32 ? 4 : 10;
        memcpy(s->key_salt, key_salt, SRTP_KEY);
        bool ok = half_open(&s->rtp, master, key_salt + AES_BLOCK, 0);
        ok &= half_open(&s->rtcp, master, key_salt + AES_BLOCK, 3);
        if (!ok) srtp_close(s), s = NULL;
    }
    if (master) lib.cipher_free(master);
    return s;
}

void srtp_close(struct srtp *s) {
    if (!s) return;
    if (s->rtp.cipher) lib.cipher_free(s->rtp.cipher);
    if (s->rtcp.cipher) lib.cipher_free(s->rtcp.cipher);
    explicit_bzero(s, sizeof *s);
    free(s);
}

bool srtp_same(const struct srtp *s, enum srtp_suite suite, const uint8_t key_salt[SRTP_KEY]) {
    return s ? s->suite == suite && !memcmp(s->key_salt, key_salt, SRTP_KEY) : suite == SRTP_NONE;
}

/* --- what both directions do --------------------------------------------------------------------------------------- */

static void sign(const struct half *h, const uint8_t *data, size_t size, const uint8_t *more, size_t more_size,
                 uint8_t digest[SHA1]) {
    sha1_state state = h->inner;
    lib.sha1_update(&state, data, size);
    if (more_size) lib.sha1_update(&state, more, more_size);
    lib.sha1_final(digest, &state);
    state = h->outer;
    lib.sha1_update(&state, digest, SHA1);
    lib.sha1_final(digest, &state);
}

static bool authentic(const uint8_t *a, const uint8_t *b, size_t size) { /* in constant time */
    uint8_t differ = 0;
    for (size_t i = 0; i < size; i++) differ |= a[i] ^ b[i];
    return !differ;
}

static bool cipher(const struct half *h, uint32_t ssrc, uint64_t index, uint8_t *text, size_t size) { /* §4.1.1 */
    uint8_t iv[AES_BLOCK] = {0}, number[8];
    memcpy(iv, h->salt, SALT);
    write32(number, (uint32_t)(index >> 32)), write32(number + 4, (uint32_t)index);
    for (int i = 0; i < 4; i++) iv[4 + i] ^= (uint8_t)(ssrc >> (24 - 8 * i));
    for (int i = 0; i < 6; i++) iv[8 + i] ^= number[2 + i];
    return add_keystream(h->cipher, iv, text, size);
}

static struct stream *stream_find(struct srtp *s, uint32_t ssrc) {
    for (int i = 0; i < STREAMS; i++)
        if (s->streams[i].used && s->streams[i].ssrc == ssrc) return &s->streams[i];
    return NULL;
}

static struct stream *stream_add(struct srtp *s, uint32_t ssrc) { /* in place of the oldest */
    struct stream *t = &s->streams[s->turn++ % STREAMS];
    *t = (struct stream){.used = true, .ssrc = ssrc};
    return t;
}

static bool replayed(uint64_t index, uint64_t highest, uint64_t seen) { /* §3.3.2 */
    return index <= highest && (highest - index >= REPLAY || seen >> (highest - index) & 1);
}

static uint64_t remember(uint64_t index, uint64_t *highest, uint64_t seen) {
    if (index <= *highest) return seen | 1ull << (*highest - index);
    seen = index - *highest < REPLAY ? seen << (index - *highest) | 1 : 1;
    *highest = index;
    return seen;
}

/* --- SRTP ---------------------------------------------------------------------------------------------------------- */

size_t srtp_protect(struct srtp *s, uint8_t *packet, size_t size) {
    size_t header = rtp_header_size(packet, size);
    uint8_t roll_over[4], digest[SHA1];
    if (!header) return 0;
    uint32_t ssrc = read32(packet + 8);
    uint16_t sequence = read16(packet + 2);
    struct stream *t = stream_find(s, ssrc);
    if (!t) t = stream_add(s, ssrc), t->highest = sequence;
    uint32_t count = t->roll_over;
    if (sequence_after(sequence, t->highest) > 0) {
        if (sequence < t->highest) count = ++t->roll_over;
        t->highest = sequence;
    } else if (sequence > t->highest && count) {
        count--; /* an older packet, relayed late, from before the roll-over */
    }
    if (!cipher(&s->rtp, ssrc, (uint64_t)count << 16 | sequence, packet + header, size - header)) return 0;
    write32(roll_over, count);
    sign(&s->rtp, packet, size, roll_over, sizeof roll_over, digest);
    memcpy(packet + size, digest, s->tag);
    return size + s->tag;
}

size_t srtp_unprotect(struct srtp *s, uint8_t *packet, size_t size) {
    uint8_t roll_over[4], digest[SHA1];
    if (size < RTP_HEADER + s->tag) return 0;
    size -= s->tag;
    size_t header = rtp_header_size(packet, size);
    if (!header) return 0;
    uint32_t ssrc = read32(packet + 8);
    uint16_t sequence = read16(packet + 2);
    struct stream *t = stream_find(s, ssrc);
    uint32_t count = t ? t->roll_over : 0;
    if (t && sequence_after(sequence, t->highest) > 0 && sequence < t->highest) count++; /* appendix A */
    else if (t && sequence_after(sequence, t->highest) < 0 && sequence > t->highest) {
        if (!count) return 0;
        count--;
    }
    uint64_t index = (uint64_t)count << 16 | sequence, highest = t ? (uint64_t)t->roll_over << 16 | t->highest : index;
    if (t && replayed(index, highest, t->seen)) return 0;
    write32(roll_over, count);
    sign(&s->rtp, packet, size, roll_over, sizeof roll_over, digest);
    if (!authentic(digest, packet + size, s->tag)) return 0;
    if (!cipher(&s->rtp, ssrc, index, packet + header, size - header)) return 0;
    if (!t) t = stream_add(s, ssrc);
    t->seen = remember(index, &highest, t->seen);
    t->roll_over = (uint32_t)(highest >> 16), t->highest = (uint16_t)highest;
    return size;
}

/* --- SRTCP: §3.4; its tag has 80 bits in both suites, RFC 4568 §6.2.2 ------------------------------------------------ */

enum { CONTROL_HEADER = 8, CONTROL_TAG = 10, INDEX = 4 };

size_t srtcp_protect(struct srtp *s, uint8_t *packet, size_t size) {
    uint8_t digest[SHA1];
    if (size < CONTROL_HEADER) return 0;
    uint32_t index = ++s->control_sent & 0x7FFFFFFF;
    if (!cipher(&s->rtcp, read32(packet + 4), index, packet + CONTROL_HEADER, size - CONTROL_HEADER)) return 0;
    write32(packet + size, index | 0x80000000u);
    size += INDEX;
    sign(&s->rtcp, packet, size, NULL, 0, digest);
    memcpy(packet + size, digest, CONTROL_TAG);
    return size + CONTROL_TAG;
}

size_t srtcp_unprotect(struct srtp *s, uint8_t *packet, size_t size) {
    uint8_t digest[SHA1];
    if (size < CONTROL_HEADER + INDEX + CONTROL_TAG) return 0;
    size -= CONTROL_TAG;
    sign(&s->rtcp, packet, size, NULL, 0, digest);
    if (!authentic(digest, packet + size, CONTROL_TAG)) return 0;
    size -= INDEX;
    uint32_t ssrc = read32(packet + 4), word = read32(packet + size);
    uint64_t index = word & 0x7FFFFFFF;
    struct stream *t = stream_find(s, ssrc);
    if (t && t->control_used && replayed(index, t->control_index, t->control_seen)) return 0;
    if (word >> 31 && !cipher(&s->rtcp, ssrc, index, packet + CONTROL_HEADER, size - CONTROL_HEADER)) return 0;
    if (!t) return size; /* no RTP of it yet: nothing to remember it by */
    t->control_seen = t->control_used ? remember(index, &t->control_index, t->control_seen) : 1;
    if (!t->control_used) t->control_index = index;
    t->control_used = true;
    return size;
}
