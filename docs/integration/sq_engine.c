/* Bare-metal driver of the sqhw engine with DMA: see sq_engine.h. */
#include "sq_engine.h"

#define IDENTITY 0x53514857u
#define ALL 0xFFFFFFFFu
#define START SQ_ENGINE_CONTROL_START_MASK
#define ABORT SQ_ENGINE_CONTROL_ABORT_MASK
#define RECOVER SQ_ENGINE_CONTROL_RECOVER_MASK
#define FINISHED SQ_ENGINE_DMA_STATUS_FINISHED_MASK

static uint32_t get(const struct sq_engine *engine, uint32_t offset) {
    return SQ_ENGINE_READ(engine->base, offset);
}

static void set(const struct sq_engine *engine, uint32_t offset, uint32_t value) {
    SQ_ENGINE_WRITE(engine->base, offset, value);
}

static uint32_t field(uint32_t value, uint32_t mask, uint32_t shift) { return (value & mask) >> shift; }

static void clear(const struct sq_engine *engine) {
    set(engine, SQ_ENGINE_ERRORS, ALL);
    set(engine, SQ_ENGINE_INTERRUPT_STATUS, ALL);
    set(engine, SQ_ENGINE_DMA_STATUS, ALL);
}

enum sq_engine_result sq_engine_open(struct sq_engine *engine, uintptr_t base) {
    uint32_t array;
    engine->base = base;
    engine->errors = engine->dma_status = engine->finished = engine->running = engine->interrupts = 0;
    if (get(engine, SQ_ENGINE_ID) != IDENTITY) return SQ_ENGINE_NOT_FOUND;
    array = get(engine, SQ_ENGINE_ARRAY);
    engine->rows = field(array, SQ_ENGINE_ARRAY_ROWS_MASK, SQ_ENGINE_ARRAY_ROWS_SHIFT);
    engine->columns = field(array, SQ_ENGINE_ARRAY_COLUMNS_MASK, SQ_ENGINE_ARRAY_COLUMNS_SHIFT);
    engine->block_tiles = field(array, SQ_ENGINE_ARRAY_BLOCK_TILES_MASK, SQ_ENGINE_ARRAY_BLOCK_TILES_SHIFT);
    engine->word_bytes = field(get(engine, SQ_ENGINE_STREAMS), SQ_ENGINE_STREAMS_BYTES_MASK,
                               SQ_ENGINE_STREAMS_BYTES_SHIFT);
    engine->m_max = get(engine, SQ_ENGINE_M_MAX);
    engine->n_max = get(engine, SQ_ENGINE_N_MAX);
    engine->k_max = get(engine, SQ_ENGINE_K_MAX);
    engine->sq_format = get(engine, SQ_ENGINE_SQ_FORMAT);
    engine->dense_format = get(engine, SQ_ENGINE_DENSE_FORMAT);
    set(engine, SQ_ENGINE_CONTROL, ABORT);
    set(engine, SQ_ENGINE_CONTROL, RECOVER);
    while (get(engine, SQ_ENGINE_DMA_BUSY) || get(engine, SQ_ENGINE_STATUS)) {
    }
    set(engine, SQ_ENGINE_INTERRUPT_ENABLE, 0);
    set(engine, SQ_ENGINE_TIMEOUT, ALL);
    clear(engine);
    return SQ_ENGINE_OK;
}

enum sq_engine_result sq_engine_formats(const struct sq_engine *engine, uint32_t sq_format, uint32_t dense_format) {
    int same = engine->sq_format == sq_format && engine->dense_format == dense_format;
    return same ? SQ_ENGINE_OK : SQ_ENGINE_OTHER_FORMAT;
}

enum sq_engine_result sq_engine_input(struct sq_engine *engine, uint32_t input) {
    if (input > SQ_ENGINE_INPUT_ROWS) return SQ_ENGINE_BAD_ARGUMENT;
    set(engine, SQ_ENGINE_INPUT, input);
    return SQ_ENGINE_OK;
}

