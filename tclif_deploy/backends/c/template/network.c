/* One step of every layer, for every neuron:
 *
 *     acc = sum over connections of (W.x) * 2^exponent        events only: silent sources cost nothing
 *     i   = acc * 2^shift, or rounded(acc, -shift)
 *     u   = ovf(rnd(a_u*u) + rnd(b_u*v) + i + bias_u)         i enters the soma instead where TCLIF_TO_SOMA
 *     v   = ovf(rnd(a_v*v) + rnd(b_v*u) + bias_v)             with the new u
 *     fires where v >= threshold, then
 *     u   = ovf(u - r_u), v = ovf(v - r_v - rnd(q*u))         u from before its reset; or v = v_reset
 *
 * The types in config.h were chosen so that no sum and no product can overflow, whatever the input.
 * No operation relies on how a compiler shifts negative numbers.
 */
#include "network.h"

#define TCLIF_SPIKING 1U
#define TCLIF_HARD_RESET 2U
#define TCLIF_TO_SOMA 4U
#define TCLIF_FROM_INPUT 0xFFFFU

/* Where tables lie. An AVR reads flash by instructions of its own; its compiler puts what is __memx there, reads it from
 * anywhere in flash, and makes no array of more than 32,767 bytes: longer weights are cut into pieces of whole rows. */
#if defined(__AVR__) && defined(__STRICT_ANSI__)
#error "for AVR compile network.c with avr-gcc -std=gnu99: ISO C knows no tables in flash"
#elif defined(__AVR__)
#define TCLIF_TABLE __memx
#define TCLIF_PIECES TCLIF_CUT_WEIGHTS
#if TCLIF_LARGEST_TABLE > 32767
#error "a table of this network exceeds 32,767 bytes, which an AVR cannot address: fewer neurons, channels or weight bits"
#endif
#else
#define TCLIF_TABLE
#define TCLIF_PIECES 0
#endif
#if TCLIF_PIECES
#define TCLIF_WEIGHTS(first, all, rows) first, all, rows
#else
#define TCLIF_WEIGHTS(first, all, rows) first
#endif

#if TCLIF_CONVOLUTIONS
/* A kernel that moves over a map; neurons and sources stand in the order (channel, y, x). */
typedef struct {
    uint32_t group_in, group_out; /* channels of a group */
    uint32_t height, width;       /* of an input map */
    uint32_t rows, columns;       /* of an output map */
    uint32_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x;
    uint32_t top, left;           /* padding */
} tclif_convolution;
#endif

typedef struct {
    const TCLIF_TABLE tclif_weight_t *weight; /* [source][neuron], or [channel in][y][x][channel out of its group] */
#if TCLIF_PIECES
    const TCLIF_TABLE tclif_weight_t *const *pieces; /* 0 where it is one */
    uint16_t rows;                /* of a piece */
#endif
#if TCLIF_CONVOLUTIONS
    const tclif_convolution *moves; /* 0 where there is one weight for each pair of source and neuron */
#endif
    uint16_t source;              /* layer, or TCLIF_FROM_INPUT */
    uint16_t delay;
    uint8_t exponent;
} tclif_connection;

/* One number a neuron, or one for all of them (each == 0). */
typedef struct {
    const TCLIF_TABLE tclif_coefficient_t *values;
    uint32_t each;
} tclif_coefficients;

typedef struct {
    const TCLIF_TABLE tclif_level_t *values;
    uint32_t each;
} tclif_levels;

typedef struct {
    const tclif_connection *connections;
    tclif_coefficients a_u, b_u, a_v, b_v, q;
    tclif_levels threshold, r_u, r_v, v_reset, bias_u, bias_v, v0;
#if TCLIF_STARTS
    tclif_levels u0, s0;
#endif
    uint32_t first;       /* of the layer's neurons among all */
    uint32_t size;
    uint32_t first_byte;  /* of the layer's spike frames */
    uint16_t frames;
    uint8_t connection_count;
    int8_t shift;
    uint8_t flags;
} tclif_layer;

