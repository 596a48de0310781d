// The engine's harness (sqhw/runtime/harness.cpp) around the whole engine, units included, and what it covered.
#include "top.h"

#include HARNESS

extern "C" void engine_coverage(Simulation *s, const char *path) { s->context.coveragep()->write(path); }
