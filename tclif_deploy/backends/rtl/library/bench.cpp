// Streams samples through the simulated circuit: standard input to standard output, both little-endian.
//
// In:  samples, observe, seed (0: never wait), then of each sample: length, words, and so many times kind | index << 16
//      and value; all of 32 bits.
// Out: words of kind | layer << 8 | index << 16 and data, of 32 bits each; last, of kind 255, the clocks of all in data
//      and in index the clocks beyond 2^32.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vnetwork.h"
#include "verilated.h"

static const uint64_t PATIENCE = 100000000; // clocks without a word, after which something is wrong

static uint32_t number() {
    uint32_t value = 0;
    if (fread(&value, sizeof value, 1, stdin) != 1) {
        fprintf(stderr, "error: the input ends too early\n");
        exit(2);
    }
    return value;
}

static uint32_t random_state;

static bool coin() { // xorshift; long and short stretches of either
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (random_state >> 8) % 7 < 3 + (random_state >> 28) % 3;
}

static Vnetwork *top;
static uint64_t clocks, quiet;
static bool changed = true; // an input other than the streams' valid and ready

static void put(uint32_t head, uint32_t data) {
    uint32_t words[2] = {head, data};
    if (fwrite(words, sizeof words, 1, stdout) != 1) {
        exit(2);
    }
}

// One clock; true where the word that waits at the input was taken. Says whether a sample's last word left.
static bool step(bool waiting, bool *ended) {
    const uint8_t valid = waiting && (!random_state || coin()), ready = !random_state || coin();
    if (changed || valid != top->in_valid || ready != top->out_ready) {
        top->in_valid = valid;
        top->out_ready = ready;
        top->eval();
        changed = false;
    }
    bool taken = top->in_valid && top->in_ready;
    bool left = top->out_valid && top->out_ready;
    if (left) {
        put(top->out_kind | top->out_layer << 8 | static_cast<uint32_t>(top->out_index) << 16, top->out_data);
        *ended = *ended || top->out_kind == 7;
    }
    top->clk = 1;
    top->eval();
    top->clk = 0;
    top->eval();
    clocks++;
    quiet = taken || left ? 0 : quiet + 1;
    if (quiet > PATIENCE) {
        fprintf(stderr, "error: the circuit stands still\n");
        exit(3);
    }
    return taken;
}

int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    top = new Vnetwork(&context);
    uint32_t samples = number();
    top->observe = number();
    random_state = number();
    top->clk = 0;
    top->rst = 1;
    bool ended = false;
    for (int n = 0; n < 4; n++) {
        step(false, &ended);
    }
    top->rst = 0;
    for (uint32_t sample = 0; sample < samples; sample++) {
        top->length = number();
        changed = true;
        uint32_t words = number();
        ended = false;
        for (uint32_t n = 0; n < words; n++) {
            uint32_t head = number();
            top->in_kind = head & 3;
            top->in_index = head >> 16;
            top->in_value = number();
            changed = true;
            while (!step(true, &ended)) {
            }
        }
        while (!ended) {
            step(false, &ended);
        }
    }
    put(255 | static_cast<uint32_t>(clocks >> 32) << 16, static_cast<uint32_t>(clocks));
    top->final();
    delete top;
    return 0;
}
