// One record of inputs per clock cycle in, one record of outputs per cycle out: sampled before the edge.
#include "top.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

template <class T> static const char* take(T& port, const char* from) {
    std::memcpy(&port, from, sizeof(port));
    return from + sizeof(port);
}

template <class T> static char* give(const T& port, char* to) {
    std::memcpy(to, &port, sizeof(port));
    return to + sizeof(port);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    if (!in || !out) return 3;
    auto top = std::make_unique<Top>();
    size_t in_size = 0, out_size = 0;
#define X(port) in_size += sizeof(top->port);
    INPUTS(X)
#undef X
#define X(port) out_size += sizeof(top->port);
    OUTPUTS(X)
#undef X
    std::vector<char> given(in_size), seen(out_size);
    auto tick = [&] {
#ifdef CLOCK
        top->clk = 1;
        top->eval();
        top->clk = 0;
#endif
    };
#ifdef CLOCK
    top->rst = 1;
    top->eval();
    tick();
    top->rst = 0;
#endif
    while (std::fread(given.data(), 1, in_size, in) == in_size) {
        const char* from = given.data();
#define X(port) from = take(top->port, from);
        INPUTS(X)
#undef X
        top->eval();
        char* to = seen.data();
#define X(port) to = give(top->port, to);
        OUTPUTS(X)
#undef X
        std::fwrite(seen.data(), 1, out_size, out);
        tick();
    }
    top->final();
    return std::fclose(out) ? 4 : 0;
}
