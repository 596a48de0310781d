"""Flows around the generated hardware: tools, Verilog, lint, synthesis."""
