// One layer: sums of its events, its neurons' parameters and states, the neuron, and what is counted of it.
module tclif_layer #(
    parameter int NEURONS = 64,
    parameter int LANES = 8,
    parameter int GROUPS = 8,
    parameter int NW = 6,
    parameter int LISTS = 1,
    parameter int PW = 6,
    parameter int ROWS = 64,
    parameter int RW = 6,
    parameter logic [LISTS*RW-1:0] BASE = '0,
    parameter bit MULTIPLY = 1'b0,
    parameter int EW = 1,           // bits of an event's value
    parameter int WW = 8,
    parameter int AW = 20,          // bits of the sum over connections
    parameter int SHIFT = 0,        // left shift of that sum, right where negative
    parameter int PARAMETER = 64,   // bits of a neuron's word of parameters
    parameter int UW = 24,
    parameter int VW = 24,
    parameter int K = 12,
    parameter int CW = 14,
    parameter int LW = 25,
    parameter int IW = 26,
    parameter int SW = 30,
    parameter int ROUNDING = 0,
    parameter int ROUNDING_U = 0,
    parameter int ROUNDING_V = 0,
    parameter int OVERFLOW_U = 0,
    parameter int OVERFLOW_V = 0,
    parameter int A_U = 1,
    parameter int B_U = 2,
    parameter int A_V = 1,
    parameter int B_V = 2,
    parameter int Q = 0,
    parameter bit TO_SOMA = 1'b0,
    parameter bit HARD = 1'b0,
    parameter bit SPIKING = 1'b1,
    parameter bit OBSERVE = 1'b1,   // whether overflows and clocks are counted, and states can be read
    parameter WEIGHTS = "weights.hex",
    parameter PARAMETERS = "parameters.hex"
) (
    input  logic clk,
    input  logic rst,
    input  logic start,             // a step begins, a sample's first where first
    input  logic first,
    output logic done,              // no step is under way
    // events
    input  logic [LISTS*(PW+1)-1:0] counts,
    output logic [LISTS*PW-1:0] positions,
    input  logic [LISTS*PW-1:0] indices,
    input  logic [LISTS*EW-1:0] values,
    // a neuron's word of parameters, and what the network makes of it
    output logic [PARAMETER-1:0] parameters,
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
    // states before a sample's first step, behind the reset of who fired just then
    input  logic signed [UW-1:0] u0,
    input  logic signed [VW-1:0] v0,
    // neurons after their step
    output logic out_valid,
    output logic out_s,
    output logic [NW-1:0] out_n,
    output logic signed [VW-1:0] out_v,
    // while no step is under way: the states of neuron read_n, and what was counted
    input  logic read,
    input  logic [NW-1:0] read_n,
    output logic signed [UW-1:0] read_u,
    output logic signed [VW-1:0] read_v,
    output logic [127:0] overflows, // since the sample's first step; u charged, v charged, u reset, v reset
    output logic [31:0] clocks      // of the last step
);
    localparam int DEPTH = NEURONS > 1 ? NEURONS : 2;
    logic sum_valid, valid1, valid2, first_step;
    logic [NW-1:0] sum_n, n1, n2;
    logic signed [AW-1:0] sum;
    logic signed [IW-1:0] i1, i2;
    tclif_accumulator #(
        .NEURONS(NEURONS), .LANES(LANES), .GROUPS(GROUPS), .NW(NW), .LISTS(LISTS), .PW(PW), .ROWS(ROWS), .RW(RW),
        .BASE(BASE), .MULTIPLY(MULTIPLY), .VW(EW), .WW(WW), .AW(AW), .FILE(WEIGHTS)
    ) u_sums (
        .clk, .rst, .start, .counts, .positions, .indices, .values,
        .out_valid(sum_valid), .out_n(sum_n), .out_sum(sum));

    // While parameters and states are read, the sum becomes a current.
    generate
        if (SHIFT >= 0) begin : g_left
            always_ff @(posedge clk) i1 <= IW'(sum) <<< SHIFT;
        end else begin : g_right
            tclif_round #(.XW(AW), .SHIFT(-SHIFT), .ROUNDING(ROUNDING), .YW(IW)) u_round (
                .clk, .x(sum), .negative(sum[AW-1]), .y(i1));
        end
    endgenerate
    always_ff @(posedge clk) begin
        valid1 <= sum_valid && !rst;
        valid2 <= valid1 && !rst;
        n1 <= sum_n;
        n2 <= n1;
        i2 <= i1;
        if (start) first_step <= first;
    end
    tclif_rom #(.WIDTH(PARAMETER), .DEPTH(DEPTH), .ADDRESS(NW), .FILE(PARAMETERS)) u_parameters (
        .clk, .address(sum_n), .q(parameters));

    logic signed [UW-1:0] out_u, stored_u, old_u;
    logic signed [VW-1:0] stored_v, old_v;
    logic [3:0] out_overflow;
    tclif_ram #(.WIDTH(UW + VW), .DEPTH(DEPTH), .ADDRESS(NW), .STAGES(2)) u_states (
        .clk, .write(out_valid), .write_address(out_n), .d({out_u, out_v}),
        .read_address(OBSERVE && read ? read_n : sum_n), .q({stored_u, stored_v}));
    assign old_u = first_step ? u0 : stored_u;
    assign old_v = first_step ? v0 : stored_v;
    assign read_u = stored_u;
    assign read_v = stored_v;
    tclif_neuron #(
        .UW(UW), .VW(VW), .K(K), .CW(CW), .LW(LW), .IW(IW), .SW(SW), .NW(NW),
        .ROUNDING(ROUNDING), .ROUNDING_U(ROUNDING_U), .ROUNDING_V(ROUNDING_V),
        .OVERFLOW_U(OVERFLOW_U), .OVERFLOW_V(OVERFLOW_V), .A_U(A_U), .B_U(B_U), .A_V(A_V), .B_V(B_V), .Q(Q),
        .TO_SOMA(TO_SOMA), .HARD(HARD), .SPIKING(SPIKING)
    ) u_neuron (
        .clk, .rst, .in_valid(valid2), .in_n(n2),
        .u(old_u), .v(old_v), .i(i2),
        .a_u, .b_u, .a_v, .b_v, .q, .threshold, .r_u, .r_v, .v_reset, .bias_u, .bias_v,
        .out_valid, .out_n, .out_s, .out_u, .out_v, .out_overflow);

    always_ff @(posedge clk) begin
        if (rst) done <= 1'b1;
        else if (start) done <= 1'b0;
        else if (out_valid && out_n == NW'(NEURONS - 1)) done <= 1'b1;
    end
    generate
        if (OBSERVE) begin : g_counts
            for (genvar o = 0; o < 4; o++) begin : g_overflow
                logic [31:0] changed;
                always_ff @(posedge clk) begin
                    if (start && first) changed <= '0;
                    else if (out_valid && out_overflow[o]) changed <= changed + 1'b1;
                end
                assign overflows[o*32 +: 32] = changed;
            end
            always_ff @(posedge clk) begin
                if (start) clocks <= 32'd1;
                else if (!done) clocks <= clocks + 1'b1;
            end
        end else begin : g_blind
            wire unused = &{1'b0, read, read_n, out_overflow};
            assign overflows = '0;
            assign clocks = '0;
        end
    endgenerate
endmodule
