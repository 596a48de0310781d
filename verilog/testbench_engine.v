// Runs a job on the engine and compares every word of its results with the golden model's.
//
// A source offers its next word with probability 3/4, and a result is taken with probability 1/2. At the end
// ERRORS is read: it must be 0. Plain Verilog-2001; `make engine` runs it under Icarus.

module testbench_engine;
  `include "vectors/engine.vh"

  reg aclk = 0, aresetn = 0;
  always #5 aclk = ~aclk;

  // Words of the packets, TLAST on top.
  reg [32:0] sq [0:SQ_WORDS-1];
  reg [32:0] dense [0:DENSE_WORDS-1];
  reg [32:0] y [0:Y_WORDS-1];

  integer sq_at = 0, dense_at = 0, y_at = 0, differ = 0, cycles = 0, seed = 1;
  reg sq_valid = 0, dense_valid = 0, y_ready = 0;
  wire sq_ready, dense_ready, y_valid, y_last, y_user;
  wire [31:0] y_data;

  // The processor's side: one register at a time.
  reg [7:0] address = 0;
  reg [31:0] value = 0;
  reg awvalid = 0, wvalid = 0, arvalid = 0, bready = 0, rready = 0;
  wire awready, wready, bvalid, arready, rvalid, line;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata;

  sq_engine_tiny dut (
    .aclk(aclk),
    .aresetn(aresetn),
    .s_axil_awaddr(address),
    .s_axil_awprot(3'b000),
    .s_axil_awvalid(awvalid),
    .s_axil_awready(awready),
    .s_axil_wdata(value),
    .s_axil_wstrb(4'b1111),
    .s_axil_wvalid(wvalid),
    .s_axil_wready(wready),
    .s_axil_bresp(bresp),
    .s_axil_bvalid(bvalid),
    .s_axil_bready(bready),
    .s_axil_araddr(address),
    .s_axil_arprot(3'b000),
    .s_axil_arvalid(arvalid),
    .s_axil_arready(arready),
    .s_axil_rdata(rdata),
    .s_axil_rresp(rresp),
    .s_axil_rvalid(rvalid),
    .s_axil_rready(rready),
    .s_axis_sq_tdata(sq[sq_at][31:0]),
    .s_axis_sq_tlast(sq[sq_at][32]),
    .s_axis_sq_tvalid(sq_valid),
    .s_axis_sq_tready(sq_ready),
    .s_axis_dense_tdata(dense[dense_at][31:0]),
    .s_axis_dense_tlast(dense[dense_at][32]),
    .s_axis_dense_tvalid(dense_valid),
    .s_axis_dense_tready(dense_ready),
    .m_axis_y_tdata(y_data),
    .m_axis_y_tlast(y_last),
    .m_axis_y_tuser(y_user),
    .m_axis_y_tvalid(y_valid),
    .m_axis_y_tready(y_ready),
    .interrupt(line)
  );

  // Signals change at the falling edge, between the edges at which the design samples them.
  task write(input [7:0] offset, input [31:0] word);
    begin
      @(negedge aclk) address = offset; value = word; awvalid = 1; wvalid = 1; bready = 1;
      fork
        begin @(posedge aclk); while (!awready) @(posedge aclk); @(negedge aclk) awvalid = 0; end
        begin @(posedge aclk); while (!wready) @(posedge aclk); @(negedge aclk) wvalid = 0; end
      join
      while (!bvalid) @(negedge aclk);
      if (bresp !== 2'b00) begin differ = differ + 1; $display("write of %h refused", offset); end
      @(negedge aclk) bready = 0;
    end
  endtask

  task read(input [7:0] offset);
    begin
      @(negedge aclk) address = offset; arvalid = 1; rready = 1;
      @(posedge aclk); while (!arready) @(posedge aclk);
      @(negedge aclk) arvalid = 0;
      while (!rvalid) @(negedge aclk);
      value = rdata;
      @(negedge aclk) rready = 0;
    end
  endtask

  initial begin
    $readmemh("vectors/engine_sq.hex", sq);
    $readmemh("vectors/engine_dense.hex", dense);
    $readmemh("vectors/engine_y.hex", y);
    repeat (3) @(negedge aclk);
    aresetn = 1;
    write(M_AT, M);
    write(N_AT, N);
    write(K_AT, K);
    write(TIMEOUT_AT, 32'hFFFFFFFF);
    write(INTERRUPT_ENABLE_AT, 1);
    write(CONTROL_AT, 1);
    while (!line && cycles < LIMIT) @(negedge aclk);
    read(ERRORS_AT);
    if (value !== 0) begin differ = differ + 1; $display("ERRORS is %h", value); end
    $display("%0d of %0d words of results compared in %0d cycles, %0d differ", y_at, Y_WORDS, cycles, differ);
    if (y_at == Y_WORDS && Y_WORDS > 0 && differ == 0) $display("PASS"); else $display("FAIL");
    $finish;
  end

  always @(negedge aclk) if (aresetn) begin
    if (!sq_valid) sq_valid = sq_at < SQ_WORDS && $random(seed) % 4 != 0;
    if (!dense_valid) dense_valid = dense_at < DENSE_WORDS && $random(seed) % 4 != 0;
    y_ready = $random(seed) % 2 != 0;
  end

  always @(posedge aclk) if (aresetn) begin
    cycles <= cycles + 1;
    if (y_valid && y_ready) begin
      if ({y_last, y_data} !== y[y_at] || y_user !== 1'b0) begin
        differ = differ + 1;
        $display("word %0d is %h, TLAST %b, TUSER %b; it must be %h", y_at, y_data, y_last, y_user, y[y_at]);
      end
      y_at = y_at + 1;
    end
    if (sq_valid && sq_ready) begin sq_at <= sq_at + 1; sq_valid <= 0; end
    if (dense_valid && dense_ready) begin dense_at <= dense_at + 1; dense_valid <= 0; end
  end
endmodule
