// One write and one read port. STAGES is 1 or 2, the clocks until read data appear.
module tclif_ram #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 16,     // at least 2
    parameter int ADDRESS = 4,
    parameter int STAGES = 2
) (
    input  logic clk,
    input  logic write,
    input  logic [ADDRESS-1:0] write_address,
    input  logic [WIDTH-1:0] d,
    input  logic [ADDRESS-1:0] read_address,
    output logic [WIDTH-1:0] q
);
    logic [WIDTH-1:0] memory[0:DEPTH-1];
    logic [WIDTH-1:0] word;
    always_ff @(posedge clk) begin
        if (write) memory[write_address] <= d;
        word <= memory[read_address];
    end
    tclif_delay #(.WIDTH(WIDTH), .DEPTH(STAGES - 1)) u_stage (.clk, .d(word), .q);
endmodule
