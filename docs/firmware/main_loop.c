/* A compiled network in a main loop: one input in, one step, one answer out, for ever.
 *
 *     cc -std=c99 -O2 main_loop.c network.c board.c
 *
 * network.c, network.h, config.h and tables.h are what `tclif compile --backend c` wrote; board.c is yours.
 */
#include "network.h"

/* Waits for the next step's integers, each within +-TCLIF_INPUT_LIMIT. 2: they begin a new stream; 0: switch off. */
int board_wait(tclif_input_t x[TCLIF_INPUTS]);

/* Does what the answer asks for: tclif_readout(state) is the class, tclif_value(state, n) what class n has reached. */
void board_show(const tclif_state *state);

static tclif_state state; /* all the memory that the network needs */
static tclif_input_t x[TCLIF_INPUTS];

int main(void)
{
    int awake;
    tclif_init(&state);
    while ((awake = board_wait(x)) != 0) {
        if (awake == 2) {
            tclif_init(&state);
        }
        tclif_step(&state, x);
        board_show(&state);
    }
    return 0;
}
