// y = rnd(x, SHIFT), one clock later. Every rounding is an addition and then a shift that rounds down.
module tclif_round #(
    parameter int XW = 24,
    parameter int SHIFT = 1,
    parameter int ROUNDING = 0,
    parameter int YW = 24
) (
    input  logic clk,
    input  logic signed [XW-1:0] x,
    input  logic negative,          // the sign of x; may be either where x is 0
    output logic signed [YW-1:0] y  // which holds it
);
    wire unused_x = &{1'b0, x};
    generate
        if (SHIFT == 0) begin : g_none
            wire unused = negative;
            always_ff @(posedge clk) y <= YW'(x);
        end else begin : g_shift
            localparam int W = XW + SHIFT + 1;
            localparam logic signed [W-1:0] BELOW_ONE = (W'(1) <<< SHIFT) - W'(1);
            localparam logic signed [W-1:0] HALF = W'(1) <<< (SHIFT - 1);
            logic signed [W-1:0] addend, sum;
            if (ROUNDING == 0) begin : g_zero
                assign addend = negative ? BELOW_ONE : '0;
            end else if (ROUNDING == 1) begin : g_down
                wire unused = negative;
                assign addend = '0;
            end else if (ROUNDING == 2) begin : g_nearest
                wire unused = negative;
                assign addend = HALF;
            end else begin : g_up
                wire unused = negative;
                assign addend = BELOW_ONE;
            end
            assign sum = W'(x) + addend;
            always_ff @(posedge clk) y <= YW'(sum >>> SHIFT);
        end
    endgenerate
endmodule
