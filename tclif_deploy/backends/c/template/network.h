/* A compiled spiking network: integers only, no libc, no heap, no floats; every state is in the caller's struct.
 *
 *     static tclif_state state;
 *     tclif_init(&state);
 *     for each time step:  tclif_step(&state, x);          x[TCLIF_INPUTS]
 *     class = tclif_readout(&state);
 *
 * config.h and tables.h hold the numbers of one network; this file and network.c are the same for all.
 * Build:  cc -std=c99 -O2 -c network.c
 */
#ifndef TCLIF_NETWORK_H
#define TCLIF_NETWORK_H

#include <stdint.h>

#include "config.h"

/* Define as 1 for both files to count overflows: 32 bytes of RAM a layer. */
#ifndef TCLIF_COUNT_OVERFLOWS
#define TCLIF_COUNT_OVERFLOWS 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    tclif_accumulator_t sum[TCLIF_WIDEST_LAYER]; /* scratch: one layer at a time */
#if TCLIF_COUNT_OVERFLOWS
    uint64_t overflows[TCLIF_LAYERS][4]; /* values that did not fit: u, v when charged; u, v when reset */
#endif
    tclif_u_t u[TCLIF_NEURONS]; /* dendrites, layer after layer */
    tclif_v_t v[TCLIF_NEURONS]; /* somas */
#ifdef TCLIF_RULE
#if TCLIF_RUNNING
    tclif_running_t running[TCLIF_OUTPUTS]; /* the readout up to now */
#endif
#if TCLIF_RULE == TCLIF_DECISION
    uint32_t waited; /* steps before the one that decided */
#endif
#else /* TCLIF_RULE */
#if TCLIF_OUTPUT_SPIKES
    uint32_t count[TCLIF_OUTPUTS];
#endif
#endif /* TCLIF_RULE */
#if TCLIF_INPUT_DELAY > 0
    tclif_input_t past_input[TCLIF_INPUT_DELAY * TCLIF_INPUTS];
    uint16_t past_input_frame;
#endif
    uint16_t frame[TCLIF_LAYERS]; /* which of a layer's spike frames is the present step's */
    uint8_t spikes[TCLIF_SPIKE_BYTES]; /* one bit a neuron, as many frames of a layer as delays look back */
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
    uint8_t decided;
#endif
#endif /* TCLIF_RULE */
} tclif_state;

/* Before the first step of every sequence. */
void tclif_init(tclif_state *state);

/* One time step. x: TCLIF_INPUTS integers, each within +-TCLIF_INPUT_LIMIT. */
void tclif_step(tclif_state *state, const tclif_input_t *x);

#ifdef TCLIF_RULE
/* The class that the network says now: the largest value * multiplier, the lowest index among equals; where TCLIF_FIRST,
 * the first output that has reached its threshold, if one has. */
uint32_t tclif_readout(const tclif_state *state);

/* The readout of one output after the last step, as config.h says; a mean is a sum, a rate and votes are counts. */
int64_t tclif_value(const tclif_state *state, uint32_t output);

#if TCLIF_RULE == TCLIF_DECISION
/* The step, from 0, at which an output reached its threshold: from there on the readout stays; -1: none has yet. */
int64_t tclif_decided(const tclif_state *state);

#endif
#else /* TCLIF_RULE */
/* The class that the network says now: the largest value * multiplier, the lowest index among equals. */
uint32_t tclif_readout(const tclif_state *state);

/* What the last layer holds for one class: its soma, or its spike count where it fires. */
int64_t tclif_value(const tclif_state *state, uint32_t output);

#endif /* TCLIF_RULE */
/* Whether a neuron fired in the last step; layers count from 0. */
int tclif_fired(const tclif_state *state, uint32_t layer, uint32_t neuron);

#ifdef __cplusplus
}
#endif

#endif
