#include "self_test.h"

#include "self_test_vectors.h"

static uint32_t mixed(uint32_t sum, int64_t word)
{
    return sum * TCLIF_TEST_FACTOR + (uint32_t)(uint64_t)word;
}

/* Every spike, state and output after a step as one number: one changed bit changes it. */
static uint32_t sum_of(const tclif_state *state)
{
    static const uint32_t sizes[TCLIF_LAYERS] = TCLIF_LAYER_SIZES;
    static const uint8_t spikes[TCLIF_LAYERS] = TCLIF_LAYER_SPIKES;
    uint32_t sum = 0;
    for (uint32_t n = 0; n < TCLIF_NEURONS; n++) {
        sum = mixed(mixed(sum, state->u[n]), state->v[n]);
    }
    for (uint32_t layer = 0; layer < TCLIF_LAYERS; layer++) {
        for (uint32_t n = 0; spikes[layer] && n < sizes[layer]; n++) {
            sum = mixed(sum, tclif_fired(state, layer, n));
        }
    }
    for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
        sum = mixed(sum, tclif_value(state, n));
    }
    return mixed(sum, tclif_readout(state));
}

uint32_t tclif_self_test(tclif_state *state)
{
    static const uint32_t expected[TCLIF_TEST_STEPS] = TCLIF_TEST_SUMS;
    static tclif_input_t x[TCLIF_INPUTS];
    uint32_t seed = TCLIF_TEST_SEED;
    tclif_init(state);
    for (uint32_t step = 0; step < TCLIF_TEST_STEPS; step++) {
        for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
            seed = seed * 1664525U + 1013904223U;
            x[j] = (tclif_input_t)(TCLIF_TEST_LEAST + (int64_t)((uint64_t)seed * TCLIF_TEST_VALUES >> 32));
        }
        tclif_step(state, x);
        if (sum_of(state) != expected[step]) {
            return step + 1U;
        }
    }
    return 0;
}
