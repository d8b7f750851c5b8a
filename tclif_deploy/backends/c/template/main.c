/* Streams samples from stdin through the network to stdout, in the machine's own byte order; for tests.
 *
 * In:  uint32 samples, steps; then for each sample uint32 length and steps*TCLIF_INPUTS int32.
 * Out: for each sample and step one byte a neuron of every spiking layer; after its last step int64 u and v of all
 *      neurons, the readout after `length` steps, the class then, and four overflow counts a layer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "network.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

static const uint32_t layer_size[TCLIF_LAYERS] = TCLIF_LAYER_SIZES;
static const uint8_t layer_spikes[TCLIF_LAYERS] = TCLIF_LAYER_SPIKES;

static void fail(const char *what)
{
    fprintf(stderr, "tclif: %s\n", what);
    exit(1);
}

static uint32_t read_number(void)
{
    uint32_t number;
    if (fread(&number, sizeof number, 1, stdin) != 1) {
        fail("the input ends early");
    }
    return number;
}

static void write_bytes(const void *bytes, size_t size)
{
    if (fwrite(bytes, 1, size, stdout) != size) {
        fail("cannot write");
    }
}

static void write_wide(int64_t number)
{
    write_bytes(&number, sizeof number);
}

static void read_input(tclif_input_t *x)
{
    for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
        int32_t value;
        if (fread(&value, sizeof value, 1, stdin) != 1) {
            fail("the input ends early");
        }
        if (value > TCLIF_INPUT_LIMIT || value < -TCLIF_INPUT_LIMIT) {
            fail("an input value is beyond +-" NUMBER(TCLIF_INPUT_LIMIT));
        }
        x[j] = (tclif_input_t)value;
    }
}

static void write_spikes(const tclif_state *state)
{
    static uint8_t fired[TCLIF_NEURONS];
    size_t count = 0;
    for (uint32_t layer = 0; layer < TCLIF_LAYERS; layer++) {
        for (uint32_t n = 0; layer_spikes[layer] && n < layer_size[layer]; n++) {
            fired[count++] = (uint8_t)tclif_fired(state, layer, n);
        }
    }
    write_bytes(fired, count);
}

int main(void)
{
    static tclif_state state;
    static tclif_input_t x[TCLIF_INPUTS];
    static int64_t readout[TCLIF_OUTPUTS];
    const uint32_t samples = read_number();
    const uint32_t steps = read_number();
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_SUM
    if (steps > TCLIF_MOST_STEPS) {
        fail("the sum of so many steps can exceed 64 bits");
    }
#elif TCLIF_RULE == TCLIF_DECISION
    int64_t decided = -1;
#endif
#endif /* TCLIF_RULE */
    for (uint32_t sample = 0; sample < samples; sample++) {
        const uint32_t length = read_number();
        uint32_t class = 0;
        tclif_init(&state);
        for (uint32_t t = 0; t < steps; t++) {
            read_input(x);
            tclif_step(&state, x);
            write_spikes(&state);
            if (t + 1 == length) {
                class = tclif_readout(&state);
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
                decided = tclif_decided(&state);
#endif
#endif /* TCLIF_RULE */
                for (uint32_t n = 0; n < TCLIF_OUTPUTS; n++) {
                    readout[n] = tclif_value(&state, n);
                }
            }
        }
        for (uint32_t n = 0; n < TCLIF_NEURONS; n++) {
            write_wide(state.u[n]);
        }
        for (uint32_t n = 0; n < TCLIF_NEURONS; n++) {
            write_wide(state.v[n]);
        }
        write_bytes(readout, sizeof readout);
        write_wide(class);
#ifdef TCLIF_RULE
#if TCLIF_RULE == TCLIF_DECISION
        write_wide(decided); /* the step of the decision until `length`, or -1 */
#endif
#endif /* TCLIF_RULE */
        for (uint32_t layer = 0; layer < TCLIF_LAYERS; layer++) {
            for (uint32_t place = 0; place < 4; place++) {
#if TCLIF_COUNT_OVERFLOWS
                write_wide((int64_t)state.overflows[layer][place]);
#else
                write_wide(0);
#endif
            }
        }
    }
    return 0;
}
