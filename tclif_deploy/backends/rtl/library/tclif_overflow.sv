// y = ovf(x): MODE 0 saturates to +-(2^(YW-1)-1), 1 wraps, 2 saturates to all that two's complement holds.
module tclif_overflow #(
    parameter int XW = 40,          // more than YW
    parameter int YW = 24,
    parameter int MODE = 0
) (
    input  logic signed [XW-1:0] x,
    output logic signed [YW-1:0] y,
    output logic changed
);
    localparam logic signed [XW-1:0] TOP = (XW'(1) <<< (YW - 1)) - XW'(1);
    localparam logic signed [XW-1:0] BOTTOM = MODE == 2 ? -TOP - XW'(1) : -TOP;
    generate
        if (MODE == 1) begin : g_wrap
            assign y = YW'(x);
            assign changed = x != XW'(y);
        end else begin : g_saturate
            assign changed = x > TOP || x < BOTTOM;
            assign y = x > TOP ? YW'(TOP) : x < BOTTOM ? YW'(BOTTOM) : YW'(x);
        end
    endgenerate
endmodule
