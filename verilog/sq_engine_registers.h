/* Registers of the sqhw engine. Made by `sqhw registers`; do not edit by hand. */
#ifndef SQ_ENGINE_REGISTERS_H
#define SQ_ENGINE_REGISTERS_H

/* read only: The letters "SQHW": 0x53514857. */
#define SQ_ENGINE_ID 0x00u

/* read only: Version of the generator. */
#define SQ_ENGINE_VERSION 0x04u
#define SQ_ENGINE_VERSION_PATCH_SHIFT 0u
#define SQ_ENGINE_VERSION_PATCH_MASK 0xFFu
#define SQ_ENGINE_VERSION_MINOR_SHIFT 8u
#define SQ_ENGINE_VERSION_MINOR_MASK 0xFF00u
#define SQ_ENGINE_VERSION_MAJOR_SHIFT 16u
#define SQ_ENGINE_VERSION_MAJOR_MASK 0xFFFF0000u

/* read only: The array. */
#define SQ_ENGINE_ARRAY 0x08u
#define SQ_ENGINE_ARRAY_ROWS_SHIFT 0u
#define SQ_ENGINE_ARRAY_ROWS_MASK 0xFFu
#define SQ_ENGINE_ARRAY_COLUMNS_SHIFT 8u
#define SQ_ENGINE_ARRAY_COLUMNS_MASK 0xFF00u
#define SQ_ENGINE_ARRAY_LANES_SHIFT 16u
#define SQ_ENGINE_ARRAY_LANES_MASK 0xFF0000u
#define SQ_ENGINE_ARRAY_BLOCK_TILES_SHIFT 24u
#define SQ_ENGINE_ARRAY_BLOCK_TILES_MASK 0xFF000000u

/* read only: Format of the SQ operand. */
#define SQ_ENGINE_SQ_FORMAT 0x0Cu
#define SQ_ENGINE_SQ_FORMAT_BANK_SHIFT 0u
#define SQ_ENGINE_SQ_FORMAT_BANK_MASK 0xFFu
#define SQ_ENGINE_SQ_FORMAT_OUTLIERS_SHIFT 8u
#define SQ_ENGINE_SQ_FORMAT_OUTLIERS_MASK 0xFF00u
#define SQ_ENGINE_SQ_FORMAT_INT8_SHIFT 16u
#define SQ_ENGINE_SQ_FORMAT_INT8_MASK 0x10000u
#define SQ_ENGINE_SQ_FORMAT_SENTINEL_SHIFT 17u
#define SQ_ENGINE_SQ_FORMAT_SENTINEL_MASK 0x20000u
#define SQ_ENGINE_SQ_FORMAT_INDEX_SHIFT 18u
#define SQ_ENGINE_SQ_FORMAT_INDEX_MASK 0x40000u
#define SQ_ENGINE_SQ_FORMAT_SEGMENTS_SHIFT 19u
#define SQ_ENGINE_SQ_FORMAT_SEGMENTS_MASK 0x380000u
#define SQ_ENGINE_SQ_FORMAT_EXPONENT_SHIFT 22u
#define SQ_ENGINE_SQ_FORMAT_EXPONENT_MASK 0x1C00000u
#define SQ_ENGINE_SQ_FORMAT_FRACTION_SHIFT 25u
#define SQ_ENGINE_SQ_FORMAT_FRACTION_MASK 0x6000000u
#define SQ_ENGINE_SQ_FORMAT_SIGN_SHIFT 27u
#define SQ_ENGINE_SQ_FORMAT_SIGN_MASK 0x8000000u