#include "tables.h"

#if TCLIF_COUNT_OVERFLOWS
#define TCLIF_COUNT(place, changed) (state->overflows[index][place] += (changed) ? 1U : 0U)
#else
#define TCLIF_COUNT(place, changed) ((void)0)
#endif

static tclif_wide_t level(tclif_levels levels, uint32_t n)
{
    return levels.values[n * levels.each];
}

/* p / 2^k, rounded as the network's arithmetic says. */
static tclif_wide_t rounded(tclif_wide_t p, unsigned k)
{
    if (k == 0) {
        return p;
    }
#if TCLIF_ROUNDING == TCLIF_TOWARD_ZERO
    return p < 0 ? -(-p >> k) : p >> k;
#else
#if TCLIF_ROUNDING == TCLIF_NEAREST
    p += (tclif_wide_t)1 << (k - 1);
#endif
    return p < 0 ? -(-(p + 1) >> k) - 1 : p >> k;
#endif
}

static tclif_wide_t product(tclif_coefficients coefficients, uint32_t n, tclif_wide_t state)
{
    const tclif_wide_t coefficient = coefficients.values[n * coefficients.each];
    if (coefficient == (tclif_wide_t)1 << TCLIF_FRAC_BITS) {
        return state;
    }
    return rounded(coefficient * state, TCLIF_FRAC_BITS);
}

static tclif_wide_t saturated(tclif_wide_t x, unsigned bits)
{
    const tclif_wide_t limit = ((tclif_wide_t)1 << (bits - 1)) - 1;
    return x > limit ? limit : x < -limit ? -limit : x;
}

static tclif_wide_t wrapped(tclif_wide_t x, unsigned bits)
{
    const tclif_unsigned_t half = (tclif_unsigned_t)1 << (bits - 1);
    const tclif_unsigned_t low = ((tclif_unsigned_t)x + half) & (2U * half - 1U);
    return (tclif_wide_t)low - (tclif_wide_t)half;
}

static tclif_wide_t limited_u(tclif_wide_t x)
{
    return TCLIF_WRAP_U ? wrapped(x, TCLIF_BITS_U) : saturated(x, TCLIF_BITS_U);
}

static tclif_wide_t limited_v(tclif_wide_t x)
{
    return TCLIF_WRAP_V ? wrapped(x, TCLIF_BITS_V) : saturated(x, TCLIF_BITS_V);
}

/* The bits of a layer's spikes `delay` steps ago. */
static uint32_t spike_frame(const tclif_state *state, uint32_t index, uint32_t delay)
{
    const tclif_layer *layer = &tclif_layers[index];
    uint32_t frame = state->frame[index];
    frame = frame >= delay ? frame - delay : frame + layer->frames - delay;
    return layer->first_byte + frame * ((layer->size + 7U) / 8U);
}

static void add_row(tclif_accumulator_t *sum, const TCLIF_TABLE tclif_weight_t *row, uint32_t size, tclif_accumulator_t factor)
{
    for (uint32_t n = 0; n < size; n++) {
        sum[n] += factor * row[n];
    }
}

#if TCLIF_CONVOLUTIONS
static void add_kernel(tclif_accumulator_t *sum, const tclif_convolution *m,
                       const TCLIF_TABLE tclif_weight_t *weight, uint32_t source, tclif_accumulator_t factor)
{
    const uint32_t channel = source / (m->height * m->width);
    const uint32_t y = source / m->width % m->height + m->top;
    const uint32_t x = source % m->width + m->left;
    const uint32_t positions = m->rows * m->columns;
    tclif_accumulator_t *group = sum + channel / m->group_in * m->group_out * positions;
    weight += channel * m->kernel_y * m->kernel_x * m->group_out;
    for (uint32_t a = 0; a < m->kernel_y && a * m->dilation_y <= y; a++) {
        const uint32_t down = y - a * m->dilation_y;
        if (down % m->stride_y != 0 || down / m->stride_y >= m->rows) {
            continue;
        }
        for (uint32_t b = 0; b < m->kernel_x && b * m->dilation_x <= x; b++) {
            const uint32_t right = x - b * m->dilation_x;
            if (right % m->stride_x != 0 || right / m->stride_x >= m->columns) {
                continue;
            }
            const TCLIF_TABLE tclif_weight_t *row = weight + (a * m->kernel_x + b) * m->group_out;
            tclif_accumulator_t *place = group + down / m->stride_y * m->columns + right / m->stride_x;
            for (uint32_t n = 0; n < m->group_out; n++) {
                place[n * positions] += factor * row[n];
            }
        }
    }
}
#endif

