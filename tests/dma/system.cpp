// A processor's view of an engine with DMA: its registers by functions, and one memory behind its masters.
// Every access takes some cycles, and so does every wait.

#include <cstdint>
#include <cstring>
#include <deque>

#include "top.h"

namespace {
constexpr uint64_t SIZE = 1 << 20;
uint8_t memory[SIZE];
VerilatedContext context;
Top top{&context};
uint32_t pause = 1;

bool rests() { return (pause = pause * 1103515245 + 12345) >> 30 == 0; }

struct Reader {
    std::deque<uint64_t> words;  // addresses
    bool valid = false;
};
Reader readers[2];
std::deque<std::pair<uint64_t, int>> writes;
int answers = 0;
bool answering = false;

#define READ_SIDE(port, reader)                                                   \
    if (!reader.valid && !reader.words.empty() && !rests()) reader.valid = true;  \
    top.m_axi_##port##_arready = reader.words.size() < 64 && !rests();            \
    top.m_axi_##port##_rvalid = reader.valid;                                     \
    top.m_axi_##port##_rresp = 0;                                                 \
    if (reader.valid) std::memcpy(&top.m_axi_##port##_rdata, memory + reader.words.front() % SIZE, WORD);

#define READ_EDGE(port, reader)                                                   \
    if (top.m_axi_##port##_rvalid && top.m_axi_##port##_rready) {                 \
        reader.words.pop_front();                                                 \
        reader.valid = false;                                                     \
    }                                                                             \
    if (top.m_axi_##port##_arvalid && top.m_axi_##port##_arready)                 \
        for (int word = 0; word <= top.m_axi_##port##_arlen; word++)              \
            reader.words.push_back(top.m_axi_##port##_araddr + word * WORD);

void cycle() {
    READ_SIDE(x, readers[0])
    READ_SIDE(w, readers[1])
    if (answers && !answering && !rests()) answering = true;
    top.m_axi_y_awready = writes.size() < 4 && !rests();
    top.m_axi_y_wready = !writes.empty() && !rests();
    top.m_axi_y_bvalid = answering;
    top.m_axi_y_bresp = 0;
    top.aclk = 0;
    top.eval();
    READ_EDGE(x, readers[0])
    READ_EDGE(w, readers[1])
    if (top.m_axi_y_bvalid && top.m_axi_y_bready) answers--, answering = false;
    if (top.m_axi_y_wvalid && top.m_axi_y_wready) {
        auto &[address, left] = writes.front();
        std::memcpy(memory + address % SIZE, &top.m_axi_y_wdata, WORD);
        address += WORD;
        if (top.m_axi_y_wlast) answers++, writes.pop_front();
    }
    if (top.m_axi_y_awvalid && top.m_axi_y_awready) writes.push_back({top.m_axi_y_awaddr, top.m_axi_y_awlen + 1});
    top.aclk = 1;
    top.eval();
}
}  // namespace

extern "C" {
uint8_t *system_memory(void) { return memory; }
int system_interrupt(void) { return top.__SYM__interrupt; }

void system_wait(int cycles) {
    while (cycles--) cycle();
}

void system_reset(void) {
    top.aresetn = 0;
    system_wait(3);
    top.aresetn = 1;
    system_wait(2);
}

void system_write(uint32_t offset, uint32_t value) {
    top.s_axil_awaddr = offset;
    top.s_axil_wdata = value;
    top.s_axil_wstrb = 15;
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 1;
    bool answered = false;
    while (!answered) {
        top.eval();
        bool address = top.s_axil_awready, word = top.s_axil_wready;
        answered = top.s_axil_bvalid;
        cycle();
        if (address) top.s_axil_awvalid = 0;
        if (word) top.s_axil_wvalid = 0;
    }
    top.s_axil_bready = 0;
}

uint32_t system_read(uint32_t offset) {
    top.s_axil_araddr = offset;
    top.s_axil_arvalid = top.s_axil_rready = 1;
    uint32_t value = 0;
    bool answered = false;
    while (!answered) {
        top.eval();
        bool address = top.s_axil_arready;
        answered = top.s_axil_rvalid;
        value = top.s_axil_rdata;
        cycle();
        if (address) top.s_axil_arvalid = 0;
    }
    top.s_axil_rready = 0;
    return value;
}
}
