// The engine's harness (sqhw/driver/harness.cpp) around the whole engine, units included, and what it covered.
#include "top.h"

#include HARNESS

extern "C" {

void engine_coverage(Simulation *s, const char *path) { s->context.coveragep()->write(path); }

// Writes the bytes of a word that `strobe` tells; the address comes `late` cycles after the data, or, if that is
// negative, before it. Returns the response, or -1 if there is none.
int engine_write_bytes(Simulation *s, uint32_t address, uint32_t data, uint32_t strobe, int late) {
    auto &t = s->top;
    bool address_left = true, data_left = true;
    t.s_axil_awaddr = address;
    t.s_axil_wdata = data;
    t.s_axil_wstrb = strobe;
    t.s_axil_bready = true;
    for (int i = 0; i < 32; i++) {
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

}  // extern "C"
