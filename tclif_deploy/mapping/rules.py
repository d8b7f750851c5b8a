"""Rules: each one a function over (network, target, placement, activity, behaviour) that returns findings.

All are run and all findings are told, worst first; none stops the others.
"""

from __future__ import annotations

from tclif_deploy.arguments import checked
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping import rules_behaviour, rules_network, rules_numbers
from tclif_deploy.mapping.activity import Activity, Behaviour
from tclif_deploy.mapping.advice import advise
from tclif_deploy.mapping.findings import Context, Finding, Rule, worst_first
from tclif_deploy.mapping.partition import CannotFit
from tclif_deploy.mapping.placement import Placement, place
from tclif_deploy.target.schema import Target

RULES: tuple[Rule, ...] = (
    rules_numbers.arithmetic,
    rules_numbers.weight_width,
    rules_numbers.parameter_width,
    rules_numbers.shared_parameters,
    rules_numbers.input_payload,
    rules_numbers.accumulator,
    rules_numbers.state_range,
    rules_numbers.dead_weights,
    rules_network.neuron_kind,
    rules_network.delays,
    rules_network.fan,
    rules_network.terminals,
    rules_network.separate_outputs,
    rules_network.mesh_rate,
    rules_network.near_capacity,
    rules_behaviour.behaviour,
)
"""Every rule; placement itself is the first thing that `check` tries."""


@checked
def check(
    fixed: FixedNetwork,
    target: Target,
    placement: Placement | None = None,
    activity: Activity | None = None,
    strategy: str = "greedy",
    behaviour: Behaviour | None = None,
) -> tuple[Finding, ...]:
    """Every finding of every rule, worst first. Without ``placement`` the network is placed by ``strategy``.

    ``behaviour`` is what a verdict says of the layers; without it they are judged by ``activity``.
    A network that does not fit raises nothing: it is the worst finding.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> findings = tc.mapping.check(fixed, tc.load_target("loihi1"))
    >>> findings[0].rule, findings[0].subject, findings[0].value, findings[0].limit
    ('neuron_kind', 'features.1', 'a two_compartment neuron', 'if, lif, cuba')
    """
    findings: list[Finding] = []
    if placement is None:
        try:
            placement = place(fixed, target, strategy)
        except CannotFit as error:
            remedy = "; ".join([*([error.hint] if error.hint else []), *advise(fixed, target, strategy)])
            findings.append(Finding("placement", "error", target.name, error.what, "", remedy, excess=1e9))
    if behaviour is None and activity is not None:
        behaviour = activity.behaviour()
    context = Context(fixed, target, placement, activity, behaviour)
    for rule in RULES:
        findings += rule(context)
    return worst_first(findings)
