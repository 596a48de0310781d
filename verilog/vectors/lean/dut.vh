`define DUT sq_pe_lean
`define VECTORS "vectors/lean/"
