localparam SQ = 105;
localparam SQ_TDATA = 112;
localparam LENGTH = 9;
localparam DENSE = 70;
localparam DENSE_TDATA = 72;
localparam BEATS = 1632;
localparam RESULTS = 32;
