// A design in cycles, for Python: single ones, a recorded run to a mutant, streams that pause at random.
//
// CLOCK: the clock's port, if there is one. INPUTS(X), OUTPUTS(X): X(port) for each other port. A record holds a
// value of each of them, side by side.
#include "top.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct Bench {
    VerilatedContext context;
    Top top{&context};

    explicit Bench(uint32_t mutant) {
        (void)mutant;
#ifdef MUTANTS
        top.mutant = mutant;
#endif
    }
    ~Bench() { top.final(); }

    void settle(const char* from) {
#define X(port) std::memcpy(&top.port, from, sizeof(top.port)), from += sizeof(top.port);
        INPUTS(X)
#undef X
#ifdef CLOCK
        top.CLOCK = 0;
#endif
        top.eval();
    }
    void show(char* to) const {
#define X(port) std::memcpy(to, &top.port, sizeof(top.port)), to += sizeof(top.port);
        OUTPUTS(X)
#undef X
    }
    void edge() {
#ifdef CLOCK
        top.CLOCK = 1;
        top.eval();
#endif
    }
};

constexpr size_t size_of_inputs = 0
#define X(port) + sizeof(Top::port)
    INPUTS(X);
#undef X
constexpr size_t size_of_outputs = 0
#define X(port) + sizeof(Top::port)
    OUTPUTS(X);
#undef X

struct Random {  // xorshift64*
    uint64_t state;

    bool below(uint32_t share) {  // with the probability share / 256
        if (!share) return false;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (uint32_t((state * 2685821657736338717ull) >> 40) & 255) < share;
    }
};

}  // namespace

extern "C" {

// Where something is in a record: -1 if it is not there.
struct Check { int32_t place, size, guard; };  // an output that counts while another one is high

// An input stream: `count` records, each `size` bytes of data, one byte: last, and `user_size` bytes beside them.
struct Source {
    const char* records;
    uint32_t count, size, user_size;
    int32_t data, valid, ready, last, user;

    const char* record(uint32_t number) const { return records + size_t(size + 1 + user_size) * number; }
};
struct Sink { int32_t data, size, valid, ready, flag; };
// pauses: of 256. answers: a source that sends a record only once as many results have come; -1 for none.
struct Limits { uint32_t seed, pause_in, pause_out, results, cycles; int32_t answers; };
// state: 0 done, 1 hung, 2 a rule of streams broken. stalls: cycles without one, starved, held, both. following:
// records that follow a last one at once.
struct Run { uint32_t state, cycles, count, stalls[4], following; };

Bench* bench_new(uint32_t mutant) { return new Bench(mutant); }
void bench_delete(Bench* bench) { delete bench; }

#if VM_COVERAGE
void bench_coverage(Bench* bench, const char* path) { bench->context.coveragep()->write(path); }
#endif

// The outputs of a cycle are those just before its end.
void bench_play(Bench* bench, const char* from, char* to, uint64_t cycles) {
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        bench->settle(from + size_of_inputs * cycle);
        bench->show(to + size_of_outputs * cycle);
        bench->edge();
    }
}

// Returns the first cycle in which an output that counts is another one, and which; or `cycles`. Handshakes are
// checked before payloads: where they agree, a payload counts for both or for none.
uint32_t bench_replay(
    uint32_t mutant, const char* from, const char* seen, uint32_t cycles, const Check* checks, int32_t count,
    int32_t* which) {
    Bench bench(mutant);
    char now[size_of_outputs];
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        bench.settle(from + size_of_inputs * cycle);
        bench.show(now);
        const char* expected = seen + size_of_outputs * cycle;
        for (*which = 0; *which < count; ++*which) {
            const Check& check = checks[*which];
            bool counts = check.guard < 0 || now[check.guard];
            if (counts && std::memcmp(expected + check.place, now + check.place, check.size)) return cycle;
        }
        bench.edge();
    }
    *which = -1;
    return cycles;
}

// Feeds streams with random pauses and collects results: data and one byte, the flag. `inputs` is a record in which
// nothing is offered.
void bench_drive(
    Bench* bench, char* inputs, const Source* sources, uint32_t count, const Sink* sink, const Limits* limits,
    char* results, Run* run) {
    struct Offer { uint32_t next = 0; bool offered = false, ended = false; };
    std::vector<Offer> offers(count);
    std::vector<char> before(sink->size + 1), now(sink->size + 1);
    char outputs[size_of_outputs];
    Random random{limits->seed * 2654435761ull + 88172645463325252ull};
    bool waiting = false;
    *run = Run{1};
    for (; run->cycles < limits->cycles; run->cycles++) {
        for (uint32_t i = 0; i < count; i++) {
            const Source& source = sources[i];
            Offer& offer = offers[i];
            const bool waits = int32_t(i) == limits->answers && offer.next > run->count;
            if (!offer.offered && offer.next < source.count && !waits && !random.below(limits->pause_in)) {
                const char* record = source.record(offer.next);
                std::memcpy(inputs + source.data, record, source.size);
                if (source.last >= 0) inputs[source.last] = record[source.size];
                if (source.user >= 0) std::memcpy(inputs + source.user, record + source.size + 1, source.user_size);
                offer.offered = true;
            }
            inputs[source.valid] = offer.offered;
        }
        const bool ready = !random.below(limits->pause_out);
        inputs[sink->ready] = ready;
        bench->settle(inputs);
        bench->show(outputs);
        const bool valid = outputs[sink->valid], held = valid && !ready;
        std::memcpy(now.data(), outputs + sink->data, sink->size);
        now[sink->size] = sink->flag < 0 ? 0 : outputs[sink->flag];
        if (waiting && (!valid || now != before)) {
            run->state = 2;
            return;
        }
        waiting = held;
        before = now;
        bool starved = false, taken = false;
        for (uint32_t i = 0; i < count; i++) {
            const Source& source = sources[i];
            Offer& offer = offers[i];
            const bool takes = outputs[source.ready];
            starved |= !offer.offered && offer.next < source.count && takes;
            if (!offer.offered || !takes) continue;
            if (i == 0) {
                taken = true;
                run->following += offer.ended;
                offer.ended = source.record(offer.next)[source.size];
            }
            offer.offered = false;
            offer.next++;
        }
        if (!taken) offers[0].ended = false;
        if (offers[0].next < sources[0].count) run->stalls[starved + 2 * held]++;
        bench->edge();
        if (valid && !held) {
            std::memcpy(results + now.size() * run->count, now.data(), now.size());
            if (++run->count == limits->results) {
                run->state = 0;
                run->cycles++;
                return;
            }
        }
    }
}

}  // extern "C"