uint64_t sq_engine_y_bytes(const struct sq_engine *engine, uint32_t m, uint32_t n, uint32_t output) {
    uint32_t item = output == SQ_ENGINE_OUTPUT_INT64 ? 8 : output == SQ_ENGINE_OUTPUT_FLOAT16 ? 2 : 4;
    uint32_t column, bytes;
    uint64_t total = 0;
    for (column = 0; column < n; column += engine->columns) {
        bytes = (n - column < engine->columns ? n - column : engine->columns) * item;
        total += (bytes + engine->word_bytes - 1) / engine->word_bytes * engine->word_bytes;
    }
    return total * m;
}

static int fits(const struct sq_engine *engine, const struct sq_engine_job *job) {
    uint64_t addresses = job->x | job->w | job->y | job->x_bytes | job->w_bytes | job->y_bytes;
    if (!job->m || job->m > engine->m_max || !job->n || job->n > engine->n_max) return 0;
    if (!job->k || job->k > engine->k_max || job->output > SQ_ENGINE_OUTPUT_INT64) return 0;
    if (addresses % engine->word_bytes || !job->x_bytes || !job->w_bytes) return 0;
    return sq_engine_y_bytes(engine, job->m, job->n, job->output) <= job->y_bytes;
}

static void place(const struct sq_engine *engine, uint32_t offset, uint64_t address) {
    set(engine, offset, (uint32_t)address);
    set(engine, offset + 4, (uint32_t)(address >> 32));
}

enum sq_engine_result sq_engine_start(struct sq_engine *engine, const struct sq_engine_job *job, int interrupt) {
    uint32_t block = engine->rows * engine->block_tiles;
    if (!fits(engine, job)) return SQ_ENGINE_BAD_ARGUMENT;
    if (engine->running) return SQ_ENGINE_BUSY;
    clear(engine);
    place(engine, SQ_ENGINE_X_ADDRESS, job->x);
    place(engine, SQ_ENGINE_W_ADDRESS, job->w);
    place(engine, SQ_ENGINE_Y_ADDRESS, job->y);
    set(engine, SQ_ENGINE_X_BYTES, job->x_bytes);
    set(engine, SQ_ENGINE_W_BYTES, job->w_bytes);
    set(engine, SQ_ENGINE_W_TIMES, (job->m + block - 1) / block);
    set(engine, SQ_ENGINE_Y_BYTES, job->y_bytes);
    set(engine, SQ_ENGINE_M, job->m);
    set(engine, SQ_ENGINE_N, job->n);
    set(engine, SQ_ENGINE_K, job->k);
    set(engine, SQ_ENGINE_OUTPUT, job->output);
    set(engine, SQ_ENGINE_DMA_INTERRUPT, interrupt ? 1 : 0);
    engine->finished = 0;
    engine->running = 1;
    engine->interrupts = interrupt ? 1 : 0;
    set(engine, SQ_ENGINE_CONTROL, START);
    return SQ_ENGINE_OK;
}

void sq_engine_interrupt(struct sq_engine *engine) {
    set(engine, SQ_ENGINE_DMA_INTERRUPT, 0);
    engine->finished = 1;
}

enum sq_engine_result sq_engine_poll(struct sq_engine *engine) {
    if (!engine->running) return engine->errors || engine->dma_status ? SQ_ENGINE_FAILED : SQ_ENGINE_OK;
    if (engine->interrupts && !engine->finished) return SQ_ENGINE_BUSY;
    if (!(get(engine, SQ_ENGINE_DMA_STATUS) & FINISHED)) return SQ_ENGINE_BUSY;
    engine->dma_status = get(engine, SQ_ENGINE_DMA_STATUS) & ~FINISHED;
    engine->errors = get(engine, SQ_ENGINE_ERRORS);
    engine->running = 0;
    if (engine->errors) set(engine, SQ_ENGINE_CONTROL, RECOVER);
    clear(engine);
    return engine->errors || engine->dma_status ? SQ_ENGINE_FAILED : SQ_ENGINE_OK;
}

enum sq_engine_result sq_engine_wait(struct sq_engine *engine, uint32_t polls) {
    enum sq_engine_result result = SQ_ENGINE_BUSY;
    while (polls-- && result == SQ_ENGINE_BUSY) result = sq_engine_poll(engine);
    return result == SQ_ENGINE_BUSY ? SQ_ENGINE_TIMED_OUT : result;
}

void sq_engine_abort(struct sq_engine *engine) { set(engine, SQ_ENGINE_CONTROL, ABORT); }
