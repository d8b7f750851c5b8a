"""Does the fixed-point network still say what the float network says, and does every backend say the same?"""

from tclif_deploy.verification.fidelity import difference, verify
from tclif_deploy.verification.requirements import Judgement, Requirements
from tclif_deploy.verification.verdict import BackendCheck, Divergence, LayerFidelity, Verdict

__all__ = [
    "BackendCheck", "Divergence", "Judgement", "LayerFidelity", "Requirements", "Verdict", "difference", "verify",
]  # fmt: skip
