"""Where cores lie: chips in rows, each a mesh of tiles with some cores; messages travel along x, then along y."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tclif_deploy.fixed import Int
from tclif_deploy.mapping.memory import number
from tclif_deploy.target.schema import Target


@dataclass(frozen=True)
class Mesh:
    """Positions of ``chips`` chips. A core's slot is chip * cores_per_chip + its number on the chip.

    The chips are laid out in rows, as nearly square as can be: how real systems join them is not modelled.
    """

    width: int
    """tiles"""
    height: int
    cores_per_tile: int
    cores_per_chip: int
    chips: int

    @classmethod
    def of(cls, target: Target, chips: int, cores: int) -> Mesh:
        """The target's mesh; without one, the cores of a chip lie on one tile."""
        per_chip = number(target.cores_per_chip, cores)
        if target.mesh_width is None or target.mesh_height is None:
            return cls(1, 1, per_chip, per_chip, chips)
        per_tile = number(target.cores_per_tile, 1)
        return cls(target.mesh_width.value, target.mesh_height.value, per_tile, per_chip, chips)

    @property
    def slots(self) -> int:
        """Places for cores."""
        return self.chips * self.cores_per_chip

    @property
    def chip_columns(self) -> int:
        """Chips in a row."""
        return math.isqrt(max(self.chips - 1, 0)) + 1

    def chip(self, slot: Int) -> Int:
        """Chip of each slot."""
        return np.asarray(slot) // self.cores_per_chip

    def position(self, slot: Int) -> tuple[Int, Int]:
        """(x, y) of each slot's tile, counted over all chips."""
        slot = np.asarray(slot)
        tile = slot % self.cores_per_chip // self.cores_per_tile
        chip = self.chip(slot)
        x = tile % self.width + self.width * (chip % self.chip_columns)
        y = tile // self.width + self.height * (chip // self.chip_columns)
        return x, y
