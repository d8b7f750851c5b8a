// What the pipelines of one layer say, as of one layer: neuron n of the layer is neuron n / PIPELINES of pipeline
// n % PIPELINES. Spikes are numbered pipeline after pipeline.
module tclif_pipelines #(
    parameter int PIPELINES = 2,    // 2, 4 or 8
    parameter int UW = 24,
    parameter int VW = 24,
    parameter bit OBSERVE = 1'b1
) (
    input  logic [PIPELINES-1:0] pipeline_done,
    output logic done,
    // while no step is under way: which neuron's states and which spike are read
    input  logic [15:0] read_n,
    output logic [PIPELINES*16-1:0] pipeline_position,
    input  logic [PIPELINES*16-1:0] pipeline_spikes,
    input  logic [PIPELINES*16-1:0] pipeline_index,
    output logic [15:0] spikes,
    output logic [15:0] spike_index,
    input  logic [PIPELINES*UW-1:0] pipeline_u,
    input  logic [PIPELINES*VW-1:0] pipeline_v,
    output logic [31:0] read_u,
    output logic [31:0] read_v,
    // what was counted
    input  logic [PIPELINES*128-1:0] pipeline_overflows,
    input  logic [PIPELINES*32-1:0] pipeline_clocks,
    output logic [127:0] overflows,
    output logic [31:0] clocks
);
    localparam int BITS = $clog2(PIPELINES);
    assign done = &pipeline_done;
    generate
        if (OBSERVE) begin : g_observe
            // where the spikes of each pipeline begin
            logic [(PIPELINES+1)*16-1:0] bounds;
            assign bounds[15:0] = '0;
            for (genvar p = 0; p < PIPELINES; p++) begin : g_bound
                assign bounds[(p+1)*16 +: 16] = bounds[p*16 +: 16] + pipeline_spikes[p*16 +: 16];
                assign pipeline_position[p*16 +: 16] = read_n - bounds[p*16 +: 16];
            end
            assign spikes = bounds[PIPELINES*16 +: 16];
            always_comb begin
                spike_index = '0;
                for (int p = 0; p < PIPELINES; p++) begin
                    if (read_n >= bounds[p*16 +: 16]) spike_index = pipeline_index[p*16 +: 16] << BITS | 16'(p);
                end
                overflows = '0;
                clocks = '0;
                for (int p = 0; p < PIPELINES; p++) begin
                    for (int o = 0; o < 4; o++) begin
                        overflows[o*32 +: 32] = overflows[o*32 +: 32] + pipeline_overflows[p*128 + o*32 +: 32];
                    end
                    if (pipeline_clocks[p*32 +: 32] > clocks) clocks = pipeline_clocks[p*32 +: 32];
                end
            end
            assign read_u = 32'($signed(pipeline_u[read_n[BITS-1:0]*UW +: UW]));
            assign read_v = 32'($signed(pipeline_v[read_n[BITS-1:0]*VW +: VW]));
        end else begin : g_blind
            wire unused = &{
                1'b0, read_n, pipeline_spikes, pipeline_index, pipeline_u, pipeline_v, pipeline_overflows,
                pipeline_clocks};
            assign pipeline_position = '0;
            assign spikes = '0;
            assign spike_index = '0;
            assign read_u = '0;
            assign read_v = '0;
            assign overflows = '0;
            assign clocks = '0;
        end
    endgenerate
endmodule
