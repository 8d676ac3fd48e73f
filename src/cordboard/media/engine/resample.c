#include "resample.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ZERO_CROSSINGS = 12, ZERO_CROSSINGS_UP = 8, MOST_TAPS = RESAMPLE_HISTORY, MOST_PHASES = 1000, MOST_FILTERS = 64, CHUNK = 480 };

struct filter {
    struct filter *next;
    int from, to, up, down, taps; /* taps per phase */
    int16_t coefficients[];       /* Q15, phase by phase */
};
static struct filter *filters;
static int filter_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double bessel(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 30; k++) term *= x / 2 / k * (x / 2 / k), sum += term;
    return sum;
}

static struct filter *make(int from, int to) {
    int divisor = from, other = to;
    while (other) { int rest = divisor % other; divisor = other, other = rest; }
    int up = to / divisor, down = from / divisor;
    double cutoff = to < from ? (double)to / from : 1.0; /* of the input's Nyquist frequency */
    int half = to < from ? (int)(ZERO_CROSSINGS / cutoff) : ZERO_CROSSINGS_UP;
    if (half > MOST_TAPS / 2) half = MOST_TAPS / 2;
    if (up > MOST_PHASES || filter_count >= MOST_FILTERS) return NULL;
    struct filter *f = malloc(sizeof *f + (size_t)(up * 2 * half) * sizeof *f->coefficients);
    if (!f) return NULL;
    *f = (struct filter){.from = from, .to = to, .up = up, .down = down, .taps = 2 * half};
    cutoff *= 0.92; /* the transition band ends near the lower Nyquist frequency */
    for (int phase = 0; phase < up; phase++) {
        double sum = 0, raw[MOST_TAPS];
        for (int tap = 0; tap < f->taps; tap++) {
            double x = tap - half + 1 - (double)phase / up, edge = x / half;
            double window = edge * edge < 1 ? bessel(6 * sqrt(1 - edge * edge)) / bessel(6) : 0;
            raw[tap] = (x == 0 ? cutoff : sin(M_PI * cutoff * x) / (M_PI * x)) * window;
            sum += raw[tap];
        }
        for (int tap = 0; tap < f->taps; tap++)
            f->coefficients[phase * f->taps + tap] = (int16_t)lrint(raw[tap] / sum * 32767);
    }
    return f;
}

static const struct filter *filter_for(int from, int to) {
    pthread_mutex_lock(&lock);
    struct filter *f = filters;
    while (f && (f->from != from || f->to != to)) f = f->next;
    if (!f && (f = make(from, to))) f->next = filters, filters = f, filter_count++;
    pthread_mutex_unlock(&lock);
    return f;
}

void resample_prepare(void) {
    static const int rates[] = {8000, 16000, 24000, 48000};
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            if (a != b) filter_for(rates[a], rates[b]);
}

bool resampler_open(struct resampler *r, int from, int to) {
    if (from < 4000 || from > 192000 || to < 4000 || to > 192000) return false;
    *r = (struct resampler){.filter = from == to ? NULL : filter_for(from, to), .from = from, .to = to};
    return from == to || r->filter;
}

size_t resample_room(const struct resampler *r, size_t count) {
    return r->filter ? count * (size_t)r->filter->up / (size_t)r->filter->down + 1 : count;
}

static inline int16_t filtered(const int16_t *x, const int16_t *c, int taps) {
    int32_t sum = 1 << 14;
    for (int tap = 0; tap < taps; tap++) sum += x[tap] * c[tap];
    sum >>= 15;
    return (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
}

#ifdef __SSE2__
static inline __m128i products(const int16_t *x, const int16_t *c) { /* four sums that make up one sample */
    __m128i low = _mm_madd_epi16(_mm_loadu_si128((const __m128i *)x), _mm_loadu_si128((const __m128i *)c));
    __m128i high = _mm_madd_epi16(_mm_loadu_si128((const __m128i *)(x + 8)), _mm_loadu_si128((const __m128i *)(c + 8)));
    return _mm_add_epi32(low, high);
}

/* 8 to 16 kHz, what every tap of a telephone call costs: four samples at once, the same sums as `filtered`. */
static size_t double_rate(const int16_t *c, const int16_t *x, size_t count, int16_t *out) {
    enum { TAPS = 2 * ZERO_CROSSINGS_UP };
    _Static_assert(TAPS == 16, "two registers of eight");
    size_t made = 0;
    for (; count >= 2; count -= 2, x += 2, made += 4) {
        __m128i a = products(x, c), b = products(x, c + TAPS), d = products(x + 1, c), e = products(x + 1, c + TAPS);
        __m128i ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        __m128i de = _mm_add_epi32(_mm_unpacklo_epi32(d, e), _mm_unpackhi_epi32(d, e));
        __m128i sum = _mm_add_epi32(_mm_unpacklo_epi64(ab, de), _mm_unpackhi_epi64(ab, de));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << 14)), 15);
        _mm_storel_epi64((__m128i *)(out + made), _mm_packs_epi32(sum, sum));
    }
    return made;
}
#endif

static size_t resample_chunk(struct resampler *r, const int16_t *in, size_t count, int16_t *out) {
    const struct filter *f = r->filter;
    int16_t line[RESAMPLE_HISTORY + CHUNK];
    int phase = (int)r->phase, up = f->up, whole = f->down / up, part = f->down % up;
    size_t kept = (size_t)f->taps, made = 0;
    memcpy(line, r->history, kept * sizeof *line);
    memcpy(line + kept, in, count * sizeof *line);
    const int16_t *x = line + 1 + phase / up, *end = line + 1 + count;
    phase %= up;
#ifdef __SSE2__
    if (up == 2 && f->down == 1 && !phase) {
        made = double_rate(f->coefficients, x, count, out);
        x += made / 2;
    }
#endif
    while (x < end) {
        const int16_t *c = f->coefficients + phase * f->taps;
        out[made++] = filtered(x, c, f->taps);
        x += whole, phase += part;
        if (phase >= up) phase -= up, x++;
    }
    r->phase = (unsigned)((x - end) * up + phase);
    memcpy(r->history, line + count, kept * sizeof *line);
    return made;
}

size_t resample(struct resampler *r, const int16_t *in, size_t count, int16_t *out) {
    if (!r->filter) {
        memmove(out, in, count * sizeof *in);
        return count;
    }
    size_t made = 0;
    for (size_t at = 0; at < count; at += CHUNK)
        made += resample_chunk(r, in + at, count - at < CHUNK ? count - at : CHUNK, out + made);
    return made;
}
