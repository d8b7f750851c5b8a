/* Whether this machine computes what the compiler's reference computed, to the last bit.
 *
 *     if (tclif_self_test(&state) != 0) { the compiler, its flags, or the memory of this machine is at fault }
 *
 * self_test_vectors.h holds what is compared: for each step one number made of every spike and state. The input is drawn
 * by the formula in self_test.c, and takes no memory.
 */
#ifndef TCLIF_SELF_TEST_H
#define TCLIF_SELF_TEST_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 where every bit of every step is the reference's; else the first step, from 1, that differs. Begins with tclif_init,
 * and leaves the state as after its last step. */
uint32_t tclif_self_test(tclif_state *state);

#ifdef __cplusplus
}
#endif

#endif
