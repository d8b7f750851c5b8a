"""The Lava processes. Each one is alone in its folder: Lava executes every .py file that lies beside a process."""

from ..compat import prepare

prepare()
