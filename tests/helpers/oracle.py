"""The tests' own arithmetic: plain Python integers, one neuron at a time, no helper of the package.

Written from the specification (docs, not code): wide sums, separate rounding of each product, one overflow
at the end of each sum.
"""


def rnd(p: int, k: int, mode: str) -> int:
    if k == 0:
        return p
    if mode == "toward_zero":
        return int(p / abs(p)) * (abs(p) // 2**k) if p else 0
    if mode == "floor":
        return p // 2**k
    if mode == "ceiling":
        return p // 2**k + (p % 2**k > 0)
    return (p + 2 ** (k - 1)) // 2**k


def ovf(x: int, bits: int, mode: str) -> int:
    top = 2 ** (bits - 1)
    if mode == "saturate_full":
        return max(-top, min(top - 1, x))
    if mode == "saturate":
        return max(-(top - 1), min(top - 1, x))
    return (x + top) % (2 * top) - top


def charged(m, x, factor, others, currents, bias, bits, overflow, rounding) -> tuple[int, int]:
    """One state of one neuron by docs/arithmetic.md, *Machines with rules of their own*: (charged, changes by ovf).

    ``others`` is the other state's share; ``currents`` what enters here, source by source or all in one.
    """
    changes = 0

    def add(to: int, addends: list[int]) -> int:
        nonlocal changes
        for addend in addends if m.each_addend else [sum(addends)]:
            within = ovf(to + addend, bits, overflow)
            changes += within != to + addend
            to = within
        return to

    addends = [others, *currents, bias]
    if m.input_first and currents:
        x = add(x, currents)
        addends = [others, bias]
    left = rnd(factor * x, m.frac_bits, rounding)
    if m.least_step and x > 0 and factor < 2**m.frac_bits:
        left = min(left, x - 1)
    if m.each_addend:
        return add(x, [add(left - x, addends)]), changes
    return add(left, addends), changes


def matrix(c) -> list[list[int]]:
    """A connection's weights for every pair of neuron and source; where nothing joins them, 0."""
    if c.conv is None:
        return [[int(w) for w in row] for row in c.weight]
    channels, height, width = c.conv.input_shape
    top, left, bottom, right = c.conv.padding
    (sy, sx), (dy, dx) = c.conv.stride, c.conv.dilation
    out, within, ky, kx = c.weight.shape
    rows = []
    for o in range(out):
        first = o // (out // c.conv.groups) * within
        for y in range(-top, height + bottom - dy * (ky - 1), sy):
            for x in range(-left, width + right - dx * (kx - 1), sx):
                row = [0] * (channels * height * width)
                for n in range(within):
                    for a in range(ky):
                        for b in range(kx):
                            if 0 <= y + a * dy < height and 0 <= x + b * dx < width:
                                at = ((first + n) * height + y + a * dy) * width + x + b * dx
                                row[at] += int(c.weight[o][n][a][b])
                rows.append(row)
    return rows


def reset(m, la, n, un, vn) -> tuple[int, int, int]:
    """What a spike leaves of neuron ``n``'s states: (u, v, changes by ovf)."""
    wide_u = un - int(la.r_u[n])
    wide_v = vn - int(la.r_v[n]) - rnd(int(la.q[n]) * un, m.frac_bits, m.rounding)
    within_u, within_v = ovf(wide_u, m.bits_u, m.overflow_u), ovf(wide_v, m.bits_v, m.overflow_v)
    if la.reset == "hard":
        return within_u, int(la.v_reset[n]), within_u != wide_u
    return within_u, within_v, (within_u != wide_u) + (within_v != wide_v)


def run(network, x) -> dict:
    """``x`` nested lists [sample][step][feature]; returns spikes[layer][sample][step][neuron] and final states."""
    m = network.arithmetic
    k, mode = m.frac_bits, m.rounding
    spikes = {la.name: [] for la in network.layers}
    states = {la.name: [] for la in network.layers}
    overflows = dict.fromkeys((la.name for la in network.layers), 0)
    weights = {la.name: [matrix(c) for c in la.connections] for la in network.layers}
    for sample in x:
        past = {la.name: [] for la in network.layers}
        past["input"] = sample
        u = {la.name: [int(value) for value in la.u0] for la in network.layers}
        v = {la.name: [int(value) for value in la.v0] for la in network.layers}
        before = {la.name: [int(value) for value in la.s0] for la in network.layers}
        for la in network.layers:  # the reset of a spike just before the first step is still to be done
            for n in range(la.size):
                if before[la.name][n]:
                    u[la.name][n], v[la.name][n], _ = reset(m, la, n, u[la.name][n], v[la.name][n])
        for t in range(len(sample)):
            for la in network.layers:
                fired = []
                for n in range(la.size):
                    shares = []
                    for c, weight in zip(la.connections, weights[la.name], strict=True):
                        row = past[c.source][t - c.delay] if t - c.delay >= 0 else [0] * len(weight[n])
                        if t - c.delay == -1 and c.source != "input":
                            row = before[c.source]
                        shares += [int(w) * int(z) * 2**c.exponent for w, z in zip(weight[n], row, strict=True)]
                    if not m.each_addend:
                        shares = [sum(shares)]
                    currents = [i * 2**la.shift if la.shift >= 0 else rnd(i, -la.shift, mode) for i in shares]
                    to_u, to_v = (currents, []) if la.input_to == "dendrite" else ([], currents)
                    un, vn = u[la.name][n], v[la.name][n]
                    mode_u, mode_v = m.rounding_u or mode, m.rounding_v or mode
                    share = rnd(int(la.b_u[n]) * vn, k, mode_u)
                    un, changes = charged(
                        m, un, int(la.a_u[n]), share, to_u, int(la.bias_u[n]), m.bits_u, m.overflow_u, mode_u
                    )
                    overflows[la.name] += changes
                    share = rnd(int(la.b_v[n]) * un, k, mode_v)
                    vn, changes = charged(
                        m, vn, int(la.a_v[n]), share, to_v, int(la.bias_v[n]), m.bits_v, m.overflow_v, mode_v
                    )
                    overflows[la.name] += changes
                    s = 0
                    most = m.most_spikes if la.reset == "soft" and la is not network.layers[-1] else 1
                    while la.spiking and s < most and vn >= int(la.threshold[n]):
                        s += 1
                        un, vn, changes = reset(m, la, n, un, vn)
                        overflows[la.name] += changes
                    u[la.name][n], v[la.name][n] = un, vn
                    fired.append(s)
                past[la.name].append(fired)
        for la in network.layers:
            spikes[la.name].append(past[la.name])
            states[la.name].append((u[la.name], v[la.name]))
    return {"spikes": spikes, "states": states, "overflows": overflows}
