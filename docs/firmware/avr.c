/* The self-test on an AVR: says on its first serial port what it found, and sleeps. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

#include "self_test.h"

_Static_assert(sizeof(tclif_state) + 512U < RAMEND - RAMSTART, "the state and a stack do not fit into this AVR's RAM");

static tclif_state state;

static void say(const char *text)
{
    for (; *text != 0; text++) {
        while (!(UCSR0A & (1 << UDRE0))) {
        }
        UDR0 = (uint8_t)*text;
    }
}

int main(void)
{
    UCSR0B = 1 << TXEN0;
    say(tclif_self_test(&state) == 0 ? "every bit as the reference\n" : "DIFFERENT\n");
    cli(); /* simavr ends where an AVR sleeps for ever */
    sleep_enable();
    for (;;) {
        sleep_cpu();
    }
}
