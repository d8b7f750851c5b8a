"""Live torch models, read by running them on an example."""

from tclif_deploy.frontends.live.tracing.read import record

__all__ = ["record"]
