// Drives an engine's model, Top, through its AXI ports. AXI_BYTES is the width of its streams.
// Every stream is watched in the middle of a cycle, when all outputs are settled: what is valid and ready then
// is taken at the next rising edge.

#include <cstdint>
#include <cstring>

#include "top.h"
#include "bit_parallel.h"

namespace {

struct Simulation {
    VerilatedContext context;
    Top top{&context};
    bit_parallel::Units units;
    uint64_t cycles = 0;
    uint64_t random = 0;

    bool pause(uint32_t share) {  // with the probability share / 2^32
        if (share == 0) return false;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return uint32_t(random >> 16) < share;
    }
    void evaluate(bool clock) {
        bit_parallel::current = &units;
        top.aclk = clock;
        top.eval();
    }
    void settle() { evaluate(false); }
    void edge() { evaluate(true); cycles++; }
};

// One operand: a packet, sent `repeats` times.
struct Source {
    const uint8_t *packet;
    uint64_t words, repeats, position = 0, count = 0;
    bool offered = false;

    bool left() const { return repeats != 0; }
    void taken() {
        offered = false;
        count++;
        if (++position == words) { position = 0; repeats--; }
    }
};

}  // namespace

#define OFFER(port, source) \
    if (!source.offered) source.offered = source.left() && !s->pause(pause_in); \
    if (source.offered) { \
        memcpy(&s->top.port##_tdata, source.packet + source.position * AXI_BYTES, AXI_BYTES); \
        s->top.port##_tlast = source.position + 1 == source.words; \
    } \
    s->top.port##_tvalid = source.offered;

extern "C" {

void *engine_new() { return new Simulation(); }
void engine_delete(Simulation *s) { delete s; }
uint64_t engine_cycles(Simulation *s) { return s->cycles; }

void engine_reset(Simulation *s) {
    s->top.aresetn = false;
    s->top.s_axis_sq_tvalid = false;
    s->top.s_axis_dense_tvalid = false;
    s->top.m_axis_y_tready = false;
    for (int i = 0; i < 2; i++) { s->settle(); s->edge(); }
    s->top.aresetn = true;
}

#if VM_COVERAGE
void engine_coverage(Simulation *s, const char *path) { s->context.coveragep()->write(path); }
#endif

// Writes the bytes of a word that `strobe` names; the address comes `late` cycles after the data, or, if that is
// negative, before it. Returns the response, or -1 if there is none.
int engine_write(Simulation *s, uint32_t address, uint32_t data, uint32_t strobe, int32_t late) {
    auto &t = s->top;
    bool address_left = true, data_left = true;
    t.s_axil_awaddr = address;
    t.s_axil_wdata = data;
    t.s_axil_wstrb = strobe;
    t.s_axil_bready = true;
    for (int32_t i = 0; i < 32; i++) {
        t.s_axil_awvalid = address_left && i >= late;
        t.s_axil_wvalid = data_left && i >= -late;
        s->settle();
        if (t.s_axil_awvalid && t.s_axil_awready) address_left = false;
        if (t.s_axil_wvalid && t.s_axil_wready) data_left = false;
        bool answered = t.s_axil_bvalid;
        int response = t.s_axil_bresp;
        s->edge();
        if (answered) return response;
    }
    return -1;
}

// Returns the response, or -1 if there is none.
int engine_read(Simulation *s, uint32_t address, uint32_t *data) {
    auto &t = s->top;
    t.s_axil_araddr = address;
    t.s_axil_arvalid = true;
    t.s_axil_rready = true;
    for (int i = 0; i < 16; i++) {
        s->settle();
        bool address_taken = t.s_axil_arready, answered = t.s_axil_rvalid;
        int response = t.s_axil_rresp;
        *data = t.s_axil_rdata;
        s->edge();
        if (address_taken) t.s_axil_arvalid = false;
        if (answered) return response;
    }
    return -1;
}

// Sends both operands' packets and collects results until a packet of results has ended, `cycles` have passed,
// or there is no room. Returns the words received; flags holds each word's TUSER; *ended: TLAST was seen; taken:
// words of both operands that were taken.
uint64_t engine_run(
    Simulation *s, const uint8_t *sq, uint64_t sq_words, const uint8_t *dense, uint64_t dense_words,
    uint64_t passes, uint8_t *y, uint8_t *flags, uint64_t room, uint64_t cycles, uint32_t pause_in,
    uint32_t pause_out, uint64_t seed, int *ended,
    uint64_t *taken) {
    Source sq_source{sq, sq_words, sq_words ? 1u : 0u}, dense_source{dense, dense_words, dense_words ? passes : 0};
    auto &t = s->top;
    s->random = seed * 2654435761u + 88172645463325252u;
    uint64_t received = 0;
    *ended = 0;
    for (uint64_t end = s->cycles + cycles; s->cycles < end && received < room && !*ended;) {
        OFFER(s_axis_sq, sq_source)
        OFFER(s_axis_dense, dense_source)
        bool ready = !s->pause(pause_out);
        t.m_axis_y_tready = ready;
        s->settle();
        if (sq_source.offered && t.s_axis_sq_tready) sq_source.taken();
        if (dense_source.offered && t.s_axis_dense_tready) dense_source.taken();
        if (ready && t.m_axis_y_tvalid) {
            memcpy(y + received * AXI_BYTES, &t.m_axis_y_tdata, AXI_BYTES);
            flags[received++] = t.m_axis_y_tuser;
            *ended = t.m_axis_y_tlast;
        }
        s->edge();
    }
    t.s_axis_sq_tvalid = false;
    t.s_axis_dense_tvalid = false;
    t.m_axis_y_tready = false;
    taken[0] = sq_source.count;
    taken[1] = dense_source.count;
    return received;
}

}  // extern "C"