static void add_source(tclif_accumulator_t *sum, const tclif_layer *layer, const tclif_connection *c, uint32_t source,
                       tclif_accumulator_t factor)
{
#if TCLIF_CONVOLUTIONS
    if (c->moves != 0) {
        add_kernel(sum, c->moves, c->weight, source, factor);
        return;
    }
#endif
#if TCLIF_PIECES
    if (c->pieces != 0) {
        add_row(sum, c->pieces[source / c->rows] + source % c->rows * layer->size, layer->size, factor);
        return;
    }
#endif
    add_row(sum, c->weight + source * layer->size, layer->size, factor);
}

static void add_input(tclif_accumulator_t *sum, const tclif_layer *layer, const tclif_connection *c,
                      const tclif_input_t *x)
{
    for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
        if (x[j] != 0) {
            add_source(sum, layer, c, j, (tclif_accumulator_t)x[j] * ((tclif_accumulator_t)1 << c->exponent));
        }
    }
}

static void add_spikes(tclif_accumulator_t *sum, const tclif_layer *layer, const tclif_connection *c,
                       const uint8_t *bits)
{
    const uint32_t sources = tclif_layers[c->source].size;
    for (uint32_t first = 0; first < sources; first += 8U) {
        unsigned byte = bits[first / 8U];
        for (uint32_t j = first; byte != 0; j++, byte >>= 1) {
            if (byte & 1U) {
                add_source(sum, layer, c, j, (tclif_accumulator_t)1 << c->exponent);
            }
        }
    }
}

static void accumulate(tclif_state *state, const tclif_layer *layer, const tclif_input_t *x)
{
    for (uint32_t n = 0; n < layer->size; n++) {
        state->sum[n] = 0;
    }
    for (uint32_t m = 0; m < layer->connection_count; m++) {
        const tclif_connection *c = &layer->connections[m];
        if (c->source != TCLIF_FROM_INPUT) {
            add_spikes(state->sum, layer, c, &state->spikes[spike_frame(state, c->source, c->delay)]);
        } else if (c->delay == 0) {
            add_input(state->sum, layer, c, x);
        } else {
#if TCLIF_INPUT_DELAY > 0
            const uint32_t frame = (state->past_input_frame + (uint32_t)TCLIF_INPUT_DELAY - c->delay) %
                                   (uint32_t)TCLIF_INPUT_DELAY;
            add_input(state->sum, layer, c, &state->past_input[frame * TCLIF_INPUTS]);
#endif
        }
    }
}

