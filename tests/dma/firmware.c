/* Firmware that multiplies by the driver: polling, by interrupt, after every fault. Arguments: packets of X and W,
 * a file for Y, M, N, K, the values of SQ_FORMAT and DENSE_FORMAT, and `rows` where X is rows of numbers. Prints
 * what it did, a word per line, and writes the packet of Y of each good job. */
#include <stdio.h>
#include <stdlib.h>

#include "sq_engine.h"

#define X_AT 0x0FF0u
#define W_AT 0x40000u
#define Y_AT 0x80FF0u
#define Y_ROOM 0x10000u

static uint32_t load(const char *path, uint32_t at) {
    FILE *file = fopen(path, "rb");
    uint32_t size;
    if (!file) exit(2);
    size = (uint32_t)fread(system_memory() + at, 1, 0x30000, file);
    fclose(file);
    return size;
}

static void save(FILE *file, uint32_t at, uint64_t size) { fwrite(system_memory() + at, 1, (size_t)size, file); }

int main(int argc, char **argv) {
    struct sq_engine engine;
    struct sq_engine_job job, bad;
    enum sq_engine_result result;
    uint64_t size;
    uint32_t sq, dense;
    FILE *y;
    if (argc != 9 && argc != 10) return 2;
    system_reset();
    printf("open %d\n", sq_engine_open(&engine, 0));
    sq = (uint32_t)strtoul(argv[7], NULL, 0), dense = (uint32_t)strtoul(argv[8], NULL, 0);
    printf("formats %d\n", sq_engine_formats(&engine, sq, dense));
    printf("other mask %d\n", sq_engine_formats(&engine, sq ^ SQ_ENGINE_SQ_FORMAT_INDEX_MASK, dense));
    printf("other scale %d\n", sq_engine_formats(&engine, sq, dense ^ SQ_ENGINE_DENSE_FORMAT_LINEAR_MASK));
    if (argc == 10) {
        printf("unknown input %d\n", sq_engine_input(&engine, 2));
        printf("rows %d\n", sq_engine_input(&engine, SQ_ENGINE_INPUT_ROWS));
    }
    job.m = (uint32_t)atoi(argv[4]);
    job.n = (uint32_t)atoi(argv[5]);
    job.k = (uint32_t)atoi(argv[6]);
    job.output = SQ_ENGINE_OUTPUT_FLOAT32;
    job.x = X_AT, job.w = W_AT, job.y = Y_AT;
    job.x_bytes = load(argv[1], X_AT), job.w_bytes = load(argv[2], W_AT), job.y_bytes = Y_ROOM;
    size = sq_engine_y_bytes(&engine, job.m, job.n, job.output);
    y = fopen(argv[3], "wb");
    if (!y) return 2;

    printf("start %d\n", sq_engine_start(&engine, &job, 0));
    printf("again %d\n", sq_engine_start(&engine, &job, 0));
    printf("short wait %d\n", sq_engine_wait(&engine, 2));
    printf("wait %d\n", sq_engine_wait(&engine, 100000));
    save(y, Y_AT, size);

    /* By interrupt. */
    sq_engine_start(&engine, &job, 1);
    printf("poll %d\n", sq_engine_poll(&engine));
    while (!system_interrupt()) system_wait(1);
    sq_engine_interrupt(&engine);
    system_wait(3);
    printf("line %d\n", system_interrupt());
    printf("after interrupt %d\n", sq_engine_poll(&engine));
    save(y, Y_AT, size);

    /* What the driver refuses. */
    bad = job, bad.m = 0;
    printf("no rows %d\n", sq_engine_start(&engine, &bad, 0));
    bad = job, bad.k = engine.k_max + 1;
    printf("long rows %d\n", sq_engine_start(&engine, &bad, 0));
    bad = job, bad.y += 1;
    printf("odd address %d\n", sq_engine_start(&engine, &bad, 0));
    bad = job, bad.y_bytes = (uint32_t)size - engine.word_bytes;
    printf("no room %d\n", sq_engine_start(&engine, &bad, 0));

    /* What the hardware ends, and a good job after each. */
    bad = job, bad.x_bytes -= engine.word_bytes;
    sq_engine_start(&engine, &bad, 0);
    result = sq_engine_wait(&engine, 100000);
    printf("short packet %d %u\n", result, (unsigned)engine.errors);
    sq_engine_start(&engine, &job, 0);
    printf("next %d\n", sq_engine_wait(&engine, 100000));
    save(y, Y_AT, size);
    sq_engine_start(&engine, &job, 0);
    sq_engine_abort(&engine);
    result = sq_engine_wait(&engine, 100000);
    printf("aborted %d %u\n", result, (unsigned)engine.errors);
    sq_engine_start(&engine, &job, 0);
    printf("next %d\n", sq_engine_wait(&engine, 100000));
    save(y, Y_AT, size);
    fclose(y);
    return 0;
}
