/* A board for trying on a computer: one number a line on stdin, in the unit of the float network's input, is one step. */
#include <stdio.h>

#include "encode.h"
#include "network.h"
#include "self_test.h"

int board_wait(tclif_input_t x[TCLIF_INPUTS])
{
    static tclif_state scratch;
    static int tested;
    if (!tested) {
        tested = 1;
        printf("self-test: %s\n", tclif_self_test(&scratch) == 0 ? "every bit as the reference" : "DIFFERENT");
    }
    for (uint32_t j = 0; j < TCLIF_INPUTS; j++) {
        double value;
        if (scanf("%lf", &value) != 1) {
            return 0;
        }
        x[j] = tclif_encode(value);
    }
    return 1;
}

void board_show(const tclif_state *state)
{
    printf("class %u\n", (unsigned)tclif_readout(state));
}
