// A design in single cycles, for Python, and a recorded run played again: does a mutant show anything else?
// CLOCK is the clock's port; INPUTS(X), OUTPUTS(X): X(port); CHECKS(X): X(port, whether it counts).
#include "top.h"

#include <cstdint>
#include <cstring>

namespace {

struct Bench {
    VerilatedContext context;
    Top model{&context};
    Top* top = &model;

    explicit Bench(uint32_t mutant) {
        (void)mutant;
#ifdef MUTANTS
        top->mutant = mutant;
#endif
    }
    ~Bench() { model.final(); }
    void settle(const char* from) {
#define X(port) std::memcpy(&top->port, from, sizeof(top->port)), from += sizeof(top->port);
        INPUTS(X)
#undef X
        top->CLOCK = 0;
        top->eval();
    }
    void edge() {
        top->CLOCK = 1;
        top->eval();
    }
};

}  // namespace

extern "C" {

void* bench_new(uint32_t mutant) { return new Bench(mutant); }
void bench_delete(Bench* bench) { delete bench; }

// One cycle: the outputs are those just before its end.
void bench_step(Bench* bench, const char* from, char* to) {
    Top* top = bench->top;
    bench->settle(from);
#define X(port) std::memcpy(to, &top->port, sizeof(top->port)), to += sizeof(top->port);
    OUTPUTS(X)
#undef X
    bench->edge();
}

// Returns the first cycle in which an output that counts is another one, and which; or `cycles`.
uint32_t bench_replay(uint32_t mutant, const char* from, const char* seen, uint32_t cycles, int32_t* which) {
    Bench bench(mutant);
    Top* top = bench.top;
    size_t in_size = 0, out_size = 0;
#define X(port) in_size += sizeof(top->port);
    INPUTS(X)
#undef X
#define X(port) out_size += sizeof(top->port);
    OUTPUTS(X)
#undef X
    *which = -1;
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        bench.settle(from + in_size * cycle);
        const char* expected = seen + out_size * cycle;
        int32_t index = 0;
        // Handshakes come first: where they agree, a payload counts for both or for none.
#define X(port, counts) \
        if ((counts) && std::memcmp(expected + PLACE_##port, &top->port, sizeof(top->port))) { *which = index; return cycle; } \
        index++;
        CHECKS(X)
#undef X
        bench.edge();
    }
    return cycles;
}

}  // extern "C"
