`define DUT sq_pe_fp16
