// The engine's harness (sqhw/runtime/harness.cpp, written for CXXRTL) on Verilator's model, which counts coverage.
#include "top.h"

#include <cstdint>
#include <type_traits>

// A port as CXXRTL shows it.
template <class T> struct Pin {
    T* data;
    template <class V> void set(V value) { *data = value; }
    template <class V> V get() const { return V(*data); }
};

namespace cxxrtl_design {
struct TOP {
    Top model;
#define X(port, name) Pin<std::remove_reference_t<decltype(Top::port)>> name{&model.port};
    PINS(X)
#undef X
    void step() { model.eval(); }
};
}  // namespace cxxrtl_design

#include HARNESS

extern "C" void engine_coverage(Simulation* s, const char* path) { s->top.model.contextp()->coveragep()->write(path); }
