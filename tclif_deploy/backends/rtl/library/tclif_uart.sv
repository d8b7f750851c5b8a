// The network on a serial line, for a board: 8 data bits, no parity, 1 stop bit, DIVIDER clocks a bit.
//
// Into it go bytes of four kinds of messages; numbers are little-endian:
//     0, index (2 bytes), value (4 bytes)    an event: which feature, and its integer, which is not 0
//     1                                      a step ends
//     2                                      a sample's last step ends
//     3, steps (4 bytes)                     after how many steps samples are read from now on, 0: after their last one
// Out of it comes a sample's class, 2 bytes, when the sample has ended.
//
// A serial line cannot wait: a byte must take longer than a step, or messages are lost, and overrun stays high.
module tclif_uart #(
    parameter int DIVIDER = 217     // 115,200 bits a second of a clock of 25 MHz
) (
    input  logic clk,
    input  logic rx,
    output logic tx,
    output logic overrun
);
    localparam int DW = $clog2(DIVIDER + 1);

    // the first clocks after power-on
    logic [4:0] awake;
    logic rst;
    initial awake = '0;
    assign rst = awake != '1;
    always_ff @(posedge clk) if (rst) awake <= awake + 1'b1;

    // bits in: a start bit is looked at again in its middle
    logic [2:0] line;
    logic [DW-1:0] in_wait;
    logic [3:0] in_bit;
    logic [7:0] in_byte;
    logic receiving, received;
    always_ff @(posedge clk) begin
        line <= {line[1:0], rx};
        received <= 1'b0;
        if (rst) receiving <= 1'b0;
        else if (!receiving) begin
            in_wait <= DW'(DIVIDER / 2);
            in_bit <= '0;
            receiving <= !line[2];
        end else if (in_wait != '0) in_wait <= in_wait - 1'b1;
        else begin
            in_wait <= DW'(DIVIDER - 1);
            in_bit <= in_bit + 1'b1;
            if (in_bit == 4'd0) receiving <= !line[2];
            else if (in_bit == 4'd9) begin
                receiving <= 1'b0;
                received <= line[2];
            end else in_byte <= {line[2], in_byte[7:1]};
        end
    end

    // bytes to words
    logic [2:0] left;               // bytes of a message that are still to come
    logic [1:0] kind;
    logic [47:0] body;
    logic [31:0] length;
    logic word_valid, word_ready, complete;
    logic [1:0] word_kind;
    logic [15:0] word_index;
    logic [31:0] word_value;
    always_ff @(posedge clk) begin
        if (word_ready) word_valid <= 1'b0;
        complete <= 1'b0;
        if (rst) begin
            left <= '0;
            word_valid <= 1'b0;
            length <= '0;
            overrun <= 1'b0;
            complete <= 1'b0;
        end else begin
            if (received) begin
                if (left == '0) begin
                    kind <= in_byte[1:0];
                    left <= in_byte[1:0] == 2'd0 ? 3'd6 : in_byte[1:0] == 2'd3 ? 3'd4 : 3'd0;
                    complete <= in_byte[1:0] == 2'd1 || in_byte[1:0] == 2'd2;
                end else begin
                    body <= {in_byte, body[47:8]};
                    left <= left - 1'b1;
                    complete <= left == 3'd1;
                end
            end
            if (complete && kind == 2'd3) length <= body[47:16];
            else if (complete) begin
                word_valid <= 1'b1;
                word_kind <= kind;
                word_index <= body[15:0];
                word_value <= body[47:16];
                if (word_valid && !word_ready) overrun <= 1'b1;
            end
        end
    end

    // the network; of what leaves it, the class
    logic out_valid, out_ready, is_class;
    logic [2:0] out_kind;
    logic [7:0] out_layer;
    logic [15:0] out_index;
    logic [31:0] out_data;
    wire unused = &{1'b0, out_layer, out_index, out_data[31:16]};
    tclif_network #(.OBSERVE(1'b0)) u_network (
        .clk, .rst, .length, .observe(2'b0), .in_valid(word_valid), .in_ready(word_ready), .in_kind(word_kind),
        .in_index(word_index), .in_value(word_value), .out_valid, .out_ready, .out_kind, .out_layer, .out_index,
        .out_data);
    assign is_class = out_kind == 3'd7;

    // bits out: two bytes, each with its start and stop bit
    logic [19:0] shift;
    logic [4:0] bits;
    logic [DW-1:0] out_wait;
    assign out_ready = bits == '0 || !is_class;
    assign tx = bits == '0 ? 1'b1 : shift[0];
    always_ff @(posedge clk) begin
        if (rst) bits <= '0;
        else if (bits != '0) begin
            out_wait <= out_wait == '0 ? DW'(DIVIDER - 1) : out_wait - 1'b1;
            if (out_wait == '0) begin
                shift <= shift >> 1;
                bits <= bits - 1'b1;
            end
        end else if (out_valid && is_class) begin
            shift <= {1'b1, out_data[15:8], 1'b0, 1'b1, out_data[7:0], 1'b0};
            bits <= 5'd20;
            out_wait <= DW'(DIVIDER - 1);
        end
    end
endmodule