static void update_layer(tclif_state *state, uint32_t index, const tclif_input_t *x)
{
    const tclif_layer *layer = &tclif_layers[index];
    uint8_t *bits = &state->spikes[spike_frame(state, index, 0)];
    accumulate(state, layer, x);
    for (uint32_t n = 0; n < (layer->size + 7U) / 8U; n++) {
        bits[n] = 0;
    }
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
    int reached = 0;
#endif
#endif /* TCLIF_RULE */
    for (uint32_t n = 0; n < layer->size; n++) {
        tclif_u_t *u_state = &state->u[layer->first + n];
        tclif_v_t *v_state = &state->v[layer->first + n];
        const tclif_wide_t acc = state->sum[n];
        const tclif_wide_t current = layer->shift >= 0 ? acc * ((tclif_wide_t)1 << layer->shift)
                                                       : rounded(acc, (unsigned)-layer->shift);
        const tclif_wide_t to_u = layer->flags & TCLIF_TO_SOMA ? 0 : current;
        tclif_wide_t u = *u_state;
        tclif_wide_t v = *v_state;
        tclif_wide_t sum = product(layer->a_u, n, u) + product(layer->b_u, n, v) + to_u + level(layer->bias_u, n);
        u = limited_u(sum);
        TCLIF_COUNT(0, u != sum);
        sum = product(layer->a_v, n, v) + product(layer->b_v, n, u) + (current - to_u) + level(layer->bias_v, n);
        v = limited_v(sum);
        TCLIF_COUNT(1, v != sum);
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
        if (index == TCLIF_LAYERS - 1U && state->decided == 0) {
            state->running[n] = (tclif_running_t)v;
            reached = reached || v >= level(layer->threshold, n);
        }
#endif
#endif /* TCLIF_RULE */
        if ((layer->flags & TCLIF_SPIKING) && v >= level(layer->threshold, n)) {
            bits[n / 8U] = (uint8_t)(bits[n / 8U] | 1U << n % 8U);
            if (layer->flags & TCLIF_HARD_RESET) {
                v = level(layer->v_reset, n);
            } else {
                sum = v - (level(layer->r_v, n) + product(layer->q, n, u));
                v = limited_v(sum);
                TCLIF_COUNT(3, v != sum);
            }
            sum = u - level(layer->r_u, n);
            u = limited_u(sum);
            TCLIF_COUNT(2, u != sum);
        }
        *u_state = (tclif_u_t)u;
        *v_state = (tclif_v_t)v;
    }
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
    if (reached) {
        state->decided = 1;
    }
#endif
#endif /* TCLIF_RULE */
}
#ifdef TCLIF_RULE

/* Take the step that the last layer has just made into the readout; a decision is taken inside that step. */
static void read_output(tclif_state *state)
{
#if TCLIF_RULE == TCLIF_SUM
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        state->running[n] += state->v[TCLIF_NEURONS - TCLIF_OUTPUTS + n];
    }
#elif TCLIF_RULE == TCLIF_MAX
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        const tclif_running_t v = state->v[TCLIF_NEURONS - TCLIF_OUTPUTS + n];
        state->running[n] = v > state->running[n] ? v : state->running[n];
    }
#elif TCLIF_RULE == TCLIF_COUNT_VOTES
    for (uint32_t n = 0; n < TCLIF_OUTPUTS * TCLIF_VOTES; n++) {
        state->running[n / TCLIF_VOTES] += (uint32_t)tclif_fired(state, TCLIF_LAYERS - 1U, n);
    }
#elif TCLIF_RULE == TCLIF_DECISION
    state->waited += state->decided == 0 ? 1U : 0U;
#else
    (void)state;
#endif
}
#endif /* TCLIF_RULE */

void tclif_init(tclif_state *state)
{
    for (uint32_t index = 0; index < TCLIF_LAYERS; index++) {
        const tclif_layer *layer = &tclif_layers[index];
        for (uint32_t n = 0; n < layer->size; n++) {
#if TCLIF_STARTS
            state->u[layer->first + n] = (tclif_u_t)level(layer->u0, n);
#else
            state->u[layer->first + n] = 0;
#endif
            state->v[layer->first + n] = (tclif_v_t)level(layer->v0, n);
        }
        state->frame[index] = 0;
#if TCLIF_COUNT_OVERFLOWS
        for (uint32_t place = 0; place < 4; place++) {
            state->overflows[index][place] = 0;
        }
#endif
    }
    for (uint32_t n = 0; n < TCLIF_SPIKE_BYTES; n++) {
        state->spikes[n] = 0;
    }
#if TCLIF_STARTS
    /* What fired just before the first step is read by delays; resets have been taken into u0 and v0. */
    for (uint32_t index = 0; index < TCLIF_LAYERS; index++) {
        const tclif_layer *layer = &tclif_layers[index];
        uint8_t *bits = &state->spikes[spike_frame(state, index, 0)];
        for (uint32_t n = 0; n < layer->size; n++) {
            bits[n / 8U] = (uint8_t)(bits[n / 8U] | (unsigned)level(layer->s0, n) << n % 8U);
        }
    }
#endif
#ifdef TCLIF_RULE
#if TCLIF_RUNNING
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        state->running[n] = TCLIF_RUNNING_START;
    }
