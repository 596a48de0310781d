`define DUT sq_pe_default
`define VECTORS "vectors/"
