// What leaves: a word at a time, kept until it is taken.
//
//     kind  layer  index   data
//     0     k      neuron  0           a spike, after its tick, where observe[0]
//     1     k      0       clocks      that the layer's step took, likewise
//     2     0      0       clocks      that the tick took, likewise
//     3, 4  k      neuron  u, v        after the last step, where observe[1]
//     5     k      place   count       of values that ovf changed: u charged, v charged, u reset, v reset; likewise
//     6     0      output  value       what is read of the last layer
//     7     0      0       class       argmax of value * multiplier, ties to the lowest; the sample's last word
module tclif_report #(
    parameter int LAYERS = 2,
    parameter logic [LAYERS*16-1:0] SIZES = '0,
    parameter logic [LAYERS-1:0] SPIKING = '0,
    parameter int OUTPUTS = 10,
    parameter int MW = 16,          // bits of a multiplier, signed
    parameter bit OBSERVE = 1'b1,
    parameter MULTIPLIERS = "multipliers.hex"
) (
    input  logic clk,
    input  logic rst,
    input  logic [1:0] observe,
    input  logic start,
    input  logic tick_go,
    output logic tick_done,
    input  logic sample_go,
    output logic sample_done,
    // layers, while they rest
    input  logic [LAYERS-1:0] works,
    output logic read,
    output logic [15:0] read_n,
    input  logic [LAYERS*16-1:0] spikes,        // in the layer's last step
    input  logic [LAYERS*16-1:0] spike_index,   // of the read_n-th of them
    input  logic [LAYERS*32-1:0] clocks,
    input  logic [LAYERS*32-1:0] read_u,
    input  logic [LAYERS*32-1:0] read_v,
    input  logic [LAYERS*128-1:0] overflows,
    input  logic signed [31:0] value,
    // the stream
    output logic out_valid,
    input  logic out_ready,
    output logic [2:0] out_kind,
    output logic [7:0] out_layer,
    output logic [15:0] out_index,
    output logic [31:0] out_data
);
    localparam int LW = LAYERS > 1 ? $clog2(LAYERS) : 1;
    localparam int BW = $clog2(MW) + 1;
    localparam logic [3:0] REST = 0, SPIKES = 1, CLOCKS = 2, TICK = 3, STATE_U = 4, STATE_V = 5, OVERFLOW = 6,
        VALUE = 7, MULTIPLY = 8, COMPARE = 9, CLASS = 10, DONE = 11, CHOOSE = 12;

    logic [3:0] state;
    logic [LW-1:0] layer;
    logic [15:0] n;
    logic [2:0] wait_clocks;        // until what was addressed is there
    logic [31:0] tick_clocks, held_clocks;      // of the tick under way, and of the one that is over
    logic free, there, last_layer;
    assign free = !out_valid || out_ready;
    assign there = wait_clocks == '0;
    assign last_layer = layer == LW'(LAYERS - 1);
    assign read = state != REST;
    assign read_n = n;

    // value * multiplier, a bit of the multiplier a clock; its highest bit counts negative
    logic [BW-1:0] bit_number;
    logic signed [63:0] product, addend, best;
    logic [MW-1:0] multiplier, stored_multiplier;
    logic [15:0] best_n;
    logic any, greater;

    localparam int NW = OUTPUTS > 1 ? $clog2(OUTPUTS) : 1;
    tclif_rom #(.WIDTH(MW), .DEPTH(OUTPUTS > 1 ? OUTPUTS : 2), .ADDRESS(NW), .FILE(MULTIPLIERS)) u_multipliers (
        .clk, .address(n[NW-1:0]), .q(stored_multiplier));

    logic blind;                    // nothing is observed in this tick
    assign blind = !OBSERVE || !observe[0];
    assign tick_done = state == DONE || (tick_go && state == REST && blind);
    assign sample_done = state == DONE;

    logic [15:0] layer_spikes, layer_size;
    assign layer_spikes = spikes[layer*16 +: 16];
    assign layer_size = SIZES[layer*16 +: 16];

    always_ff @(posedge clk) begin
        if (state == REST && tick_go) held_clocks <= tick_clocks;
        tick_clocks <= start ? 32'd1 : tick_clocks + 1'b1;
        if (out_ready) out_valid <= 1'b0;
        if (wait_clocks != '0) wait_clocks <= wait_clocks - 1'b1;
        if (rst) begin
            state <= REST;
            out_valid <= 1'b0;
        end else case (state)
            REST: begin
                layer <= '0;
                n <= '0;
                wait_clocks <= 3'd3;
                any <= 1'b0;
                if (tick_go && !blind) state <= SPIKES;
                else if (sample_go) state <= OBSERVE && observe[1] ? STATE_U : VALUE;
            end
            SPIKES: if (!works[layer]) begin
                layer <= layer + 1'b1;
                if (last_layer) state <= TICK;
            end else if (!SPIKING[layer] || n == layer_spikes) state <= CLOCKS;
            else if (there && free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd0;
                out_layer <= 8'(layer);
                out_index <= spike_index[layer*16 +: 16];
                out_data <= '0;
                n <= n + 1'b1;
                wait_clocks <= 3'd3;
            end
            CLOCKS: if (free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd1;
                out_layer <= 8'(layer);
                out_index <= '0;
                out_data <= clocks[layer*32 +: 32];
                n <= '0;
                wait_clocks <= 3'd3;
                layer <= layer + 1'b1;
                state <= last_layer ? TICK : SPIKES;
            end
            TICK: if (free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd2;
                out_layer <= '0;
                out_index <= '0;
                out_data <= held_clocks;
                state <= DONE;
            end
            STATE_U: if (there && free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd3;
                out_layer <= 8'(layer);
                out_index <= n;
                out_data <= read_u[layer*32 +: 32];
                state <= STATE_V;
            end
            STATE_V: if (free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd4;
                out_layer <= 8'(layer);
                out_index <= n;
                out_data <= read_v[layer*32 +: 32];
                n <= n + 1'b1;
                wait_clocks <= 3'd3;
                state <= STATE_U;
                if (n + 1'b1 == layer_size) begin
                    n <= '0;
                    state <= OVERFLOW;
                end
            end
            OVERFLOW: if (free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd5;
                out_layer <= 8'(layer);
                out_index <= n;
                out_data <= overflows[layer*128 + n[1:0]*32 +: 32];
                n <= n + 1'b1;
                wait_clocks <= 3'd3;
                if (n[1:0] == 2'd3) begin
                    n <= '0;
                    layer <= layer + 1'b1;
                    state <= last_layer ? VALUE : STATE_U;
                end
            end
            VALUE: if (there && free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd6;
                out_layer <= '0;
                out_index <= n;
                out_data <= value;
                multiplier <= stored_multiplier;
                addend <= 64'(value);
                product <= '0;
                bit_number <= '0;
                state <= MULTIPLY;
            end
            MULTIPLY: begin
                if (multiplier[0]) product <= bit_number == BW'(MW - 1) ? product - addend : product + addend;
                multiplier <= multiplier >> 1;
                addend <= addend <<< 1;
                bit_number <= bit_number + 1'b1;
                if (bit_number == BW'(MW - 1)) state <= COMPARE;
            end
            COMPARE: begin
                greater <= product > best;
                state <= CHOOSE;
            end
            CHOOSE: begin
                if (!any || greater) begin
                    best <= product;
                    best_n <= n;
                end
                any <= 1'b1;
                n <= n + 1'b1;
                wait_clocks <= 3'd3;
                state <= n == 16'(OUTPUTS - 1) ? CLASS : VALUE;
            end
            CLASS: if (free) begin
                out_valid <= 1'b1;
                out_kind <= 3'd7;
                out_layer <= '0;
                out_index <= '0;
                out_data <= 32'(best_n);
                state <= DONE;
            end
            default: state <= REST;
        endcase
    end
endmodule
