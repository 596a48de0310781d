// Plays vectors/, or with LEAN defined vectors/lean/, to the processing element and compares every result with the golden model's.
//
// Each source offers its next word with probability 3/4, and the result is taken with probability
// 1/2, so that every handshake is exercised. Plain Verilog-2001; `make` runs it under Icarus.
`ifdef LEAN
`include "vectors/lean/dut.vh"
`else
`include "vectors/dut.vh"
`endif

module testbench;
`ifdef LEAN
  `include "vectors/lean/sizes.vh"
`else
  `include "vectors/sizes.vh"
`endif

  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  // What is sent and what must come. Above TDATA a beat has TLAST, and one of the SQ row TUSER.
  reg [SQ+LENGTH:0] sq [0:BEATS-1];
  reg [DENSE:0] dense [0:BEATS-1];
  reg [63:0] scale [0:RESULTS-1];
  reg [31:0] y [0:RESULTS-1];

  integer sq_at = 0, dense_at = 0, scale_at = 0, y_at = 0, differ = 0, cycles = 0, seed = 1;
  reg sq_valid = 0, dense_valid = 0, scale_valid = 0, y_ready = 0;
  wire sq_ready, dense_ready, scale_ready, y_valid, y_user;
  wire [31:0] y_data;

  `DUT dut (
    .aclk(aclk),
    .aresetn(aresetn),
    .s_axis_sq_tdata({{(SQ_TDATA - SQ){1'b0}}, sq[sq_at][SQ-1:0]}),
    .s_axis_sq_tlast(sq[sq_at][SQ]),
    .s_axis_sq_tuser(sq[sq_at][SQ+LENGTH:SQ+1]),
    .s_axis_sq_tvalid(sq_valid),
    .s_axis_sq_tready(sq_ready),
    .s_axis_dense_tdata({{(DENSE_TDATA - DENSE){1'b0}}, dense[dense_at][DENSE-1:0]}),
    .s_axis_dense_tlast(dense[dense_at][DENSE]),
    .s_axis_dense_tvalid(dense_valid),
    .s_axis_dense_tready(dense_ready),
    .s_axis_scale_tdata(scale[scale_at]),
    .s_axis_scale_tvalid(scale_valid),
    .s_axis_scale_tready(scale_ready),
    .m_axis_y_tdata(y_data),
    .m_axis_y_tuser(y_user),
    .m_axis_y_tvalid(y_valid),
    .m_axis_y_tready(y_ready)
  );

  initial begin
    $readmemh({`VECTORS, "sq.hex"}, sq);
    $readmemh({`VECTORS, "dense.hex"}, dense);
    $readmemh({`VECTORS, "scale.hex"}, scale);
    $readmemh({`VECTORS, "y.hex"}, y);
    repeat (3) @(negedge aclk);
    aresetn = 1;
  end

  // Inputs change at the falling edge; a word that is offered stays until it is taken.
  always @(negedge aclk) if (aresetn) begin
    if (!sq_valid) sq_valid = sq_at < BEATS && $random(seed) % 4 != 0;
    if (!dense_valid) dense_valid = dense_at < BEATS && $random(seed) % 4 != 0;
    if (!scale_valid) scale_valid = scale_at < RESULTS && $random(seed) % 4 != 0;
    y_ready = $random(seed) % 2 != 0;
  end

  always @(posedge aclk) if (aresetn) begin
    cycles <= cycles + 1;
    if (y_valid && y_ready) begin
      if (y_data !== y[y_at] || y_user !== 1'b0) begin
        differ = differ + 1;
        $display("result %0d is %h, error %b; it must be %h", y_at, y_data, y_user, y[y_at]);
      end
      y_at = y_at + 1;
    end
    if (y_at == RESULTS || cycles > 100 * BEATS) begin
      $display("%0d of %0d results compared in %0d cycles, %0d differ", y_at, RESULTS, cycles, differ);
      if (y_at == RESULTS && RESULTS > 0 && differ == 0) $display("PASS"); else $display("FAIL");
      $finish;
    end
  end

  // A word that was taken goes after the edge at which the design sampled it.
  always @(posedge aclk) if (aresetn) begin
    if (sq_valid && sq_ready) begin sq_at <= sq_at + 1; sq_valid <= 0; end
    if (dense_valid && dense_ready) begin dense_at <= dense_at + 1; dense_valid <= 0; end
    if (scale_valid && scale_ready) begin scale_at <= scale_at + 1; scale_valid <= 0; end
  end
endmodule
