// Sends standard input down the circuit's serial line, bit by bit, and writes the bytes that come back.
// Arguments: clocks a bit, bytes that are awaited.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vnetwork.h"
#include "verilated.h"

int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    const int divider = atoi(argv[1]);
    int awaited = atoi(argv[2]);
    Vnetwork top(&context);
    int sent = 0, frame = -1, clock = 0, in_clock = -1;
    uint32_t shift = 0;
    top.rx = 1;
    for (uint64_t n = 0; awaited > 0 && n < 400000000; n++) {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        if (n > 64) { // awake
            if (frame < 0) {
                const int byte = getchar();
                if (byte != EOF) {
                    shift = 1u << 9 | static_cast<uint32_t>(byte) << 1;
                    frame = clock = 0;
                    sent++;
                }
            }
            if (frame >= 0) {
                top.rx = shift >> frame & 1;
                if (++clock == divider) {
                    clock = 0;
                    frame = frame == 9 ? -1 : frame + 1;
                }
            }
        }
        if (in_clock < 0 && !top.tx) {
            in_clock = 0;
        }
        if (in_clock >= 0) {
            static uint32_t byte;
            if (in_clock % divider == divider / 2) {
                const int bit = in_clock / divider;
                if (bit >= 1 && bit <= 8) {
                    byte = byte >> 1 | (top.tx ? 0x80u : 0u);
                }
                if (bit == 9) {
                    putchar(static_cast<int>(byte));
                    awaited--;
                    in_clock = -2;
                }
            }
            in_clock++;
        }
    }
    fprintf(stderr, "overrun %d, sent %d\n", top.overrun, sent);
    return awaited > 0;
}
