// Sums of one layer's events, neuron after neuron. Groups of LANES neurons one after the other: all events of the step
// are added up in LANES registers, which then leave one a clock, while the next group is added up. A group takes
// max(events, LANES) clocks, so a step takes GROUPS * max(events, LANES) + LANES + a few.
module tclif_accumulator #(
    parameter int NEURONS = 64,
    parameter int LANES = 8,
    parameter int GROUPS = 8,
    parameter int NW = 6,           // bits of a neuron's number
    parameter int LISTS = 1,        // connections
    parameter int PW = 6,           // bits of a position in the longest list
    parameter int ROWS = 64,        // sources of all connections
    parameter int RW = 6,           // bits of a source among them
    parameter logic [LISTS*RW-1:0] BASE = '0,   // each connection's first source among them
    parameter bit MULTIPLY = 1'b0,  // whether events have values other than 1
    parameter int VW = 1,           // bits of a value
    parameter int WW = 8,           // bits of a weight
    parameter int AW = 20,          // bits of a sum
    parameter FILE = "weights.hex"
) (
    input  logic clk,
    input  logic rst,
    input  logic start,             // a step begins; the lists' counts are valid from the next clock on
    input  logic [LISTS*(PW+1)-1:0] counts,
    output logic [LISTS*PW-1:0] positions,
    input  logic [LISTS*PW-1:0] indices,        // a clock after positions
    input  logic [LISTS*VW-1:0] values,
    output logic out_valid,
    output logic [NW-1:0] out_n,
    output logic signed [AW-1:0] out_sum
);
    localparam int MW = $clog2(GROUPS * ROWS) > 0 ? $clog2(GROUPS * ROWS) : 1;
    localparam int LW = $clog2(LANES) > 0 ? $clog2(LANES) : 1;
    localparam int EW = (PW > LW ? PW : LW) + $clog2(LISTS + 1) + 2;
    localparam int GW = $clog2(GROUPS) > 0 ? $clog2(GROUPS) : 1;
    localparam int CW = $clog2(GROUPS * LANES) > NW ? $clog2(GROUPS * LANES) + 1 : NW + 1;

    // which event: the k-th of all lists, one after the other; bounds say where each list begins
    logic prepare1, prepare2, running, last_k, last_g;
    logic [(LISTS+1)*EW-1:0] sums, bounds;
    logic [EW-1:0] k, final_k;
    logic [GW-1:0] g;
    logic [MW-1:0] group_base;
    assign sums[EW-1:0] = '0;
    assign last_k = k == final_k;
    assign last_g = g == GW'(GROUPS - 1);
    always_ff @(posedge clk) begin
        prepare1 <= start && !rst;
        prepare2 <= prepare1 && !rst;
        if (prepare1) bounds <= sums;
        if (rst) running <= 1'b0;
        else if (prepare2) begin
            running <= 1'b1;
            final_k <= bounds[LISTS*EW +: EW] > EW'(LANES) ? bounds[LISTS*EW +: EW] - 1'b1 : EW'(LANES - 1);
            k <= '0;
            g <= '0;
            group_base <= '0;
        end else if (running) begin
            k <= last_k ? '0 : k + 1'b1;
            if (last_k) begin
                g <= g + 1'b1;
                group_base <= group_base + MW'(ROWS);
                if (last_g) running <= 1'b0;
            end
        end
    end

    // clock 1: position in each list; 2: its event; 3: its source; 4: its address
    logic [LISTS-1:0] chosen0, chosen1, chosen2;
    logic [RW-1:0] source2, source3;
    logic signed [VW-1:0] value2, value3;
    logic [MW-1:0] base1, base2, base3, address4;
    generate
        for (genvar c = 0; c < LISTS; c++) begin : g_list
            logic [EW-1:0] offset;
            wire unused = &{1'b0, offset[EW-1:PW]};
            assign sums[(c+1)*EW +: EW] = sums[c*EW +: EW] + EW'(counts[c*(PW+1) +: PW+1]);
            assign offset = k - bounds[c*EW +: EW];
            assign chosen0[c] = running && k >= bounds[c*EW +: EW] && k < bounds[(c+1)*EW +: EW];
            always_ff @(posedge clk) positions[c*PW +: PW] <= offset[PW-1:0];
        end
    endgenerate
    always_comb begin
        source2 = '0;
        value2 = '0;
        for (int c = 0; c < LISTS; c++) begin
            if (chosen2[c]) begin
                source2 = BASE[c*RW +: RW] + RW'(indices[c*PW +: PW]);
                value2 = values[c*VW +: VW];
            end
        end
    end
    always_ff @(posedge clk) begin
        chosen1 <= chosen0;
        chosen2 <= chosen1;
        source3 <= source2;
        value3 <= value2;
        base1 <= group_base;
        base2 <= base1;
        base3 <= base2;
        address4 <= base3 + MW'(source3);
    end

    // 5 and 6: weights; 7: their products; 8: sums; 9: sums of a whole group wait to leave
    logic valid6, first7, last8, leaving;
    logic [LANES*WW-1:0] weights6;
    logic [LANES*AW-1:0] sums8, waiting;
    tclif_rom #(.WIDTH(LANES*WW), .DEPTH(GROUPS*ROWS > 1 ? GROUPS*ROWS : 2), .ADDRESS(MW), .FILE(FILE)) u_weights (
        .clk, .address(address4), .q(weights6));
    tclif_delay #(.WIDTH(1), .DEPTH(4)) u_valid (.clk, .d(|chosen2), .q(valid6));
    tclif_delay #(.WIDTH(1), .DEPTH(7)) u_first (.clk, .d(running && k == '0), .q(first7));
    logic [7:0] last;               // cleared by a reset, or what was under way would be taken for a group's end
    always_ff @(posedge clk) last <= rst ? '0 : {last[6:0], running && last_k};
    assign last8 = last[7];
    generate
        if (MULTIPLY) begin : g_value
            logic signed [VW-1:0] value6;
            tclif_delay #(.WIDTH(VW), .DEPTH(3)) u_value (.clk, .d(value3), .q(value6));
            for (genvar l = 0; l < LANES; l++) begin : g_lane
                logic signed [WW-1:0] weight;
                logic signed [AW-1:0] term7, sum8;
                assign weight = weights6[l*WW +: WW];
                always_ff @(posedge clk) begin
                    term7 <= valid6 ? AW'(weight) * AW'(value6) : '0;
                    sum8 <= first7 ? term7 : sum8 + term7;
                end
                assign sums8[l*AW +: AW] = sum8;
            end
        end else begin : g_one
            wire unused = &{1'b0, value3};
            for (genvar l = 0; l < LANES; l++) begin : g_lane
                logic signed [WW-1:0] weight;
                logic signed [AW-1:0] term7, sum8;
                assign weight = weights6[l*WW +: WW];
                always_ff @(posedge clk) begin
                    term7 <= valid6 ? AW'(weight) : '0;
                    sum8 <= first7 ? term7 : sum8 + term7;
                end
                assign sums8[l*AW +: AW] = sum8;
            end
        end
    endgenerate

    logic [LW-1:0] lane;
    logic [CW-1:0] n;
    wire unused_n = &{1'b0, n[CW-1:NW]};
    always_ff @(posedge clk) begin
        waiting <= last8 ? sums8 : waiting >> AW;
        if (rst) leaving <= 1'b0;
        else if (last8) leaving <= 1'b1;
        // Lanes without a neuron do not leave: they would still do so when the next step begins.
        else if (lane == LW'(LANES - 1) || n == CW'(NEURONS - 1)) leaving <= 1'b0;
        lane <= last8 ? '0 : lane + 1'b1;
        if (start) n <= '0;
        else if (leaving) n <= n + 1'b1;
    end
    assign out_valid = leaving && n < CW'(NEURONS);
    assign out_n = n[NW-1:0];
    assign out_sum = waiting[AW-1:0];
endmodule
