"""The matrix engine: operand buffers, a sequencer and output stages around the array, behind AXI ports."""
