// d, as many clocks later as DEPTH says (0: at once).
module tclif_delay #(
    parameter int WIDTH = 1,
    parameter int DEPTH = 1
) (
    input  logic clk,
    input  logic [WIDTH-1:0] d,
    output logic [WIDTH-1:0] q
);
    generate
        if (DEPTH == 0) begin : g_wire
            wire unused_clk = clk;
            assign q = d;
        end else begin : g_line
            logic [DEPTH*WIDTH-1:0] line;
            always_ff @(posedge clk) line <= (DEPTH*WIDTH)'({line, d});
            assign q = line[DEPTH*WIDTH-1 -: WIDTH];
        end
    endgenerate
endmodule
