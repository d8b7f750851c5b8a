"""Checkpoints of the family's other neurons with random weights, and their authors' equations, step by step in numpy.

A transcription is a function of one step, (input, states) -> (spikes of each layer, what the last layer says).
"""

import itertools
import math

import numpy as np
import torch

STEPS, SAMPLES = 300, 3
RNG = np.random.default_rng(5)


def reseed():
    """The same numbers again."""
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state


def uniform(low, high, *shape):
    return RNG.uniform(low, high, shape)


def matrix(rows, columns, mean=0.0, spread=1.0):
    return RNG.normal(mean, spread, (rows, columns))


def trains(features, rate=0.3):
    return (np.random.default_rng(7).random((SAMPLES, STEPS, features)) < rate).astype(float)


def get(state, *names):
    return tuple(state.get(name, 0.0) for name in names)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def resonators(hidden=24, inputs=5, outputs=3):
    return {
        "hidden.omega": uniform(3, 12, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.b_offset": uniform(1.5, 4, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.linear.weight": np.hstack([matrix(hidden, inputs, 3, 10), matrix(hidden, hidden, 0, 4)]),
        "out.tau_mem": uniform(5, 20, outputs) * RNG.choice([-1, 1], outputs),
        "out.linear.weight": matrix(outputs, hidden),
    }


def rf_step(state, dt=0.01, theta=1.0):
    w = state["hidden.linear.weight"]
    omega, b = np.abs(state["hidden.omega"]), -np.abs(state["hidden.b_offset"])
    alpha = np.exp(-1 / np.abs(state["out.tau_mem"]))

    def step(i, s):
        z, u, v, out = get(s, "z", "u", "v", "out")
        drive = w @ np.concatenate([i, z * np.ones(len(omega))])
        u, v = u + b * u * dt - omega * v * dt + drive * dt, v + omega * u * dt + b * v * dt
        z = (u > theta).astype(float)
        out = alpha * out + (1 - alpha) * (state["out.linear.weight"] @ z)
        s.update(z=z, u=u, v=v, out=out)
        return [z], out

    return step


def higuchi_alif(hidden=24, inputs=5, outputs=3):
    return {
        "hidden.tau_mem": uniform(5, 25, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.tau_adp": uniform(20, 200, hidden),
        "hidden.linear.weight": np.hstack([matrix(hidden, inputs, 0.3, 1), matrix(hidden, hidden, 0, 0.5)]),
        "hidden.linear.bias": uniform(-0.1, 0.1, hidden),
        "out.tau_mem": uniform(5, 20, outputs), "out.linear.weight": matrix(outputs, hidden),
        "out.linear.bias": uniform(-1, 1, outputs),
    }  # fmt: skip


def higuchi_step(state, beta=1.8, theta=0.01):
    alpha, rho, out_alpha = (
        np.exp(-1 / np.abs(state[name])) for name in ("hidden.tau_mem", "hidden.tau_adp", "out.tau_mem")
    )

    def step(i, s):
        z, u, a, out = get(s, "z", "u", "a", "out")
        drive = state["hidden.linear.weight"] @ np.concatenate([i, z * np.ones(len(rho))]) + state["hidden.linear.bias"]
        a = a * rho + z * (1 - rho)
        limit = theta + a * beta
        u = u * alpha + drive * (1 - alpha)
        z = (u - limit > 0).astype(float)
        u = u - z * limit
        out = out * out_alpha + (1 - out_alpha) * (state["out.linear.weight"] @ z + state["out.linear.bias"])
        s.update(z=z, u=u, a=a, out=out)
        return [z], out

    return step


def sparch(kind="RadLIF", hidden=(20, 16), inputs=6, outputs=4, norm=True):
    state, sources = {}, inputs
    for n, size in enumerate((*hidden, outputs)):
        p = f"snn.{n}."
        state[f"{p}W.weight"] = matrix(size, sources, 0.5, 3)
        state[f"{p}alpha"] = uniform(0.7, 1.0, size)  # some beyond the limits
        last = n == len(hidden)
        if not last and "ad" in kind:
            state |= {f"{p}beta": uniform(0.95, 0.999, size), f"{p}a": uniform(0, 1.2, size),
                      f"{p}b": uniform(-0.5, 2.5, size)}  # fmt: skip
        if not last and kind.startswith("R"):
            state[f"{p}V.weight"] = matrix(size, size, 0, 0.5)
        if norm:
            offset = uniform(0, 7 if "ad" in kind else 1.5, size)
            state |= {f"{p}norm.weight": uniform(0.5, 2, size), f"{p}norm.bias": offset,
                      f"{p}norm.running_mean": uniform(-1, 1, size), f"{p}norm.running_var": uniform(2, 9, size),
                      f"{p}norm.num_batches_tracked": np.array(7)}  # fmt: skip
        sources = size
    return state


def sparch_step(state, layers=2, threshold=1.0, readout=True, eps=1e-5):
    def drive(n, i):
        y = state[f"snn.{n}.W.weight"] @ i
        if f"snn.{n}.norm.weight" in state:
            mean, var, w, b = (state[f"snn.{n}.norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
            y = (y - mean) / np.sqrt(var + eps) * w + b
        return y

    def step(i, s):
        spikes = []
        for n in range(layers):
            alpha = np.clip(state[f"snn.{n}.alpha"], math.exp(-1 / 5), math.exp(-1 / 25))
            u, w, z = get(s, f"u{n}", f"w{n}", f"z{n}")
            z = z * np.ones(len(alpha))
            y = drive(n, i)
            if f"snn.{n}.V.weight" in state:
                v = state[f"snn.{n}.V.weight"].copy()
                np.fill_diagonal(v, 0)
                y = y + z @ v
            if f"snn.{n}.beta" in state:
                beta = np.clip(state[f"snn.{n}.beta"], math.exp(-1 / 30), math.exp(-1 / 120))
                a, b = np.clip(state[f"snn.{n}.a"], -1, 1), np.clip(state[f"snn.{n}.b"], 0, 2)
                w = beta * w + a * u + b * z
                y = y - w
            u = alpha * (u - z) + (1 - alpha) * y
            i = (u - threshold > 0).astype(float)
            s |= {f"u{n}": u, f"w{n}": w, f"z{n}": i}
            spikes.append(i)
        if not readout:
            return spikes, i
        alpha = np.clip(state[f"snn.{layers}.alpha"], math.exp(-1 / 5), math.exp(-1 / 25))
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * drive(layers, i)
        return spikes, s["out"]

    return step


def yin(layout, hidden=(18, 14), inputs=5, outputs=3):
    state, sizes = {}, {"h": hidden[:1], "h1": hidden, "r1": (*hidden, 10)}[layout]
    names = {"h": ("i2h", "h2h"), "h1": ("i_2_h1", "h1_2_h1", "h1_2_h2", "h2_2_h2"),
             "r1": ("i2h", "h2h", "h2d", "d2d", "dense1")}[layout]  # fmt: skip
    ends = {"h": ("h",), "h1": ("h1", "h2"), "r1": ("r1", "r2", "d1")}[layout]
    sources = inputs
    for n, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        for name, columns in zip(names[2 * n : 2 * n + 2], (sources, size), strict=False):
            spread = 1.2 if columns == sources else 0.4
            state[f"{name}.weight"] = matrix(size, columns, 0.3 if columns == sources else 0, spread)
            state[f"{name}.bias"] = uniform(-0.1, 0.1, size)
        state[f"tau_m_{end}"], state[f"tau_adp_{end}"] = uniform(5, 25, size), uniform(20, 200, size)
        sources = size
    out = "d2o" if layout == "r1" else "h2o"
    state |= {f"{out}.weight": matrix(outputs, sources, 0.2), f"{out}.bias": uniform(-0.1, 0.1, outputs),
              "tau_m_o": uniform(5, 20, outputs), "tau_adp_o": uniform(50, 200, outputs)}  # fmt: skip
    return state


def yin_step(state, layout, fires, beta=1.8, base=0.01):
    """``beta`` and ``base`` are numbers, or those of each layer by its ending."""
    chain = {"h": [("i2h", "h2h", "h")], "h1": [("i_2_h1", "h1_2_h1", "h1"), ("h1_2_h2", "h2_2_h2", "h2")],
             "r1": [("i2h", "h2h", "r1"), ("h2d", "d2d", "r2"), ("dense1", None, "d1")]}[layout]  # fmt: skip
    out = "d2o" if layout == "r1" else "h2o"

    def alif(i, end, s, much):
        start = base[end] if isinstance(base, dict) else base
        much = much[end] if isinstance(much, dict) else much
        mem, z, b = s.get(f"mem{end}", 0.0), s.get(f"z{end}", 0.0), s.get(f"b{end}", start)
        alpha, ro = np.exp(-1 / state[f"tau_m_{end}"]), np.exp(-1 / state[f"tau_adp_{end}"])
        b = ro * b + (1 - ro) * z
        limit = start + much * b
        mem = mem * alpha + (1 - alpha) * i - limit * z
        z = (mem - limit > 0).astype(float)
        s |= {f"mem{end}": mem, f"z{end}": z, f"b{end}": b}
        return z

    def step(i, s):
        spikes = []
        for forward, back, end in chain:
            drive = state[f"{forward}.weight"] @ i + state[f"{forward}.bias"]
            if back is not None:
                z = s.get(f"z{end}", 0.0) * np.ones(len(drive))
                drive = drive + state[f"{back}.weight"] @ z + state[f"{back}.bias"]
            i = alif(drive, end, s, beta)
            spikes.append(i)
        drive = state[f"{out}.weight"] @ i + state[f"{out}.bias"]
        if fires:
            z = alif(drive, "o", s, 1.8 if layout == "h" else beta)
            return [*spikes, z], z
        alpha = np.exp(-1 / state["tau_m_o"])
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * drive
        return spikes, s["out"]

    return step


def yin_modules():
    state = {"thr": np.array([0.05])}
    for name, size, sources in (("dense_1", 18, 5), ("rnn_1", 14, 18), ("dense_2", 3, 14)):
        state |= {f"{name}.tau_m": uniform(5, 25, size), f"{name}.dense.weight": matrix(size, sources, 3, 8),
                  f"{name}.dense.bias": uniform(-0.1, 0.1, size)}  # fmt: skip
        if name != "dense_2":
            state[f"{name}.tau_adp"] = uniform(20, 200, size)
    state |= {"rnn_1.recurrent.weight": matrix(14, 14, 0, 3), "rnn_1.recurrent.bias": uniform(-0.1, 0.1, 14)}
    return state


def yin_flat(state):
    """The same network of modules in the layout whose equations `yin_step` runs."""
    flat = {"tau_m_h1": state["dense_1.tau_m"], "tau_adp_h1": state["dense_1.tau_adp"],
            "tau_m_h2": state["rnn_1.tau_m"], "tau_adp_h2": state["rnn_1.tau_adp"], "tau_m_o": state["dense_2.tau_m"],
            "h1_2_h1.weight": np.zeros((18, 18)), "h1_2_h1.bias": np.zeros(18)}  # fmt: skip
    for ours, theirs in (("i_2_h1", "dense_1.dense"), ("h1_2_h2", "rnn_1.dense"), ("h2_2_h2", "rnn_1.recurrent"),
                         ("h2o", "dense_2.dense")):  # fmt: skip
        flat |= {f"{ours}.{part}": state[f"{theirs}.{part}"] for part in ("weight", "bias")}
    return flat


def dendritic(branches=1, recurrent=True, hidden=20, inputs=5, outputs=3):
    name = "rnn_1" if recurrent else "dense_1"
    return {
        f"{name}.tau_m": uniform(0, 4, hidden), f"{name}.tau_n": uniform(0, 4, hidden, branches),
        f"{name}.dense.weight": matrix(hidden * branches, inputs + hidden * recurrent, 0.2, 2),
        f"{name}.dense.bias": uniform(-0.1, 0.1, hidden * branches), "dense_2.tau_m": uniform(0, 4, outputs),
        "dense_2.dense.weight": matrix(outputs, hidden, -0.1, 2), "dense_2.dense.bias": uniform(-0.1, 0.1, outputs),
    }  # fmt: skip


def dendritic_step(state, recurrent=True, vth=1.0, fires=None, reset="soft"):
    """Without tau_n the layer is their plain LIF, whose ``reset`` may be hard or none."""
    name = "rnn_1" if recurrent else "dense_1"

    def step(i, s):
        d, mem, z, out = get(s, "d", "mem", "z", "out")
        alpha = sigma(state[f"{name}.tau_m"])
        beta = sigma(state[f"{name}.tau_n"][:, 0]) if f"{name}.tau_n" in state else 0.0
        if recurrent:
            i = np.concatenate([i, z * np.ones(len(alpha))])
        d = beta * d + (1 - beta) * (state[f"{name}.dense.weight"] @ i + state[f"{name}.dense.bias"])
        if reset == "hard":
            mem = mem * (1 - z)
        mem = mem * alpha + (1 - alpha) * d - vth * z * (reset == "soft")
        z = (mem - vth > 0).astype(float)
        alpha = sigma(state["dense_2.tau_m"])
        drive = (1 - alpha) * (state["dense_2.dense.weight"] @ z + state["dense_2.dense.bias"])
        if fires is None:
            out = alpha * out + drive
            s.update(d=d, mem=mem, z=z, out=out)
            return [z], out
        o = s.get("o", 0.0)
        out = alpha * out + drive - fires * o
        o = (out - fires > 0).astype(float)
        s.update(d=d, mem=mem, z=z, out=out, o=o)
        return [z, o], o

    return step


def delayed(plif=False, kernel=1, sizes=(5, 16, 12, 4), half=6):
    state, place = {}, 0
    for n, (sources, size) in enumerate(itertools.pairwise(sizes)):
        p = f"model.{place}."
        state[f"{p}weight"] = RNG.normal(0.15, 0.6, (size, sources, kernel))
        state[f"{p}P"] = uniform(-half - 1, half + 1, 1, size, sources, kernel)
        state[f"{p}SIG"] = np.full((1, size, sources, kernel), 0.23)
        last = n == len(sizes) - 2
        if not last:
            q = f"model.{place + 1}."
            state |= {f"{q}weight": uniform(0.5, 1.5, size), f"{q}bias": uniform(0, 0.3, size),
                      f"{q}running_mean": uniform(-0.2, 0.2, size), f"{q}running_var": uniform(0.5, 2, size),
                      f"{q}num_batches_tracked": np.array(3)}  # fmt: skip
        if plif:
            state[f"model.{place + (1 if last else 2)}.w"] = np.array(0.3 + n / 10)
        place += 4
    return state


def delayed_step(state, half=6, tau=(10.05 + 1e-9) / 10, layers=3, fires=None, nodes=None, eps=1e-5):
    """By a convolution of each synapse's own kernel over what came before, as the authors' code pads and runs it.

    ``nodes`` are SpikingJelly's own neurons, one a layer, run in place of what is written out here; the last one's
    membrane is what is said, unless it ``fires``.
    """
    steps = 2 * half + 1
    kernels = []
    for n in range(layers):
        w, p = state[f"model.{4 * n}.weight"], state[f"model.{4 * n}.P"][0]
        place = np.clip(np.rint(p), -half, half) + steps // 2
        kernel = np.zeros((*w.shape[:2], steps))
        for o, i, k in np.ndindex(w.shape):
            for tap in range(steps):
                kernel[o, i, tap] += max(0.0, 1 - abs(tap - place[o, i, k])) / (1 + 1e-7) * w[o, i, k]
        kernels.append(kernel)

    def step(i, s):
        spikes = []
        for n, kernel in enumerate(kernels):
            seen = [*s.get(f"x{n}", [np.zeros(len(i))] * (steps - 1)), i]
            s[f"x{n}"] = seen[1:]
            y = np.einsum("oit,ti->o", kernel, np.array(seen))
            last = n == layers - 1
            if not last:
                q = f"model.{4 * n + 1}."
                mean, var, w, b = (state[q + k] for k in ("running_mean", "running_var", "weight", "bias"))
                y = (y - mean) / np.sqrt(var + eps) * w + b
            if nodes is not None:
                if f"x{n} seen" not in s:
                    s[f"x{n} seen"] = nodes[n].reset()
                i = nodes[n](torch.tensor(y)).numpy()
                if last:
                    return ([*spikes, i], i) if fires else (spikes, nodes[n].v.numpy())
                spikes.append(i)
                continue
            name = f"model.{4 * n + (1 if last else 2)}.w"
            leak = sigma(state[name]) if name in state else 1 / tau
            v = s.get(f"v{n}", 0.0)
            v = v - v * leak + y
            if last and fires is None:
                s[f"v{n}"] = v
                return spikes, v
            i = (v >= (fires if last else 1.0)).astype(float)
            s[f"v{n}"] = v * (1 - i)
            spikes.append(i)
        return spikes, i

    return step


def se_adlif(hidden=(18, 14), inputs=5, outputs=3):
    state, sources = {}, inputs
    for name, size in zip(("l1", "l2"), hidden, strict=True):
        state |= {f"{name}.weight": matrix(size, sources, 1.2, 3), f"{name}.bias": uniform(0, 1.5, size),
                  f"{name}.recurrent": matrix(size, size, 0, 0.6), f"{name}.a": uniform(0, 1.1, size),
                  f"{name}.b": uniform(0, 2.2, size)}  # fmt: skip
        for kind, low, high in (("u", 5, 25), ("w", 60, 300)):
            p = f"{name}.tau_{kind}_trainer."
            state |= {
                f"{p}weight": uniform(-0.1, 1.1, size),
                f"{p}tau_min": np.array(low),
                f"{p}tau_max": np.array(high),
            }
        sources = size
    p = "out_layer.tau_u_trainer."
    return state | {
        "out_layer.weight": matrix(outputs, sources),
        "out_layer.bias": uniform(-0.1, 0.1, outputs),
        f"{p}weight": np.full(outputs, 15.0),
        f"{p}tau_min": np.array(15),
        f"{p}tau_max": np.array(15),
    }


def se_adlif_step(state, q, thr=1.0):
    def decays(name, kind):
        p = f"{name}.tau_{kind}_trainer."
        share = state[f"{p}weight"]
        return np.exp(-1 / (share * state[f"{p}tau_max"] + (1 - share) * state[f"{p}tau_min"]))

    def step(i, s):
        spikes = []
        for n in ("l1", "l2"):
            du, dw = decays(n, "u"), decays(n, "w")
            u, w, z = get(s, f"u{n}", f"w{n}", f"z{n}")
            current = state[f"{n}.weight"] @ i + state[f"{n}.bias"] + state[f"{n}.recurrent"] @ (z * np.ones(len(du)))
            u = du * u + (1 - du) * (current - w)
            i = (u - thr > 0).astype(float)
            u = u * (1 - i)
            w = dw * w + (1 - dw) * (state[f"{n}.a"] * u + state[f"{n}.b"] * i) * q
            s |= {f"u{n}": u, f"w{n}": w, f"z{n}": i}
            spikes.append(i)
        alpha = np.exp(-1 / state["out_layer.tau_u_trainer.weight"])
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * (state["out_layer.weight"] @ i + state["out_layer.bias"])
        return spikes, s["out"]

    return step
