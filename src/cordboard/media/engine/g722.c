/* ITU-T G.722, 64 kbit/s mode: two sub-bands, each adaptive differential PCM. Names and block numbers are the
 * Recommendation's (§6.2), so that the code can be read beside it. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"

static const int qmf[12] = {3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11};
static const int q6[30] = {0,   35,  72,  110, 150, 190, 233, 276,  323,  370,  422,  473,  530,  587,  650,
                           714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919};
static const int qm2[4] = {-7408, -1616, 7408, 1616};
static const int qm4[16] = {0,     -20456, -12896, -8968, -6288, -4240, -2584, -1200,
                            20456, 12896,  8968,   6288,  4240,  2584,  1200,  0};
static const int qm6[64] = {
    -136,  -136,  -136,  -136,  -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
    -7192, -6576, -6000, -5456, -4944,  -4464,  -4008,  -3576,  -3168,  -2776,  -2400,  -2032,  -1688,  -1360, -1040, -728,
    24808, 21904, 19008, 16704, 14984,  13512,  12280,  11192,  10232,  9360,   8576,   7856,   7192,   6576,  6000,  5456,
    4944,  4464,  4008,  3576,  3168,   2776,   2400,   2032,   1688,   1360,   1040,   728,    432,    136,   -432,  -136};
static const int wl[8] = {-60, -30, 58, 172, 334, 538, 1198, 3042};
static const int rl42[16] = {0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0};
static const int wh[3] = {0, -214, 798}, rh2[4] = {2, 1, 2, 1};
static const int ilb[32] = {2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
                            2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008};

static inline int limit(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
static inline int saturate(int v) { return limit(v, -32768, 32767); }

static void adapt(struct g722_band *b, int d) { /* block 4: reconstruction and both predictors */
    int sign = d >> 15;
    b->d[0] = d;
    b->r[0] = saturate(b->s + d);  /* RECONS */
    b->p[0] = saturate(b->sz + d); /* PARREC */

    int s0 = b->p[0] >> 15, s1 = b->p[1] >> 15, s2 = b->p[2] >> 15;
    int wd = saturate(b->a[1] * 4); /* UPPOL2 */
    wd = s0 == s1 ? -wd : wd;
    if (wd > 32767) wd = 32767;
    b->ap[2] = limit((s0 == s2 ? 128 : -128) + (wd >> 7) + (b->a[2] * 32512 >> 15), -12288, 12288);
    int most = saturate(15360 - b->ap[2]); /* UPPOL1 */
    b->ap[1] = limit(saturate((s0 == s1 ? 192 : -192) + (b->a[1] * 32640 >> 15)), -most, most);

    int step = d == 0 ? 0 : 128; /* UPZERO */
    for (int i = 1; i < 7; i++)
        b->bp[i] = saturate((b->d[i] >> 15 == sign ? step : -step) + (b->b[i] * 32640 >> 15));

    for (int i = 6; i > 0; i--) b->d[i] = b->d[i - 1], b->b[i] = b->bp[i]; /* DELAYA */
    for (int i = 2; i > 0; i--) b->r[i] = b->r[i - 1], b->p[i] = b->p[i - 1], b->a[i] = b->ap[i];

    int one = b->a[1] * saturate(2 * b->r[1]) >> 15, two = b->a[2] * saturate(2 * b->r[2]) >> 15;
    b->sp = saturate(one + two); /* FILTEP */
    b->sz = 0;                   /* FILTEZ */
    for (int i = 6; i > 0; i--) b->sz += b->b[i] * saturate(2 * b->d[i]) >> 15;
    b->sz = saturate(b->sz);
    b->s = saturate(b->sp + b->sz); /* PREDIC */
}

static void scale(struct g722_band *b, int step, int most, int shift) { /* blocks 3: LOGSC and SCALE */
    b->nb = limit((b->nb * 127 >> 7) + step, 0, most);
    int mantissa = ilb[b->nb >> 6 & 31], by = shift - (b->nb >> 11);
    b->det = (by < 0 ? mantissa << -by : mantissa >> by) * 4;
}

static void low_band(struct g722_band *b, int code) { /* code: the upper four bits of the six */
    int d = b->det * qm4[code] >> 15;
    scale(b, wl[rl42[code]], 18432, 8);
    adapt(b, d);
}

static void high_band(struct g722_band *b, int code) {
    int d = b->det * qm2[code] >> 15;
    scale(b, wh[rh2[code]], 22528, 10);
    adapt(b, d);
}

struct g722 *g722_open(void) {
    struct g722 *g = calloc(1, sizeof *g);
    if (g) g->band[0].det = 32, g->band[1].det = 8;
    return g;
}

size_t g722_encode(struct g722 *g, const int16_t *pcm, size_t samples, uint8_t *out) {
    struct g722_band *low = &g->band[0], *high = &g->band[1];
    size_t n = 0;
    for (size_t at = 0; at + 1 < samples; at += 2) {
        memmove(g->x, g->x + 2, 22 * sizeof g->x[0]);
        g->x[22] = pcm[at], g->x[23] = pcm[at + 1];
        int even = 0, odd = 0;
        for (int i = 0; i < 12; i++) even += g->x[2 * i] * qmf[i], odd += g->x[2 * i + 1] * qmf[11 - i];

        int e = saturate(((even + odd) >> 14) - low->s), wd = e >= 0 ? e : -(e + 1), i = 1; /* QUANTL */
        while (i < 30 && wd >= (q6[i] * low->det >> 12)) i++;
        int ilow = e >= 0 ? 62 - i : i < 3 ? 64 - i : 34 - i;
        low_band(low, ilow >> 2);

        e = saturate(((even - odd) >> 14) - high->s), wd = e >= 0 ? e : -(e + 1); /* QUANTH */
        int large = wd >= (564 * high->det >> 12);
        int ihigh = e >= 0 ? 3 - large : 1 - large;
        high_band(high, ihigh);
        out[n++] = (uint8_t)(ihigh << 6 | ilow);
    }
    return n;
}

size_t g722_decode(struct g722 *g, const uint8_t *in, size_t size, int16_t *pcm) {
    struct g722_band *low = &g->band[0], *high = &g->band[1];
    size_t n = 0;
    for (size_t at = 0; at < size; at++) {
        int ilow = in[at] & 63, ihigh = in[at] >> 6;
        int rlow = limit(low->s + (low->det * qm6[ilow] >> 15), -16384, 16383);
        low_band(low, ilow >> 2);
        int rhigh = limit(high->s + (high->det * qm2[ihigh] >> 15), -16384, 16383);
        high_band(high, ihigh);
        memmove(g->x, g->x + 2, 22 * sizeof g->x[0]);
        g->x[22] = rlow + rhigh, g->x[23] = rlow - rhigh;
        int one = 0, two = 0;
        for (int i = 0; i < 12; i++) two += g->x[2 * i] * qmf[i], one += g->x[2 * i + 1] * qmf[11 - i];
        pcm[n++] = (int16_t)saturate(one >> 11);
        pcm[n++] = (int16_t)saturate(two >> 11);
    }
    return n;
}
