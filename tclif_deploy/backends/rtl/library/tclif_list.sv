// What one source sent to one connection: a list of events for each of the last FRAMES steps, and of the step that is
// DELAY steps back the number of events, and the event at a position, whose index and value appear a clock later.
module tclif_list #(
    parameter int FRAMES = 2,
    parameter int DELAY = 0,
    parameter int PW = 8,           // bits of a position, and of a source's index
    parameter int VW = 1,           // bits of an event's value
    parameter bit GRADED = 1'b0,    // whether events carry a value; else it is 1
    parameter int EXPONENT = 0,     // left shift of the value
    parameter int STARTS = 0,       // events of the source just before the first step, which step DELAY - 1 reads
    parameter FILE = "none.hex"     // their indices
) (
    input  logic clk,
    input  logic rst,
    input  logic source_start,      // a step of the source begins, its first where source_first
    input  logic source_first,
    input  logic source_valid,      // an event
    input  logic [PW-1:0] source_index,
    input  logic signed [VW-1:0] source_value,
    input  logic start,             // a step of the reader begins
    input  logic first,
    output logic [PW:0] count,
    input  logic [PW-1:0] position,
    output logic [PW-1:0] index,
    output logic signed [VW-1:0] value
);
    localparam int FW = FRAMES > 1 ? $clog2(FRAMES) : 1;
    localparam int AW = FRAMES > 1 ? PW + FW : PW;
    localparam int DW = DELAY > 0 ? $clog2(DELAY + 1) : 1;
    localparam int WIDTH = GRADED ? PW + VW : PW;

    logic [FW-1:0] write_frame, write_next, read_frame, read_next;
    logic [PW:0] fill;
    logic [PW:0] counts[0:FRAMES-1];
    assign write_next = source_first || write_frame == FW'(FRAMES - 1) ? '0 : write_frame + 1'b1;
    always_ff @(posedge clk) begin
        if (rst) begin
            write_frame <= '0;
            fill <= '0;
        end else if (source_start) begin
            write_frame <= write_next;
            fill <= '0;
        end else if (source_valid) fill <= fill + 1'b1;
        if (source_start) counts[write_next] <= '0;
        else if (source_valid) counts[write_frame] <= fill + 1'b1;
    end

    // Before the reader's step DELAY there is nothing to read but the start, in step DELAY - 1; step DELAY reads frame 0.
    logic [DW-1:0] age, age_now;
    logic reading, reading_now, starting_now;
    assign age_now = first ? '0 : age;
    assign reading_now = age_now == DW'(DELAY);
    assign read_next = first || !reading || read_frame == FW'(FRAMES - 1) ? '0 : read_frame + 1'b1;
    always_ff @(posedge clk) begin
        if (rst) begin
            age <= '0;
            reading <= 1'b0;
            read_frame <= '0;
            count <= '0;
        end else if (start) begin
            age <= reading_now ? age_now : age_now + 1'b1;
            reading <= reading_now;
            read_frame <= read_next;
            count <= reading_now ? counts[read_next] : starting_now ? (PW+1)'(STARTS) : '0;
        end
    end

    logic [WIDTH-1:0] written, word;
    tclif_ram #(.WIDTH(WIDTH), .DEPTH(FRAMES << PW), .ADDRESS(AW), .STAGES(1)) u_events (
        .clk, .write(source_valid), .write_address(AW'({write_frame, fill[PW-1:0]})), .d(written),
        .read_address(AW'({read_frame, position})), .q(word));
    generate
        if (STARTS > 0) begin : g_start
            localparam int SW = STARTS > 1 ? $clog2(STARTS) : 1;
            logic starting;
            logic [PW-1:0] start_index;
            assign starting_now = age_now == DW'(DELAY - 1);
            always_ff @(posedge clk) begin
                if (rst) starting <= 1'b0;
                else if (start) starting <= starting_now;
            end
            tclif_rom #(.WIDTH(PW), .DEPTH(STARTS > 1 ? STARTS : 2), .ADDRESS(SW), .STAGES(1), .FILE(FILE)) u_starts (
                .clk, .address(position[SW-1:0]), .q(start_index));
            assign index = starting ? start_index : word[PW-1:0];
        end else begin : g_silent
            assign starting_now = 1'b0;
            assign index = word[PW-1:0];
        end
        if (GRADED) begin : g_graded
            assign written = {source_value, source_index};
            assign value = VW'($signed(word[PW +: VW]) <<< EXPONENT);
        end else begin : g_spikes
            wire unused = &{1'b0, source_value};
            assign written = source_index;
            assign value = VW'(64'sd1 <<< EXPONENT);
        end
    endgenerate
endmodule