/* read only: Format of the dense operand. */
#define SQ_ENGINE_DENSE_FORMAT 0x10u
#define SQ_ENGINE_DENSE_FORMAT_GROUP_SHIFT 0u
#define SQ_ENGINE_DENSE_FORMAT_GROUP_MASK 0x1FFFFu
#define SQ_ENGINE_DENSE_FORMAT_LINEAR_SHIFT 17u
#define SQ_ENGINE_DENSE_FORMAT_LINEAR_MASK 0x20000u
#define SQ_ENGINE_DENSE_FORMAT_OFFSET_SHIFT 18u
#define SQ_ENGINE_DENSE_FORMAT_OFFSET_MASK 0x40000u
#define SQ_ENGINE_DENSE_FORMAT_OUTLIERS_SHIFT 19u
#define SQ_ENGINE_DENSE_FORMAT_OUTLIERS_MASK 0xF80000u
#define SQ_ENGINE_DENSE_FORMAT_BITS_SHIFT 24u
#define SQ_ENGINE_DENSE_FORMAT_BITS_MASK 0xFF000000u

/* read only: The streams. */
#define SQ_ENGINE_STREAMS 0x14u
#define SQ_ENGINE_STREAMS_BYTES_SHIFT 0u
#define SQ_ENGINE_STREAMS_BYTES_MASK 0xFFu
#define SQ_ENGINE_STREAMS_OUTPUT_STAGES_SHIFT 8u
#define SQ_ENGINE_STREAMS_OUTPUT_STAGES_MASK 0xFF00u
#define SQ_ENGINE_STREAMS_ACC_BITS_SHIFT 16u
#define SQ_ENGINE_STREAMS_ACC_BITS_MASK 0xFF0000u

/* read only: Largest M. */
#define SQ_ENGINE_M_MAX 0x18u

/* read only: Largest N. */
#define SQ_ENGINE_N_MAX 0x1Cu

/* read only: Largest K. */
#define SQ_ENGINE_K_MAX 0x20u

/* write only; reads as 0: Commands; one at a time. */
#define SQ_ENGINE_CONTROL 0x40u
#define SQ_ENGINE_CONTROL_START_SHIFT 0u
#define SQ_ENGINE_CONTROL_START_MASK 0x1u
#define SQ_ENGINE_CONTROL_ABORT_SHIFT 1u
#define SQ_ENGINE_CONTROL_ABORT_MASK 0x2u
#define SQ_ENGINE_CONTROL_RECOVER_SHIFT 2u
#define SQ_ENGINE_CONTROL_RECOVER_MASK 0x4u

/* read only: What the engine does. */
#define SQ_ENGINE_STATUS 0x44u
#define SQ_ENGINE_STATUS_BUSY_SHIFT 0u
#define SQ_ENGINE_STATUS_BUSY_MASK 0x1u
#define SQ_ENGINE_STATUS_DISCARDING_SHIFT 1u
#define SQ_ENGINE_STATUS_DISCARDING_MASK 0x2u
#define SQ_ENGINE_STATUS_INTERRUPT_SHIFT 2u
#define SQ_ENGINE_STATUS_INTERRUPT_MASK 0x4u

/* read; writing 1 clears a bit: What went wrong since these bits were cleared. */
#define SQ_ENGINE_ERRORS 0x48u
#define SQ_ENGINE_ERRORS_SQ_EARLY_SHIFT 0u
#define SQ_ENGINE_ERRORS_SQ_EARLY_MASK 0x1u
#define SQ_ENGINE_ERRORS_SQ_LATE_SHIFT 1u
#define SQ_ENGINE_ERRORS_SQ_LATE_MASK 0x2u
#define SQ_ENGINE_ERRORS_DENSE_EARLY_SHIFT 2u
#define SQ_ENGINE_ERRORS_DENSE_EARLY_MASK 0x4u
#define SQ_ENGINE_ERRORS_DENSE_LATE_SHIFT 3u
#define SQ_ENGINE_ERRORS_DENSE_LATE_MASK 0x8u
#define SQ_ENGINE_ERRORS_MALFORMED_SHIFT 4u
#define SQ_ENGINE_ERRORS_MALFORMED_MASK 0x10u
#define SQ_ENGINE_ERRORS_DIMENSIONS_SHIFT 5u
#define SQ_ENGINE_ERRORS_DIMENSIONS_MASK 0x20u
#define SQ_ENGINE_ERRORS_BUSY_SHIFT 6u
#define SQ_ENGINE_ERRORS_BUSY_MASK 0x40u
#define SQ_ENGINE_ERRORS_ABORTED_SHIFT 7u
#define SQ_ENGINE_ERRORS_ABORTED_MASK 0x80u
#define SQ_ENGINE_ERRORS_LEFTOVER_SHIFT 8u
#define SQ_ENGINE_ERRORS_LEFTOVER_MASK 0x100u
#define SQ_ENGINE_ERRORS_TIMEOUT_SHIFT 9u
#define SQ_ENGINE_ERRORS_TIMEOUT_MASK 0x200u
#define SQ_ENGINE_ERRORS_SCALE_SHIFT 10u
#define SQ_ENGINE_ERRORS_SCALE_MASK 0x400u

