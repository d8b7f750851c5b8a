"""The reference simulator against the oracle, every spike, state and overflow."""

import numpy as np

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.simulation import reference
from tests.helpers import oracle
from tests.helpers.random_networks import assert_alive


def assert_equals_oracle(network: FixedNetwork, x: np.ndarray) -> None:
    result = reference.simulate(network, x)
    assert_alive(result)
    truth = oracle.run(network, x.tolist())
    for layer in network.layers:
        if layer.spiking:
            assert result.spikes[layer.name].astype(int).tolist() == truth["spikes"][layer.name]
        for sample, (u, v) in enumerate(truth["states"][layer.name]):
            assert result.u[layer.name][sample].tolist() == u
            assert result.v[layer.name][sample].tolist() == v
        assert int(result.overflows[layer.name].sum()) == truth["overflows"][layer.name]
