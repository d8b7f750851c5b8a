// The spikes of a layer's last step, to be read in their order.
module tclif_observer #(
    parameter int NW = 6,
    parameter bit OBSERVE = 1'b1
) (
    input  logic clk,
    input  logic start,
    input  logic spike,
    input  logic [NW-1:0] n,
    input  logic [15:0] position,
    output logic [15:0] count,
    output logic [15:0] index       // a clock after position
);
    generate
        if (OBSERVE) begin : g_list
            logic [NW-1:0] word;
            wire unused = &{1'b0, position};
            tclif_ram #(.WIDTH(NW), .DEPTH(1 << NW), .ADDRESS(NW), .STAGES(1)) u_list (
                .clk, .write(spike), .write_address(count[NW-1:0]), .d(n), .read_address(position[NW-1:0]), .q(word));
            assign index = 16'(word);
            always_ff @(posedge clk) begin
                if (start) count <= '0;
                else if (spike) count <= count + 1'b1;
            end
        end else begin : g_blind
            wire unused = &{1'b0, clk, start, spike, n, position};
            assign count = '0;
            assign index = '0;
        end
    endgenerate
endmodule
