"""Matrix products on an engine: the golden model's, or that of the emitted Verilog."""
