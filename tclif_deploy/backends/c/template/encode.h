/* Real input as the network's integers. Not for network.c, which knows integers alone; needs no library.
 *
 *     x[j] = tclif_encode(value);
 *
 * A value is in the unit of the float network's input: of data with a `scale`, what the file holds times that scale. The
 * result is clip(rint(value / TCLIF_INPUT_LSB)), halves to even, as the compiler's reference rounds. Counts of a converter
 * that are TCLIF_INPUT_LSB each are such integers already.
 * Where a double has 32 bits, as on AVR, a value next to a half may round to the other side.
 */
#ifndef TCLIF_ENCODE_H
#define TCLIF_ENCODE_H

#include "config.h"

static inline tclif_input_t tclif_encode(double value)
{
    const double units = value * TCLIF_INPUTS_A_UNIT;
    if (!(units < TCLIF_INPUT_LIMIT)) {
        return units != units ? 0 : TCLIF_INPUT_LIMIT; /* not a number: nothing */
    }
    if (units <= -(double)TCLIF_INPUT_LIMIT) {
        return -TCLIF_INPUT_LIMIT;
    }
    int32_t whole = (int32_t)units;
    if (units < (double)whole) {
        whole--; /* the floor */
    }
    const double rest = units - (double)whole;
    if (rest > 0.5 || (!(rest < 0.5) && whole % 2 != 0)) {
        whole++;
    }
    return (tclif_input_t)whole;
}

#endif
