localparam SQ = 152;
localparam SQ_TDATA = 152;
localparam LENGTH = 8;
localparam DENSE = 136;
localparam DENSE_TDATA = 136;
localparam BEATS = 816;
localparam RESULTS = 32;
