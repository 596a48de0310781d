/* The simulated system of system.cpp, in place of pointers to registers. */
#include <stdint.h>

uint8_t *system_memory(void);
int system_interrupt(void);
void system_wait(int cycles);
void system_reset(void);
void system_write(uint32_t offset, uint32_t value);
uint32_t system_read(uint32_t offset);

#define SQ_ENGINE_READ(base, offset) ((void)(base), system_read(offset))
#define SQ_ENGINE_WRITE(base, offset, value) ((void)(base), system_write(offset, value))