/* read and write: Which bits of INTERRUPT_STATUS raise the interrupt line. */
#define SQ_ENGINE_INTERRUPT_ENABLE 0x4Cu
#define SQ_ENGINE_INTERRUPT_ENABLE_DONE_SHIFT 0u
#define SQ_ENGINE_INTERRUPT_ENABLE_DONE_MASK 0x1u
#define SQ_ENGINE_INTERRUPT_ENABLE_ERROR_SHIFT 1u
#define SQ_ENGINE_INTERRUPT_ENABLE_ERROR_MASK 0x2u

/* read; writing 1 clears a bit: Why an interrupt was raised. */
#define SQ_ENGINE_INTERRUPT_STATUS 0x50u
#define SQ_ENGINE_INTERRUPT_STATUS_DONE_SHIFT 0u
#define SQ_ENGINE_INTERRUPT_STATUS_DONE_MASK 0x1u
#define SQ_ENGINE_INTERRUPT_STATUS_ERROR_SHIFT 1u
#define SQ_ENGINE_INTERRUPT_STATUS_ERROR_MASK 0x2u

/* read and write: Rows of the SQ operand. */
#define SQ_ENGINE_M 0x54u

/* read and write: Rows of the dense operand. */
#define SQ_ENGINE_N 0x58u

/* read and write: Elements of a row. */
#define SQ_ENGINE_K 0x5Cu

/* read and write: Results: 0 float32, 1 float16, 2 the exact sums as int64. */
#define SQ_ENGINE_OUTPUT 0x60u

/* read and write: Cycles in which no stream moves until the job is ended; 0: without a limit. */
#define SQ_ENGINE_TIMEOUT 0x64u

/* read only: Cycles from the start to the end of the job. Like all counters it stops at 2^32 - 1. */
#define SQ_ENGINE_CYCLES 0x80u

/* read only: Cycles in which the array took a beat. */
#define SQ_ENGINE_BEATS 0x84u

/* read only: Cycles in which no beat was there for the array. */
#define SQ_ENGINE_STARVED 0x88u

/* read only: Cycles in which the array held a beat back. */
#define SQ_ENGINE_HELD 0x8Cu

/* read only: Beats of rows without an outlier, summed over the rows: the outlier lanes held still. */
#define SQ_ENGINE_GATED 0x90u

/* read only: The encoder. */
#define SQ_ENGINE_ENCODER 0x24u
#define SQ_ENGINE_ENCODER_ELEMENTS_SHIFT 0u
#define SQ_ENGINE_ENCODER_ELEMENTS_MASK 0xFFu
#define SQ_ENGINE_ENCODER_FORMAT_SHIFT 8u
#define SQ_ENGINE_ENCODER_FORMAT_MASK 0x300u

/* read and write: X comes: 0 packed, 1 as rows of numbers. */
#define SQ_ENGINE_INPUT 0x68u

