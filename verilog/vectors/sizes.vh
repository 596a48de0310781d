localparam SQ = 106;
localparam SQ_TDATA = 112;
localparam DENSE = 71;
localparam DENSE_TDATA = 72;
localparam BEATS = 1632;
localparam RESULTS = 32;
