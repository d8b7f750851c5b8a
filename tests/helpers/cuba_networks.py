"""Small networks of Loihi's CUBA neurons with random weights, as lava-dl trains them."""

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.network import Connection, Layer, Network


def cuba_layer(size, **changes):
    values = {"current_decay": 0.5, "voltage_decay": 0.125, "threshold": 1.7}
    return neurons.cuba_lif(size, **{**values, **changes})


def cuba_network(first=None, second=None, recurrent=True):
    rng = np.random.default_rng(0)
    first, second = first or cuba_layer(10, bias_v=0.02), second or cuba_layer(5)
    links = [Connection("input", rng.normal(0.15, 0.5, (10, 6)))]
    if recurrent:
        links.append(Connection("a", rng.normal(0, 0.2, (10, 10)), 1))
    last = Layer("b", second, (Connection("a", rng.normal(0.2, 0.5, (5, 10))),))
    return Network(6, (Layer("a", first, tuple(links)), last))