#endif
#if TCLIF_RULE == TCLIF_DECISION
    state->waited = 0;
    state->decided = 0;
#endif
#else /* TCLIF_RULE */
#if TCLIF_OUTPUT_SPIKES
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        state->count[n] = 0;
    }
#endif
#endif /* TCLIF_RULE */
#if TCLIF_INPUT_DELAY > 0
    for (uint32_t n = 0; n < TCLIF_INPUT_DELAY * TCLIF_INPUTS; n++) {
        state->past_input[n] = 0;
    }
    state->past_input_frame = 0;
#endif
}

void tclif_step(tclif_state *state, const tclif_input_t *x)
{
    for (uint32_t index = 0; index < TCLIF_LAYERS; index++) {
        const unsigned next = state->frame[index] + 1U;
        state->frame[index] = (uint16_t)(next == tclif_layers[index].frames ? 0U : next);
    }
    for (uint32_t index = 0; index < TCLIF_LAYERS; index++) {
        update_layer(state, index, x);
    }
#ifdef TCLIF_RULE
    read_output(state);
#else /* TCLIF_RULE */
#if TCLIF_OUTPUT_SPIKES
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        state->count[n] += (uint32_t)tclif_fired(state, TCLIF_LAYERS - 1U, n);
    }
#endif
#endif /* TCLIF_RULE */
#if TCLIF_INPUT_DELAY > 0
    for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
        state->past_input[state->past_input_frame * (uint32_t)TCLIF_INPUTS + j] = x[j];
    }
    state->past_input_frame = (uint16_t)((state->past_input_frame + 1U) % TCLIF_INPUT_DELAY);
#endif
}

uint32_t tclif_readout(const tclif_state *state)
{
#ifdef TCLIF_RULE
#if TCLIF_FIRST
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        if (state->running[n] >= level(tclif_layers[TCLIF_LAYERS - 1U].threshold, n)) {
            return n;
        }
    }
#endif
#endif /* TCLIF_RULE */
    uint32_t best = 0;
    int64_t most = tclif_value(state, 0) * tclif_multiplier[0];
    for (uint32_t n = 1; n < TCLIF_OUTPUTS; n++) {
        const int64_t score = tclif_value(state, n) * tclif_multiplier[n];
        if (score > most) {
            most = score;
            best = n;
        }
    }
    return best;
}

int64_t tclif_value(const tclif_state *state, uint32_t output)
{
#ifdef TCLIF_RULE
#if TCLIF_RUNNING
    return state->running[output];
#elif TCLIF_RULE == TCLIF_SPIKES
    return tclif_fired(state, TCLIF_LAYERS - 1U, output);
#else
    return state->v[TCLIF_NEURONS - TCLIF_OUTPUTS + output];
#endif
}

#if TCLIF_RULE == TCLIF_DECISION
int64_t tclif_decided(const tclif_state *state)
{
    return state->decided != 0 ? (int64_t)state->waited : -1;
}

#endif
#else /* TCLIF_RULE */
#if TCLIF_OUTPUT_SPIKES
    return state->count[output];
#else
    return state->v[TCLIF_NEURONS - TCLIF_OUTPUTS + output];
#endif
}

#endif /* TCLIF_RULE */
int tclif_fired(const tclif_state *state, uint32_t layer, uint32_t neuron)
{
    const unsigned byte = state->spikes[spike_frame(state, layer, 0) + neuron / 8U];
    return byte >> neuron % 8U & 1U ? 1 : 0;
}
