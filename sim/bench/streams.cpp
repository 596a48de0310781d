// Feeds streams with random pauses and collects results.
//
// CLOCK, RESET and RESET_LEVEL; SOURCES(X) is X(data, valid, ready, last) for each input stream, SINK(X) is
// X(data, valid, ready, flag) for the output; `absent` stands for `last` where a stream has none.
#include "top.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

// Stimulus file: u32 seed, pause_in, pause_out (of 256), results, limit; then per stream u32 count and its records
// (data as the port holds it, one byte: last). Output file: u32 state (0 done, 1 hung, 2 a rule of streams broken),
// cycles, results; cycles without a stall, starved, held, both; records that follow a last one at once; then results
// (data, one byte: flag).
struct Source {
    std::vector<char> records;
    uint32_t count = 0, next = 0, size = 0;
    bool offered = false, ended = false;

    const char* record() const { return records.data() + size_t(size) * next; }
    bool left() const { return next < count; }
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

static void load(Source& source, size_t size, FILE* file) {
    source.size = uint32_t(size) + 1;
    source.count = word(file);
    source.records.resize(size_t(source.size) * source.count);
    if (source.count && std::fread(source.records.data(), source.size, source.count, file) != source.count) std::exit(3);
}

template <class T> static void append(std::vector<char>& bytes, const T& data, bool flag) {
    const char* from = reinterpret_cast<const char*>(&data);
    bytes.assign(from, from + sizeof(T));
    bytes.push_back(flag);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    FILE* in = std::fopen(argv[1], "rb");
    FILE* out = std::fopen(argv[2], "wb");
    if (!in || !out) return 3;
    const uint32_t seed = word(in), pause_in = word(in), pause_out = word(in);
    const uint32_t results = word(in), limit = word(in);
    auto top = std::make_unique<Top>();
    [[maybe_unused]] uint8_t absent = 0;
    std::vector<Source> sources;
#define X(data, valid, ready, last) sources.emplace_back(), load(sources.back(), sizeof(data), in);
    SOURCES(X)
#undef X
    state = seed * 2654435761ull + 88172645463325252ull;
    std::vector<char> seen, now, before;
    uint32_t status = 1, cycle = 0, count = 0, following = 0, stalls[4] = {};
    bool waiting = false;
    auto clock = [&] {
        top->CLOCK = 1;
        top->eval();
        top->CLOCK = 0;
        top->eval();
    };
#define X(data, valid, ready, last) valid = 0;
    SOURCES(X)
#undef X
#define X(data, valid, ready, flag) ready = 0;
    SINK(X)
#undef X
    top->RESET = RESET_LEVEL;
    clock();
    clock();
    top->RESET = !RESET_LEVEL;
    for (; cycle < limit; cycle++) {
        size_t index = 0;
#define X(data, valid, ready, last) { \
        Source& source = sources[index++]; \
        if (!source.offered && source.left() && (!pause_in || draw() >= pause_in)) { \
            std::memcpy(&data, source.record(), sizeof(data)); \
            last = source.record()[sizeof(data)]; \
            source.offered = true; \
        } \
        valid = source.offered; }
        SOURCES(X)
#undef X
        bool valid, held;
#define X(data, valid_, ready, flag) \
        ready = !pause_out || draw() >= pause_out; \
        top->eval(); \
        valid = valid_, held = valid_ && !ready; \
        append(now, data, flag);
        SINK(X)
#undef X
        if (waiting && (!valid || now != before)) {
            status = 2;
            break;
        }
        waiting = held;
        before = now;
        bool starved = false, taken = false;
        index = 0;
#define X(data, valid, ready, last) { \
        Source& source = sources[index++]; \
        starved |= !source.offered && source.left() && ready; \
        if (source.offered && ready) { \
            if (index == 1) { \
                taken = true; \
                following += source.ended; \
                source.ended = source.record()[sizeof(data)]; \
            } \
            source.offered = false; \
            source.next++; \
        } }
        SOURCES(X)
#undef X
        if (!taken) sources[0].ended = false;
        if (sources[0].left()) stalls[starved + 2 * held]++;
        clock();
        if (valid && !waiting) {
            seen.insert(seen.end(), now.begin(), now.end());
            if (++count == results) {
                status = 0;
                cycle++;
                break;
            }
        }
    }
    const uint32_t head[] = {status, cycle, count, stalls[0], stalls[1], stalls[2], stalls[3], following};
    std::fwrite(head, 4, 8, out);
    std::fwrite(seen.data(), 1, seen.size(), out);
#if VM_COVERAGE
    top->contextp()->coveragep()->write("coverage.dat");
#endif
    top->final();
    return std::fclose(out) ? 4 : 0;
}
