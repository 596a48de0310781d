"""Simulation of the emitted Verilog with cocotb, bit for bit against the golden model."""