/* read and write: Address of the packet of X, lower bits; a multiple of a word. */
#define SQ_ENGINE_X_ADDRESS 0xC0u

/* read and write: Its upper bits. */
#define SQ_ENGINE_X_ADDRESS_HIGH 0xC4u

/* read and write: Bytes of that packet, whole words. */
#define SQ_ENGINE_X_BYTES 0xC8u

/* read and write: Address of the packet of W, lower bits; a multiple of a word. */
#define SQ_ENGINE_W_ADDRESS 0xCCu

/* read and write: Its upper bits. */
#define SQ_ENGINE_W_ADDRESS_HIGH 0xD0u

/* read and write: Bytes of that packet, whole words. */
#define SQ_ENGINE_W_BYTES 0xD4u

/* read and write: How often the packet of W is read. */
#define SQ_ENGINE_W_TIMES 0xD8u

/* read and write: Address for the packet of Y, lower bits; a multiple of a word. */
#define SQ_ENGINE_Y_ADDRESS 0xDCu

/* read and write: Its upper bits. */
#define SQ_ENGINE_Y_ADDRESS_HIGH 0xE0u

/* read and write: Room for that packet in bytes, whole words. */
#define SQ_ENGINE_Y_BYTES 0xE4u

/* read only: Bytes of the packet of Y that were written. */
#define SQ_ENGINE_Y_WRITTEN 0xE8u

/* read; writing 1 clears a bit: How the transfers went. */
#define SQ_ENGINE_DMA_STATUS 0xECu
#define SQ_ENGINE_DMA_STATUS_FINISHED_SHIFT 0u
#define SQ_ENGINE_DMA_STATUS_FINISHED_MASK 0x1u
#define SQ_ENGINE_DMA_STATUS_X_RESPONSE_SHIFT 1u
#define SQ_ENGINE_DMA_STATUS_X_RESPONSE_MASK 0x2u
#define SQ_ENGINE_DMA_STATUS_W_RESPONSE_SHIFT 2u
#define SQ_ENGINE_DMA_STATUS_W_RESPONSE_MASK 0x4u
#define SQ_ENGINE_DMA_STATUS_Y_RESPONSE_SHIFT 3u
#define SQ_ENGINE_DMA_STATUS_Y_RESPONSE_MASK 0x8u
#define SQ_ENGINE_DMA_STATUS_OVERFLOW_SHIFT 4u
#define SQ_ENGINE_DMA_STATUS_OVERFLOW_MASK 0x10u
#define SQ_ENGINE_DMA_STATUS_ALIGNMENT_SHIFT 5u
#define SQ_ENGINE_DMA_STATUS_ALIGNMENT_MASK 0x20u
#define SQ_ENGINE_DMA_STATUS_BUSY_SHIFT 6u
#define SQ_ENGINE_DMA_STATUS_BUSY_MASK 0x40u

/* read and write: Which bits of DMA_STATUS raise the interrupt line. */
#define SQ_ENGINE_DMA_INTERRUPT 0xF0u

/* read only: What is being transferred. */
#define SQ_ENGINE_DMA_BUSY 0xF4u
#define SQ_ENGINE_DMA_BUSY_X_SHIFT 0u
#define SQ_ENGINE_DMA_BUSY_X_MASK 0x1u
#define SQ_ENGINE_DMA_BUSY_W_SHIFT 1u
#define SQ_ENGINE_DMA_BUSY_W_MASK 0x2u
#define SQ_ENGINE_DMA_BUSY_Y_SHIFT 2u
#define SQ_ENGINE_DMA_BUSY_Y_MASK 0x4u

#define SQ_ENGINE_OUTPUT_FLOAT32 0u
#define SQ_ENGINE_OUTPUT_FLOAT16 1u
#define SQ_ENGINE_OUTPUT_INT64 2u
#define SQ_ENGINE_INPUT_PACKED 0u
#define SQ_ENGINE_INPUT_ROWS 1u

#endif
