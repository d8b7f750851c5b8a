// y = rnd(x * c, K), three clocks later.
module tclif_product #(
    parameter int XW = 24,          // bits of x, a state
    parameter int CW = 14,          // bits of c, a coefficient with K fractional bits
    parameter int K = 12,
    parameter int ROUNDING = 0,     // 0 toward zero, 1 down, 2 to the nearest (half up), 3 up
    parameter int KIND = 2,         // 0: c is 0; 1: c is 2^K; 2: any
    parameter int YW = 40,          // bits of y, which hold it
    parameter int LOW = 17          // bits of the lower part where x is wider than a multiplier takes
) (
    input  logic clk,
    input  logic signed [XW-1:0] x,
    input  logic signed [CW-1:0] c,
    output logic signed [YW-1:0] y
);
    generate
        if (KIND == 0) begin : g_zero
            wire unused = &{1'b0, clk, x, c};
            assign y = '0;
        end else if (KIND == 1) begin : g_one
            wire unused = &{1'b0, c};
            logic [XW-1:0] late;
            tclif_delay #(.WIDTH(XW), .DEPTH(3)) u_late (.clk, .d(x), .q(late));
            assign y = YW'($signed(late));
        end else begin : g_any
            localparam int PW = XW + CW;
            logic signed [PW-1:0] product;
            logic negative1, negative2;
            always_ff @(posedge clk) begin
                negative1 <= x[XW-1] ^ c[CW-1];
                negative2 <= negative1;
            end
            if (XW > LOW + 1) begin : g_split
                // Two multipliers, of 18 bits: x = high * 2^LOW + low.
                localparam int HW = XW - LOW;
                logic signed [HW-1:0] high;
                logic signed [LOW:0] low;
                logic signed [HW+CW-1:0] high1;
                logic signed [LOW+CW:0] low1;
                assign high = x[XW-1:LOW];
                assign low = {1'b0, x[LOW-1:0]};
                always_ff @(posedge clk) begin
                    high1 <= (HW+CW)'(high) * (HW+CW)'(c);
                    low1 <= (LOW+1+CW)'(low) * (LOW+1+CW)'(c);
                    product <= (PW'(high1) <<< LOW) + PW'(low1);
                end
            end else begin : g_whole
                logic signed [PW-1:0] product1;
                always_ff @(posedge clk) begin
                    product1 <= PW'(x) * PW'(c);
                    product <= product1;
                end
            end
            tclif_round #(.XW(PW), .SHIFT(K), .ROUNDING(ROUNDING), .YW(YW)) u_round (
                .clk, .x(product), .negative(negative2), .y);
        end
    endgenerate
endmodule
