// What the last layer says: its soma at the step that is read, or the number of spikes up to there.
module tclif_readout #(
    parameter int DEPTH = 10,       // outputs, at least 2
    parameter int NW = 4,
    parameter int VW = 24,
    parameter int RW = 32,          // bits of an output's value
    parameter bit SPIKES = 1'b0
) (
    input  logic clk,
    input  logic valid,             // of the last layer
    input  logic [NW-1:0] n,
    input  logic s,
    input  logic signed [VW-1:0] v,
    input  logic first,
    input  logic counts,
    input  logic reads,
    input  logic [NW-1:0] read_n,   // while no step is under way
    input  logic read,
    output logic signed [RW-1:0] value  // a clock later
);
    logic write;
    logic [NW-1:0] address;
    logic signed [RW-1:0] written;
    tclif_ram #(.WIDTH(RW), .DEPTH(DEPTH), .ADDRESS(NW), .STAGES(1)) u_values (
        .clk, .write, .write_address(address), .d(written), .read_address(read ? read_n : n), .q(value));
    generate
        if (SPIKES) begin : g_count
            logic s1, first1;
            wire unused = &{1'b0, v, reads};
            always_ff @(posedge clk) begin
                write <= valid && counts;
                address <= n;
                s1 <= s;
                first1 <= first;
            end
            assign written = (first1 ? '0 : value) + RW'(s1);
        end else begin : g_soma
            wire unused = &{1'b0, s, first, counts};
            assign write = valid && reads;
            assign address = n;
            assign written = RW'(v);
        end
    endgenerate
endmodule
