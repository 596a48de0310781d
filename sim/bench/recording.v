// Plays recorded inputs row by row and compares outputs with recorded ones, X and Z included; @NAMES@ are filled in.
`timescale 1ns/1ns
module bench;
  reg [@INPUTS@-1:0] stimulus [0:@ROWS@-1];
  reg [@OUTPUTS@-1:0] expected [0:@ROWS@-1];
  reg [@OUTPUTS@-1:0] mask [0:@ROWS@-1];
  reg [@INPUTS@-1:0] now;
  @DECLARE@
  assign {@INPUT_LIST@} = now;
  wire [@OUTPUTS@-1:0] seen = {@OUTPUT_LIST@};
  @TOP@ dut (@CONNECT@);
  integer row, compared, wrong;
  initial begin
    $readmemh("stimulus.hex", stimulus);
    $readmemh("expected.hex", expected);
    $readmemh("mask.hex", mask);
    compared = 0;
    wrong = 0;
    for (row = 0; row < @ROWS@; row = row + 1) begin
      now = stimulus[row];
      #1;
      if (mask[row] != 0) begin
        compared = compared + 1;
        if (((seen ^ expected[row]) & mask[row]) !== {@OUTPUTS@{1'b0}}) begin
          if (wrong < 10) $display("row %0d: %h, not %h", row, seen, expected[row]);
          wrong = wrong + 1;
        end
      end
    end
    $display("%0d %0d", compared, wrong);
    $finish;
  end
endmodule
