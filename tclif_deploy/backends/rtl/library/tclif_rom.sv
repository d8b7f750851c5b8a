// Constants out of a file of hexadecimal words, in the form that becomes block RAM: read data appear after two clocks,
// once out of the array and once out of a register of logic, since block RAM is slow by itself; after one of these where
// STAGES is 1.
module tclif_rom #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,     // at least 2
    parameter int ADDRESS = 4,      // bits of an address
    parameter int STAGES = 2,
    parameter FILE = "none.hex"
) (
    input  logic clk,
    input  logic [ADDRESS-1:0] address,
    output logic [WIDTH-1:0] q
);
    logic [WIDTH-1:0] memory[0:DEPTH-1];
    logic [WIDTH-1:0] word;
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk) word <= memory[address];
    tclif_delay #(.WIDTH(WIDTH), .DEPTH(STAGES - 1)) u_stage (.clk, .d(word), .q);
endmodule
