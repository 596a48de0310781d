// Feeds AXI4-Streams with random pauses and collects results: one run, or one per mutant of a mutated design.
#include "top.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

// Stimulus file: u32 seed, pause_in, pause_out (of 256), first run, runs, results, limit; then per stream u32 count and its
// records (TDATA as the port holds it, one byte TLAST). Output file: per run u32 state (0 done, 1 hung, 2 a
// rule of streams broken), cycles, results; then results as u32 y, u32 user.
struct Stream {
    std::vector<char> records;
    uint32_t count = 0, next = 0, size = 0;
    bool offered = false;
};

static uint64_t state;
static uint32_t draw() {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return uint32_t((state * 2685821657736338717ull) >> 40) & 255;
}

static uint32_t word(FILE* file) {
    uint32_t value = 0;
    if (std::fread(&value, 4, 1, file) != 1) std::exit(3);
    return value;
}

template <class T> static void load(Stream& stream, const T&, FILE* file) {
    stream.size = sizeof(T) + 1;
    stream.count = word(file);
    stream.records.resize(size_t(stream.size) * stream.count);
    if (stream.count && std::fread(stream.records.data(), stream.size, stream.count, file) != stream.count) std::exit(3);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    if (!in || !out) return 3;
    const uint32_t seed = word(in), pause_in = word(in), pause_out = word(in);
    const uint32_t first = word(in), runs = word(in), results = word(in), limit = word(in);
    auto top = std::make_unique<Top>();
    Stream sq, dense, scale;
    load(sq, top->s_axis_sq_tdata, in);
    load(dense, top->s_axis_dense_tdata, in);
    load(scale, top->s_axis_scale_tdata, in);
    for (uint32_t run = first; run < first + runs; run++) {
#ifdef MUTANTS
        top->mutant = run;
#endif
        state = seed * 2654435761ull + 88172645463325252ull;
        sq.next = dense.next = scale.next = 0;
        sq.offered = dense.offered = scale.offered = false;
        std::vector<uint32_t> seen;
        uint32_t status = 1, cycle = 0, wait_y = 0, wait_user = 0;
        bool waiting = false;
        auto clock = [&] {
            top->aclk = 1;
            top->eval();
            top->aclk = 0;
            top->eval();
        };
        top->s_axis_sq_tvalid = top->s_axis_dense_tvalid = top->s_axis_scale_tvalid = 0;
        top->m_axis_y_tready = 0;
        top->aresetn = 0;
        clock();
        clock();
        top->aresetn = 1;
        auto offer = [&](Stream& stream, auto& data, auto& valid, auto set_last) {
            if (!stream.offered && stream.next < stream.count && (!pause_in || draw() >= pause_in)) {
                const char* record = stream.records.data() + size_t(stream.size) * stream.next;
                std::memcpy(&data, record, sizeof(data));
                set_last(record[sizeof(data)]);
                stream.offered = true;
            }
            valid = stream.offered;
        };
        for (; cycle < limit; cycle++) {
            offer(sq, top->s_axis_sq_tdata, top->s_axis_sq_tvalid, [&](char last) { top->s_axis_sq_tlast = last; });
            offer(dense, top->s_axis_dense_tdata, top->s_axis_dense_tvalid, [&](char last) { top->s_axis_dense_tlast = last; });
            offer(scale, top->s_axis_scale_tdata, top->s_axis_scale_tvalid, [](char) {});
            top->m_axis_y_tready = !pause_out || draw() >= pause_out;
            top->eval();
            const bool valid = top->m_axis_y_tvalid;
            const uint32_t y = top->m_axis_y_tdata, user = top->m_axis_y_tuser;
            if (waiting && (!valid || y != wait_y || user != wait_user)) {
                status = 2;
                break;
            }
            waiting = valid && !top->m_axis_y_tready;
            wait_y = y;
            wait_user = user;
            auto take = [](Stream& stream, bool ready) {
                if (stream.offered && ready) stream.offered = false, stream.next++;
            };
            const bool sq_ready = top->s_axis_sq_tready, dense_ready = top->s_axis_dense_tready;
            const bool scale_ready = top->s_axis_scale_tready;
            clock();
            take(sq, sq_ready);
            take(dense, dense_ready);
            take(scale, scale_ready);
            if (valid && !waiting) {
                seen.push_back(y);
                seen.push_back(user);
                if (seen.size() == 2 * size_t(results)) {
                    status = 0;
                    cycle++;
                    break;
                }
            }
        }
        const uint32_t head[3] = {status, cycle, uint32_t(seen.size() / 2)};
        std::fwrite(head, 4, 3, out);
        std::fwrite(seen.data(), 4, seen.size(), out);
    }
#if VM_COVERAGE
    top->contextp()->coveragep()->write("coverage.dat");
#endif
    top->final();
    return std::fclose(out) ? 4 : 0;
}
