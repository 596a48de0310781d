/* Bare-metal driver of the sqhw engine with DMA (`sqhw verilog dma`). C99, no allocation, no library.
 *
 * Operands are packets in memory, as docs/engine.md describes them and sqhw.driver.packets makes them.
 * The caches of the processor are the caller's: packets must be in memory before a job starts, and the
 * lines of Y must be dropped before it is read.
 *
 *     struct sq_engine engine;
 *     if (sq_engine_open(&engine, SQ_ENGINE_BASE) != SQ_ENGINE_OK) return 1;
 *     struct sq_engine_job job = {m, n, k, SQ_ENGINE_OUTPUT_FLOAT32, x, w, y, x_bytes, w_bytes, y_bytes};
 *     if (sq_engine_start(&engine, &job, 0) == SQ_ENGINE_OK) result = sq_engine_wait(&engine, 1000000);
 */
#ifndef SQ_ENGINE_DRIVER_H
#define SQ_ENGINE_DRIVER_H

#include <stdint.h>

#include "sq_engine_registers.h"

/* How registers are reached; a system with other means defines these two first. */
#ifndef SQ_ENGINE_READ
#define SQ_ENGINE_READ(base, offset) (*(volatile const uint32_t *)((base) + (offset)))
#define SQ_ENGINE_WRITE(base, offset, value) (*(volatile uint32_t *)((base) + (offset)) = (value))
#endif

enum sq_engine_result {
    SQ_ENGINE_OK = 0,
    SQ_ENGINE_NOT_FOUND,    /* No engine answers at this address. */
    SQ_ENGINE_BAD_ARGUMENT, /* A size is 0 or beyond its limit, an address is no multiple of a word, Y has no room. */
    SQ_ENGINE_BUSY,         /* A job runs. */
    SQ_ENGINE_TIMED_OUT,    /* The job has not finished within this wait; it goes on. */
    SQ_ENGINE_FAILED,       /* The job is over, its results must not be used: see errors and dma_status. */
    SQ_ENGINE_OTHER_FORMAT  /* The engine takes packets of other formats. */
};

struct sq_engine {
    uintptr_t base;
    uint32_t word_bytes; /* Of the streams, and of memory. */
    uint32_t rows, columns, block_tiles;
    uint32_t m_max, n_max, k_max;
    uint32_t sq_format, dense_format; /* SQ_FORMAT and DENSE_FORMAT, see docs/registers.md. */
    uint32_t errors, dma_status; /* ERRORS and DMA_STATUS of the last job. */
    volatile uint32_t finished;  /* Set by sq_engine_interrupt(). */
    uint32_t running, interrupts;
};

struct sq_engine_job {
    uint32_t m, n, k;
    uint32_t output;                     /* SQ_ENGINE_OUTPUT_... */
    uint64_t x, w, y;                    /* Where the packets lie. */
    uint32_t x_bytes, w_bytes, y_bytes;  /* Of each packet; of Y the room. */
};

/* Looks for an engine at this address, ends what it may be doing, and reads what it is. */
enum sq_engine_result sq_engine_open(struct sq_engine *engine, uintptr_t base);

/* Whether the engine takes packets of these formats: values of SQ_FORMAT and DENSE_FORMAT. The map of registers
 * names their fields, and sqhw.engine.registers.constants() has both values for a configuration. */
enum sq_engine_result sq_engine_formats(const struct sq_engine *engine, uint32_t sq_format, uint32_t dense_format);

/* Only for an engine with an encoder: how X of the next jobs comes, SQ_ENGINE_INPUT_...; after reset packed. */
enum sq_engine_result sq_engine_input(struct sq_engine *engine, uint32_t input);

/* Bytes of the packet of Y of a job. */
uint64_t sq_engine_y_bytes(const struct sq_engine *engine, uint32_t m, uint32_t n, uint32_t output);

/* Starts a job; with `interrupt` the line rises when it has finished. */
enum sq_engine_result sq_engine_start(struct sq_engine *engine, const struct sq_engine_job *job, int interrupt);

/* Asks once: BUSY while the job runs, then OK or FAILED. After a failure the engine takes the next job. */
enum sq_engine_result sq_engine_poll(struct sq_engine *engine);

/* Asks up to `polls` times. */
enum sq_engine_result sq_engine_wait(struct sq_engine *engine, uint32_t polls);

/* For the interrupt handler: takes the line down. sq_engine_poll() says how the job went. */
void sq_engine_interrupt(struct sq_engine *engine);

/* Ends the job that runs; it finishes soon, with the error `aborted`. */
void sq_engine_abort(struct sq_engine *engine);

#endif
