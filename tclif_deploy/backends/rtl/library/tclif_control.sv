// When what happens. A tick is one step of every layer side by side: layer k works on a step k ticks after the first
// layer did. A step begins every PERIOD ticks (1, unless feedback would come too late). Tokens say what each layer has
// to do in a tick.
module tclif_control #(
    parameter int LAYERS = 2,
    parameter int PERIOD = 1,
    parameter int STEP = 24         // bits of the counter of steps
) (
    input  logic clk,
    input  logic rst,
    // input stream: kind 0 is an event, 1 ends a step, 2 ends a sample's last step
    input  logic in_valid,
    output logic in_ready,
    input  logic [1:0] in_kind,
    input  logic [31:0] length,     // steps after which a sample is read; 0: after its last
    output logic input_start,
    output logic input_first,
    output logic input_event,
    // layers
    output logic start,             // a tick begins; with it:
    output logic [LAYERS-1:0] works,// the layer has a step
    output logic [LAYERS-1:0] first,// it is the sample's first
    output logic [LAYERS-1:0] counts,// it is at most the one after which the sample is read
    output logic [LAYERS-1:0] reads,// it is that one
    input  logic done,              // of all layers
    // what leaves
    output logic tick_go,           // a tick is over
    input  logic tick_done,
    output logic sample_go,         // a sample is over
    input  logic sample_done
);
    localparam int FW = PERIOD > 1 ? $clog2(PERIOD) : 1;
    localparam logic [2:0] IDLE = 0, START = 1, WAIT = 2, RUN = 3, TICK = 4, SAMPLE = 5;

    logic [2:0] state;

    // input: one step is collected while a tick runs
    logic opening, opening_first, opened, full, full_last, take;
    assign in_ready = opened && !full;
    assign input_start = opening;
    assign input_first = opening_first;
    assign input_event = in_valid && in_ready && in_kind == 2'd0;
    always_ff @(posedge clk) begin
        if (rst || (state == SAMPLE && sample_done)) begin
            opening <= 1'b1;
            opening_first <= 1'b1;
            opened <= 1'b0;
            full <= 1'b0;
            full_last <= 1'b0;
        end else begin
            if (opening) begin
                opening <= 1'b0;
                opened <= 1'b1;
            end
            if (in_valid && in_ready && in_kind != 2'd0) begin
                full <= 1'b1;
                full_last <= in_kind == 2'd2;
            end
            if (take) begin
                full <= 1'b0;
                opened <= 1'b0;
                opening <= !full_last;
                opening_first <= 1'b0;
            end
        end
    end

    // ticks
    logic [FW-1:0] phase;
    logic [STEP-1:0] step;
    logic ending, begun;            // the last step has begun; the first has
    logic in_time, reading;
    assign take = state == IDLE && !ending && phase == '0 && full;
    assign in_time = length == '0 || 32'(step) < length;
    assign reading = length == '0 ? full_last : 32'(step) + 32'd1 == length || (full_last && in_time);
    assign start = state == START;
    assign tick_go = state == TICK;
    assign sample_go = state == SAMPLE;
    always_ff @(posedge clk) begin
        if (rst) begin
            state <= IDLE;
            phase <= '0;
            step <= '0;
            ending <= 1'b0;
            begun <= 1'b0;
            works <= '0;
            first <= '0;
            counts <= '0;
            reads <= '0;
        end else case (state)
            IDLE: begin
                if (ending && LAYERS'({works, 1'b0}) == '0) state <= SAMPLE;
                else if (take || ending || phase != '0) begin
                    state <= START;
                    phase <= phase == FW'(PERIOD - 1) ? '0 : phase + 1'b1;
                    works <= LAYERS'({works, take});
                    first <= LAYERS'({first, take && !begun});
                    counts <= LAYERS'({counts, take && in_time});
                    reads <= LAYERS'({reads, take && reading});
                    if (take) begin
                        begun <= 1'b1;
                        ending <= full_last;
                        if (step != '1) step <= step + 1'b1;
                    end
                end
            end
            START: state <= WAIT;
            WAIT: state <= RUN;
            RUN: if (done) state <= TICK;
            TICK: if (tick_done) state <= IDLE;
            default: if (sample_done) begin
                state <= IDLE;
                phase <= '0;
                step <= '0;
                ending <= 1'b0;
                begun <= 1'b0;
            end
        endcase
    end
endmodule
