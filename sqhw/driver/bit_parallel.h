// Up to 64 equal units per word, bit u of each word being unit u. Included behind the types and in front of
// nothing; GATES is the file that sqhw.driver.bit_parallel made.

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace bit_parallel {

typedef uint64_t word;
#include GATES

enum { LANES = 64, WORDS_IN = (INPUTS + 63) / 64, WORDS_OUT = (OUTPUTS + 63) / 64 };

// Bit c of row r becomes bit r of row c; blocks of 2 x 2 are swapped, smaller and smaller ones.
template <int WIDTH = 32>
inline void transpose(word *rows) {
    const word mask = ~word(0) / ((word(1) << WIDTH) + 1);
    for (int first = 0; first < 64; first += 2 * WIDTH)
        for (int row = first; row < first + WIDTH; row++) {
            word swapped = ((rows[row] >> WIDTH) ^ rows[row + WIDTH]) & mask;
            rows[row] ^= swapped << WIDTH;
            rows[row + WIDTH] ^= swapped;
        }
    if constexpr (WIDTH > 1) transpose<WIDTH / 2>(rows);
}

// 64 units.
struct Group {
    word state[REGISTERS], next[REGISTERS];
    word given[LANES][WORDS_IN] = {}, shown[LANES][WORDS_OUT] = {};  // as each unit's stub sees them

    Group() {
        for (int index = 0; index < REGISTERS; index++) state[index] = initial[index] ? ~word(0) : 0;
    }
    void step() {
        word inputs[64 * WORDS_IN], outputs[64 * WORDS_OUT] = {};
        for (int part = 0; part < WORDS_IN; part++) {
            for (int lane = 0; lane < LANES; lane++) inputs[64 * part + lane] = given[lane][part];
            transpose(inputs + 64 * part);
        }
        unit_step(inputs, state, next);
        memcpy(state, next, sizeof state);
        unit_show(state, outputs);
        for (int part = 0; part < WORDS_OUT; part++) {
            transpose(outputs + 64 * part);
            for (int lane = 0; lane < LANES; lane++) shown[lane][part] = outputs[64 * part + lane];
        }
    }
};

struct Units;

struct Unit {
    Units *all;
    word *given, *shown;
};

// All units of a design, in the order in which their stubs come to life.
struct Units {
    std::vector<std::unique_ptr<Group>> groups;
    std::vector<std::unique_ptr<Unit>> units;
    bool pending = false;

    Unit *add() {
        int lane = units.size() % LANES;
        if (lane == 0) groups.emplace_back(new Group());
        Group &group = *groups.back();
        units.emplace_back(new Unit{this, group.given[lane], group.shown[lane]});
        return units.back().get();
    }
    void evaluate() {
        for (auto &group : groups) group->step();
        pending = false;
    }
};

static thread_local Units *current;

}  // namespace bit_parallel

extern "C" {

void *unit_new() { return bit_parallel::current->add(); }

void unit_put(void *handle, const uint32_t *given) {
    auto unit = static_cast<bit_parallel::Unit *>(handle);
    memcpy(unit->given, given, (bit_parallel::INPUTS + 31) / 32 * 4);
    unit->all->pending = true;
}

void unit_get(void *handle, uint32_t *shown) {
    auto unit = static_cast<bit_parallel::Unit *>(handle);
    if (unit->all->pending) unit->all->evaluate();
    memcpy(shown, unit->shown, (bit_parallel::OUTPUTS + 31) / 32 * 4);
}

}  // extern "C"
