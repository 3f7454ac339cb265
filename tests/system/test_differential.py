# SPDX-License-Identifier: ISC
"""The mirror beside NSD, Knot and BIND: the same zones, the same questions, the same answers.

tests/system/differ asks and compares; what it may excuse stands in differ/rules.c.
DIFFER_SEED=n makes other zones, DIFFER_COUNT=n asks more of each world.
"""
import os

import pytest

import servers
import worlds

SEED = int(os.environ.get("DIFFER_SEED", "1"))
COUNT = int(os.environ.get("DIFFER_COUNT", "3000" if servers.IS_SANITIZED else "60000"))
WORLDS = (worlds.unsigned, worlds.nasty, worlds.signed, worlds.root)


def compare(stage, folder, make, count, seed):
    world = worlds.World(stage, folder)
    make(world, seed)
    world.start().compare(count, seed)


@pytest.mark.parametrize("make", WORLDS)
def test_the_mirror_answers_like_the_others(stage, tmp_path, make):
    compare(stage, tmp_path, make, COUNT, SEED)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1001, 1006))
@pytest.mark.parametrize("make", WORLDS)
def test_two_million_answers_are_like_the_others(stage, tmp_path, make, seed):
    compare(stage, tmp_path, make, 100000, seed)
