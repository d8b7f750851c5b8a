"""Short definitions of the words on the page; ``docs/glossary.md`` has more of each.

Each is the first sentence of that word's entry there.
"""

from __future__ import annotations

DEFINITIONS: dict[str, str] = {
    "accuracy": "Share of samples whose class is their label, or of steps where each has one.",
    "agreement": (
        "Share of samples (of steps, where each has a label) for which the float and the fixed-point network choose "
        "the same class."
    ),
    "alone, all but it": (
        "Columns of tclif explain: what is lost with only this source of error quantized, and with everything "
        "quantized but it."
    ),
    "backend": (
        "What turns a fixed-point network into something that runs elsewhere: lava, onnx, c, engine, rtl, or your own."
    ),
    "bias": "A constant current into a compartment in every step, bias_u or bias_v.",
    "bound": "A proven largest magnitude, for every input within the payload.",
    "calibration": "Choosing the scales from what a network does on data.",
    "chaotic": (
        "Of a sample: the float network itself decides it otherwise when its somas start a millionth of a threshold "
        "away, in one of five draws."
    ),
    "class": (
        "What the network decides: the output neuron n with the largest readout times multiplier, the lowest "
        "index where several are equal."
    ),
    "clipped": "Input values beyond the payload, which were set to its limit: their number is in the verdict.",
    "coefficient": (
        "A factor in the neuron's equations: a_u and a_v of a compartment on itself, b_u and b_v between the two "
        "(couplings), q."
    ),
    "compared": ("Verdict: the comparison ran, and no limit applies to it, as to numbers without a requirement."),
    "compartment": "One of the two states of a neuron: dendrite or soma.",
    "connection": (
        "The weights from one source (the input or a layer) into one layer, with a delay, an exponent, and the "
        "kernel's geometry where it is a convolution."
    ),
    "core": "The unit of a chip that holds neurons, their synapses and their states.",
    "coupling": (
        "One of two coefficients: the factor from the soma to the dendrite (b_u; the paper's β1) or from the "
        "dendrite to the soma (b_v; β2)."
    ),
    "delay": "Whole steps between a spike and its arrival.",
    "dendrite": "u, the compartment that the current enters, as a rule.",
    "design rule": "One check of a network, against a target or of what it does on data.",
    "divergence, first": (
        "The earliest step at which float and fixed spikes differ in a layer, printed as sample, step, neuron "
        "(the lowest sample, then neuron, where several differ)."
    ),
    "does not fit": (
        "Verdict: the network does not fit the target, by at least one finding about the fit that is an error."
    ),
    "drop": "Accuracy lost.",
    "energy": (
        "µJ (in files nJ) an inference, from the lowest and the highest public figures of the target, by part: "
        "synapses, updates, messages, hops."
    ),
    "error attribution": "How much of the error each source of error causes.",
    "event": "A spike, or an input value that is not 0.",
    "evidence": (
        "How good a number's source is: vendor (the maker's own document or software), paper, secondary (somebody "
        "else's account of either), assumed (our choice)."
    ),
    "falls short": (
        "Verdict: a limit is missed by more than so few samples could make it seem, or a backend differs from the "
        "reference."
    ),
    "feature": "One value of the input in one step; also called input channel.",
    "fidelity": (
        "How alike float and fixed-point network are, by layer: spike overlap, firing rates, first divergence, "
        "SNR, overflows."
    ),
    "finding": (
        "What a design rule says about one layer, connection or resource: its value, the limit, and what would help."
    ),
    "fine-tuning": "Training on, through the target's own integers.",
    "firing rate": "Spikes a neuron a step, as a share or in per cent; padding does not count.",
    "fixed-point network": "The network in integers alone (FixedNetwork, fixed.npz).",
    "float network": "The network as it was trained, in float64 (Network).",
    "frequency": (
        "ω, the angle in radians by which the states turn in each step below threshold: cos ω = 1 + b_u·b_v/2 "
        "(a_u = a_v = 1)."
    ),
    "fullness": "Share of a core's resource that is used, of the fullest core.",
    "headroom": "How many times the largest float state on the calibration data fits into the state's width.",
    "hidden layer": "A layer between the input and the output layer.",
    "hop": "One message over one tile of the chip's mesh, along x (horizontal) or along y (vertical).",
    "inference": "One sample from its first to its last step.",
    "interaction": "What all sources of error lose together, less the sum of what each loses alone.",
    "latency": (
        "Time of a step (µs) and of an inference, lowest to highest, by a model: a step lasts as long as its "
        "slowest core, the longest way of a message, and the barrier."
    ),
    "layer": "Neurons with a name, and all connections into them.",
    "limit": "One number of a target with its unit, source and evidence.",
    "loss of a rule": (
        "What it costs that integers are read by another rule than the float network, which is no loss of quantization."
    ),
    "lost (agreement)": "Share of samples whose class is no longer the float network's, 1 − agreement.",
    "LSB": 'What one integer unit means to the float network ("least significant bit").',
    "margin": ("The float network's readout of its class less that of its next best one, in its own units."),
    "mesh": "The grid of tiles on which a chip's cores lie; messages travel along x, then along y.",
    "message": "What a spike or an input event sends to one core for one connection.",
    "NeuroBench metric": (
        "A figure by which the field compares networks, under the name and by the definition of the NeuroBench harness."
    ),
    "neuron step": "One update of one neuron: neurons times steps times samples is how much was compared.",
    "nonzero": "Share of a layer's weights that are not 0.",
    "notice": "What you should know about what the reader or the quantizer decided.",
    "operations": (
        "What is counted for the energy, by part: synapses (weights read), updates (neurons updated in a step: "
        "active where an event arrived, else idle), messages, hops."
    ),
    "overflow": "A value that does not fit its width when a sum is complete.",
    "payload": "The signed width of an input integer, and the range ±(2^(bits−1) − 1) that it gives.",
    "placement": "Which neurons lie on which core.",
    "points": "Percentage points: the difference of two percentages.",
    "provenance": "What a build was made from, so that anyone can make it again: the last section of the report.",
    "quantization": "Turning the float network into integers for a target.",
    "R²": (
        "1 less the squared error over the squared deviation from the mean, the mean over the outputs: how much of the "
        "numbers' variation is hit."
    ),
    "range": "The values that a width holds; the shaded part of the report's distributions.",
    "readout": (
        "What the last layer says, by a rule: its soma after the last step, its spike count where it spikes, or "
        "another sum of its steps."
    ),
    "readout error": (
        "Root mean square of the difference between float and fixed readout, as a share of the float readout's "
        "spread (its standard deviation over samples and classes)."
    ),
    "reference": "The simulator that defines correct behaviour, tclif_deploy/simulation/reference.py.",
    "remedy": "What would help against a finding.",
    "requirement": (
        "What the verdict must reach: --min-agreement, --min-accuracy, --max-accuracy-drop, --min-jaccard, or of "
        "numbers --min-r2, --max-rmse, --max-smape and the same with -to-float, or of cost --max-energy, "
        "--max-latency, --max-cores."
    ),
    "reset": "What a spike does to the states.",
    "resource": (
        "What a core has a limited amount of: neurons, synaptic memory, state memory, core memory (where all "
        "share one pool), axons in, axons out."
    ),
    "rmse": "Root of the mean squared error of numbers.",
    "rounding": (
        "How a product or a right shift becomes an integer: toward_zero, floor (down), nearest (half up) or "
        "ceiling (up)."
    ),
    "sample": "One input from its first step to its last, (time, features), with its label where there is one.",
    "seen, fixed": (
        "Column of tclif explain: the largest magnitude of a state that the fixed-point network reached on the "
        "data, as a share of what its width holds."
    ),
    "shift": "f, the left shift from accumulator to current (right, with rounding, where negative).",
    "shortfall": "A limit that is missed beyond doubt, or a backend that differs from the reference.",
    "silent layer": "A spiking layer without a single spike on the data.",
    "sMAPE": (
        "Symmetric mean absolute percentage error of numbers, 0 to 200: the mean of 200·|said − truth| / (|said| + "
        "|truth|)."
    ),
    "SNR": (
        "10·log10(power of the float readout / power of the difference to the fixed one), in dB; no error where "
        "nothing differs."
    ),
    "soma": "v, the compartment that fires: s = 1 where v ≥ θ.",
    "source (of a connection)": "The input or the layer whose values or spikes a connection carries.",
    "source of error": (
        "A kind of number that quantization changes: weights, coefficients, states, thresholds (with the resets), "
        "biases, input."
    ),
    "spike overlap": "Spikes in both networks over spikes in either, from 0 to 1; undefined where neither fires.",
    "spread": "Standard deviation: how far values lie from their mean, as a root mean square.",
    "state": "u or v, from step to step.",
    "static power": (
        "What the chips take with everything powered, over the time of an inference; printed beside the energy, "
        "not in its sum."
    ),
    "step": "One time step: every layer is updated once.",
    "strategy": "How layers are put on cores: greedy, balanced or traffic.",
    "synapse": "One weight that is not 0, from one source neuron to one neuron.",
    "target": "A machine as data: what it computes, what its cores hold, what an operation costs; a TOML file.",
    "threshold": "θ, the soma's value from which the neuron fires.",
    "uncertain": (
        "Verdict: a limit is missed by less than so few samples can tell: by the 95 % interval of the agreement "
        "(Wilson), or of the paired differences of rightness for the accuracy drop."
    ),
    "verdict": (
        "The outcome of comparing float and fixed-point network on data, and every backend with the reference: "
        "verified, uncertain, falls short, compared, or compiled, not verified where no data were given."
    ),
    "unproven": (
        "No simulator that others made of the target's chip was compared with its rules, or none has what the network "
        "takes of them: its neurons, numbers, delays or input."
    ),
    "verified": "Verdict: within its limits.",
    "weight": "What one event of a source (of value 1) adds to a neuron's accumulator.",
    "width": "Bits of an integer, its sign included, unless the text says fractional.",
    "45 nm formula": (
        "The TC-LIF paper's energy of one step (additions and multiplications of 32-bit floats in 45 nm CMOS) on "
        "the rates measured here, with a LIF and an LSTM network of the same size."
    ),
}
"""word -> what it means here, in the order of the documentation"""
