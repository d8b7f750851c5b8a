"""What `tclif train` writes is read as it was trained."""

import json

import pytest
import torch

from tclif_deploy import load
from tclif_deploy.nn.config import TrainConfig, args_of
from tclif_deploy.nn.models import architecture, build


@pytest.mark.parametrize("model", ["smnist-ff", "smnist-rec", "psmnist-rec", "shd-rec", "digits-rec"])
@pytest.mark.parametrize("neuron", ["tclif", "plif"])
def test_a_trained_checkpoint_keeps_its_threshold_and_has_no_script_quirks(tmp_path, model, neuron):
    arch = architecture(model)
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"epoch": 1, "state_dict": build(model, neuron).state_dict()}, path)
    (tmp_path / "args.json").write_text(json.dumps(args_of(TrainConfig(model, None, path, neuron=neuron), arch)))
    network = load(path)
    for layer in network.spiking_layers:
        assert (layer.neuron.threshold == arch.threshold).all()
        assert layer.neuron.reset == ("hard" if neuron == "plif" else "soft")
    assert not any("hard-codes" in notice or "does not save" in notice for notice in network.notices), network.notices
