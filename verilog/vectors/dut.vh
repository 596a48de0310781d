`define DUT sq_pe_default
