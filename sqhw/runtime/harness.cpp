// Drives an engine's model (CXXRTL) through its AXI ports. Included behind the model; TOP is its class,
// AXI_BYTES the width of its streams. Every stream is watched in the middle of a cycle, when all outputs are
// settled: what is valid and ready then is taken at the next rising edge.

#include <cstdint>
#include <cstring>

namespace {

struct Simulation {
    cxxrtl_design::TOP top;
    uint64_t cycles = 0;
    uint64_t random = 0;

    bool pause(uint32_t share) {  // with the probability share / 2^32
        if (share == 0) return false;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        return uint32_t(random >> 16) < share;
    }
    void settle() { top.p_aclk.set<bool>(false); top.step(); }
    void edge() { top.p_aclk.set<bool>(true); top.step(); cycles++; }
};

// One operand: a packet, sent `repeats` times.
struct Source {
    const uint8_t *packet;
    uint64_t words, repeats, position = 0;
    bool offered = false;

    bool left() const { return repeats != 0; }
    void taken() {
        offered = false;
        if (++position == words) { position = 0; repeats--; }
    }
};

}  // namespace

#define OFFER(port, source) \
    if (!source.offered) source.offered = source.left() && !s->pause(pause_in); \
    if (source.offered) { \
        memcpy(s->top.p_##port##__tdata.data, source.packet + source.position * AXI_BYTES, AXI_BYTES); \
        s->top.p_##port##__tlast.set<bool>(source.position + 1 == source.words); \
    } \
    s->top.p_##port##__tvalid.set<bool>(source.offered);

extern "C" {

void *engine_new() { return new Simulation(); }
void engine_delete(Simulation *s) { delete s; }
uint64_t engine_cycles(Simulation *s) { return s->cycles; }

void engine_reset(Simulation *s) {
    s->top.p_aresetn.set<bool>(false);
    s->top.p_s__axis__sq__tvalid.set<bool>(false);
    s->top.p_s__axis__dense__tvalid.set<bool>(false);
    s->top.p_m__axis__y__tready.set<bool>(false);
    for (int i = 0; i < 2; i++) { s->settle(); s->edge(); }
    s->top.p_aresetn.set<bool>(true);
}

// Returns the response, or -1 if there is none.
int engine_write(Simulation *s, uint32_t address, uint32_t data) {
    auto &t = s->top;
    t.p_s__axil__awaddr.set<uint32_t>(address);
    t.p_s__axil__wdata.set<uint32_t>(data);
    t.p_s__axil__wstrb.set<uint32_t>(15);
    t.p_s__axil__awvalid.set<bool>(true);
    t.p_s__axil__wvalid.set<bool>(true);
    t.p_s__axil__bready.set<bool>(true);
    for (int i = 0; i < 16; i++) {
        s->settle();
        bool address_taken = t.p_s__axil__awready.get<bool>(), data_taken = t.p_s__axil__wready.get<bool>();
        bool answered = t.p_s__axil__bvalid.get<bool>();
        int response = t.p_s__axil__bresp.get<uint32_t>();
        s->edge();
        if (address_taken) t.p_s__axil__awvalid.set<bool>(false);
        if (data_taken) t.p_s__axil__wvalid.set<bool>(false);
        if (answered) return response;
    }
    return -1;
}

// Returns the response, or -1 if there is none.
int engine_read(Simulation *s, uint32_t address, uint32_t *data) {
    auto &t = s->top;
    t.p_s__axil__araddr.set<uint32_t>(address);
    t.p_s__axil__arvalid.set<bool>(true);
    t.p_s__axil__rready.set<bool>(true);
    for (int i = 0; i < 16; i++) {
        s->settle();
        bool address_taken = t.p_s__axil__arready.get<bool>(), answered = t.p_s__axil__rvalid.get<bool>();
        int response = t.p_s__axil__rresp.get<uint32_t>();
        *data = t.p_s__axil__rdata.get<uint32_t>();
        s->edge();
        if (address_taken) t.p_s__axil__arvalid.set<bool>(false);
        if (answered) return response;
    }
    return -1;
}

// Sends both operands' packets and collects results until a packet of results has ended, `cycles` have passed,
// or there is no room. Returns the words received; flags holds each word's TUSER; *ended: TLAST was seen.
uint64_t engine_run(
    Simulation *s, const uint8_t *sq, uint64_t sq_words, const uint8_t *dense, uint64_t dense_words,
    uint64_t passes, uint8_t *y, uint8_t *flags, uint64_t room, uint64_t cycles, uint32_t pause_in,
    uint32_t pause_out, uint64_t seed, int *ended) {
    Source sq_source{sq, sq_words, sq_words ? 1u : 0u}, dense_source{dense, dense_words, dense_words ? passes : 0};
    auto &t = s->top;
    s->random = seed * 2654435761u + 88172645463325252u;
    uint64_t received = 0;
    *ended = 0;
    for (uint64_t end = s->cycles + cycles; s->cycles < end && received < room && !*ended;) {
        OFFER(s__axis__sq, sq_source)
        OFFER(s__axis__dense, dense_source)
        bool ready = !s->pause(pause_out);
        t.p_m__axis__y__tready.set<bool>(ready);
        s->settle();
        if (sq_source.offered && t.p_s__axis__sq__tready.get<bool>()) sq_source.taken();
        if (dense_source.offered && t.p_s__axis__dense__tready.get<bool>()) dense_source.taken();
        if (ready && t.p_m__axis__y__tvalid.get<bool>()) {
            memcpy(y + received * AXI_BYTES, t.p_m__axis__y__tdata.data, AXI_BYTES);
            flags[received++] = t.p_m__axis__y__tuser.get<bool>();
            *ended = t.p_m__axis__y__tlast.get<bool>();
        }
        s->edge();
    }
    t.p_s__axis__sq__tvalid.set<bool>(false);
    t.p_s__axis__dense__tvalid.set<bool>(false);
    t.p_m__axis__y__tready.set<bool>(false);
    return received;
}

}  // extern "C"
