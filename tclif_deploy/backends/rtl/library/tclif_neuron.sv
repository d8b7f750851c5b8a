// One neuron a clock: charge, compare, reset; its new states leave LATENCY = 14 clocks later.
//
//     u = ovf(rnd(a_u*u) + rnd(b_u*v) + i + bias_u)          i enters v's sum instead where TO_SOMA
//     v = ovf(rnd(a_v*v) + rnd(b_v*u) + bias_v)
//     s = v >= threshold
//     u = ovf(u - r_u*s)
//     soft reset: v = ovf(v - (r_v + rnd(q*u))*s), u before its own reset; hard: v = v_reset where s
module tclif_neuron #(
    parameter int UW = 24,          // bits of u
    parameter int VW = 24,          // bits of v
    parameter int K = 12,           // fractional bits of the coefficients
    parameter int CW = 14,          // bits of a coefficient
    parameter int LW = 25,          // bits of thresholds, resets and biases
    parameter int IW = 26,          // bits of the current
    parameter int SW = 30,          // bits of every sum
    parameter int NW = 8,           // bits of a neuron's number
    parameter int ROUNDING = 0,     // of q*u
    parameter int ROUNDING_U = 0,   // of products that enter u
    parameter int ROUNDING_V = 0,
    parameter int OVERFLOW_U = 0,
    parameter int OVERFLOW_V = 0,
    parameter int A_U = 1,          // kinds of coefficients, see tclif_product
    parameter int B_U = 2,
    parameter int A_V = 1,
    parameter int B_V = 2,
    parameter int Q = 0,
    parameter bit TO_SOMA = 1'b0,
    parameter bit HARD = 1'b0,
    parameter bit SPIKING = 1'b1
) (
    input  logic clk,
    input  logic rst,
    input  logic in_valid,
    input  logic [NW-1:0] in_n,
    input  logic signed [UW-1:0] u,
    input  logic signed [VW-1:0] v,
    input  logic signed [IW-1:0] i,
    input  logic signed [CW-1:0] a_u,
    input  logic signed [CW-1:0] b_u,
    input  logic signed [CW-1:0] a_v,
    input  logic signed [CW-1:0] b_v,
    input  logic signed [CW-1:0] q,
    input  logic signed [LW-1:0] threshold,
    input  logic signed [LW-1:0] r_u,
    input  logic signed [LW-1:0] r_v,
    input  logic signed [LW-1:0] v_reset,
    input  logic signed [LW-1:0] bias_u,
    input  logic signed [LW-1:0] bias_v,
    output logic out_valid,
    output logic [NW-1:0] out_n,
    output logic out_s,
    output logic signed [UW-1:0] out_u,
    output logic signed [VW-1:0] out_v,
    output logic [3:0] out_overflow // u charged, v charged, u reset, v reset
);
    localparam int LATENCY = 14;

    logic [LATENCY-1:0] valid;
    always_ff @(posedge clk) valid <= rst ? '0 : {valid[LATENCY-2:0], in_valid};
    assign out_valid = valid[LATENCY-1];
    tclif_delay #(.WIDTH(NW), .DEPTH(LATENCY)) u_n (.clk, .d(in_n), .q(out_n));

    // u: products in clocks 1 to 3, their sum 4, what is added 5, ovf 6
    logic signed [SW-1:0] au3, bu3, products4, added1, added4, wide5;
    logic signed [UW-1:0] charged5, u6;
    logic changed5, changed6;
    tclif_product #(.XW(UW), .CW(CW), .K(K), .ROUNDING(ROUNDING_U), .KIND(A_U), .YW(SW)) u_au (
        .clk, .x(u), .c(a_u), .y(au3));
    tclif_product #(.XW(VW), .CW(CW), .K(K), .ROUNDING(ROUNDING_U), .KIND(B_U), .YW(SW)) u_bu (
        .clk, .x(v), .c(b_u), .y(bu3));
    tclif_delay #(.WIDTH(SW), .DEPTH(3)) u_added (.clk, .d(added1), .q(added4));
    tclif_overflow #(.XW(SW), .YW(UW), .MODE(OVERFLOW_U)) u_charged (.x(wide5), .y(charged5), .changed(changed5));
    always_ff @(posedge clk) begin
        added1 <= TO_SOMA ? SW'(bias_u) : SW'(i) + SW'(bias_u);
        products4 <= au3 + bu3;
        wide5 <= products4 + added4;
        u6 <= charged5;
        changed6 <= changed5;
    end

    // v: products in clocks 7 to 9, their sum 10, what is added 11, ovf 12
    logic signed [VW-1:0] v6, charged11, v12;
    logic signed [CW-1:0] a_v6, b_v6, q6;
    logic signed [SW-1:0] av9, bv9, qu9, qu10, products10, added_v1, added10, wide11, r_v10, drop11, drop12;
    logic signed [LW-1:0] r_v10_level;
    logic signed [UW-1:0] u12;
    logic changed11, changed12;
    tclif_delay #(.WIDTH(VW), .DEPTH(6)) u_v6 (.clk, .d(v), .q(v6));
    tclif_delay #(.WIDTH(CW), .DEPTH(6)) u_a_v6 (.clk, .d(a_v), .q(a_v6));
    tclif_delay #(.WIDTH(CW), .DEPTH(6)) u_b_v6 (.clk, .d(b_v), .q(b_v6));
    tclif_delay #(.WIDTH(CW), .DEPTH(6)) u_q6 (.clk, .d(q), .q(q6));
    tclif_product #(.XW(VW), .CW(CW), .K(K), .ROUNDING(ROUNDING_V), .KIND(A_V), .YW(SW)) u_av (
        .clk, .x(v6), .c(a_v6), .y(av9));
    tclif_product #(.XW(UW), .CW(CW), .K(K), .ROUNDING(ROUNDING_V), .KIND(B_V), .YW(SW)) u_bv (
        .clk, .x(u6), .c(b_v6), .y(bv9));
    tclif_product #(.XW(UW), .CW(CW), .K(K), .ROUNDING(ROUNDING), .KIND(Q), .YW(SW)) u_qu (
        .clk, .x(u6), .c(q6), .y(qu9));
    tclif_delay #(.WIDTH(SW), .DEPTH(9)) u_added_v (.clk, .d(added_v1), .q(added10));
    tclif_delay #(.WIDTH(LW), .DEPTH(10)) u_r_v (.clk, .d(r_v), .q(r_v10_level));
    tclif_delay #(.WIDTH(UW), .DEPTH(6)) u_u12 (.clk, .d(u6), .q(u12));
    tclif_overflow #(.XW(SW), .YW(VW), .MODE(OVERFLOW_V)) u_charged_v (
        .x(wide11), .y(charged11), .changed(changed11));
    assign r_v10 = SW'(r_v10_level);
    always_ff @(posedge clk) begin
        added_v1 <= TO_SOMA ? SW'(i) + SW'(bias_v) : SW'(bias_v);
        products10 <= av9 + bv9;
        wide11 <= products10 + added10;
        v12 <= charged11;
        changed12 <= changed11;
        qu10 <= qu9;
        drop11 <= r_v10 + qu10;
        drop12 <= drop11;
    end

    // comparison, after ovf, and both outcomes of a spike in clock 13; the choice 14
    logic changed_u12;
    tclif_delay #(.WIDTH(1), .DEPTH(6)) u_changed (.clk, .d(changed6), .q(changed_u12));
    generate
        if (!SPIKING) begin : g_readout
            wire unused = &{1'b0, threshold, r_u, v_reset, drop12};
            assign out_s = 1'b0;
            tclif_delay #(.WIDTH(UW), .DEPTH(2)) u_u (.clk, .d(u12), .q(out_u));
            tclif_delay #(.WIDTH(VW), .DEPTH(2)) u_v (.clk, .d(v12), .q(out_v));
            tclif_delay #(.WIDTH(2), .DEPTH(2)) u_c (.clk, .d({changed12, changed_u12}), .q(out_overflow[1:0]));
            assign out_overflow[3:2] = 2'b0;
        end else begin : g_spiking
            logic signed [LW-1:0] threshold12;
            logic fires13, changed_u13, changed_v13, lost_u13, lost_v13, overflow_u, overflow_v;
            logic signed [UW-1:0] u13, after_u;
            logic signed [VW-1:0] v13, after_v;
            logic signed [SW-1:0] reset_u13, reset_v13;
            tclif_delay #(.WIDTH(LW), .DEPTH(12)) u_threshold (.clk, .d(threshold), .q(threshold12));
            always_ff @(posedge clk) begin
                fires13 <= SW'(v12) >= SW'(threshold12);
                u13 <= u12;
                v13 <= v12;
                changed_u13 <= changed_u12;
                changed_v13 <= changed12;
            end
            logic signed [LW-1:0] r_u12;
            tclif_delay #(.WIDTH(LW), .DEPTH(12)) u_r_u (.clk, .d(r_u), .q(r_u12));
            always_ff @(posedge clk) reset_u13 <= SW'(u12) - SW'(r_u12);
            tclif_overflow #(.XW(SW), .YW(UW), .MODE(OVERFLOW_U)) u_reset (
                .x(reset_u13), .y(after_u), .changed(lost_u13));
            if (HARD) begin : g_hard
                logic signed [LW-1:0] v_reset12;
                wire unused = &{1'b0, drop12, reset_v13};
                tclif_delay #(.WIDTH(LW), .DEPTH(12)) u_v_reset (.clk, .d(v_reset), .q(v_reset12));
                always_ff @(posedge clk) reset_v13 <= SW'(v_reset12);
                assign after_v = VW'(reset_v13);
                assign lost_v13 = 1'b0;
            end else begin : g_soft
                wire unused = &{1'b0, v_reset};
                always_ff @(posedge clk) reset_v13 <= SW'(v12) - drop12;
                tclif_overflow #(.XW(SW), .YW(VW), .MODE(OVERFLOW_V)) u_reset_v (
                    .x(reset_v13), .y(after_v), .changed(lost_v13));
            end
            assign overflow_u = fires13 && lost_u13;
            assign overflow_v = fires13 && lost_v13;
            always_ff @(posedge clk) begin
                out_s <= fires13;
                out_u <= fires13 ? after_u : u13;
                out_v <= fires13 ? after_v : v13;
                out_overflow <= {overflow_v, overflow_u, changed_v13, changed_u13};
            end
        end
    endgenerate
endmodule
