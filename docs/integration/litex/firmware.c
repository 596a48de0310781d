/* Firmware of soc.py: multiplies by the engine, compares every byte of Y, and prints how that went. */
#include "sq_engine.h"

#include "packets.h" /* M, N, K; the packets X, W and Y, arrays of words, as the golden model makes them. */

#define ENGINE 0x90000000u
#define MEMORY 0x40000000u
#define CONSOLE (*(volatile uint32_t *)CONSOLE_AT)

static void print(const char *text) {
    while (*text) CONSOLE = (uint32_t)*text++;
}

static void print_number(uint32_t number) {
    if (number >= 10) print_number(number / 10);
    CONSOLE = '0' + number % 10;
}

static uint32_t place(uint32_t at, const uint32_t *packet, uint32_t bytes) {
    volatile uint32_t *memory = (volatile uint32_t *)at;
    for (uint32_t word = 0; word < bytes / 4; word++) memory[word] = packet[word];
    return at + bytes;
}

int main(void) {
    struct sq_engine engine;
    struct sq_engine_job job;
    const volatile uint32_t *y;
    uint32_t wrong = 0;
    if (sq_engine_open(&engine, ENGINE) != SQ_ENGINE_OK) {
        print("no engine\n");
        return 1;
    }
    job.m = M, job.n = N, job.k = K, job.output = SQ_ENGINE_OUTPUT_FLOAT32;
    job.x = MEMORY, job.x_bytes = sizeof X;
    job.w = place(MEMORY, X, sizeof X), job.w_bytes = sizeof W;
    job.y = place((uint32_t)job.w, W, sizeof W), job.y_bytes = sizeof Y;
    if (sq_engine_start(&engine, &job, 0) != SQ_ENGINE_OK || sq_engine_wait(&engine, 100000) != SQ_ENGINE_OK) {
        print("job failed\n");
        return 1;
    }
    y = (const volatile uint32_t *)(uintptr_t)job.y;
    for (uint32_t word = 0; word < sizeof Y / 4; word++) wrong += y[word] != Y[word];
    print_number(sizeof Y / 4);
    print(" words of results compared, ");
    print_number(wrong);
    print(" differ\n");
    return wrong != 0;
}
