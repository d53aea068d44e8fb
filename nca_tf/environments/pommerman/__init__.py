"""Pommerman: an engine of our own, exact in every rule of the original.

Letters: G games side by side, A agents, S rows and columns of the board.

    variant = variants.get_variant('PommeFFACompetition-v0')
    state = engine.reset(variant, games=1024, rng=numpy.random.default_rng(0))
    seen = observation.observe(state)  # dict of [G, A, ...]
    outcome = engine.step(state, actions, observe=True)  # actions: [G, A]
    outcome.rewards, outcome.done  # [G, A] int64, [G] bool
    outcome.observations  # of this step, before a ring collapses
    engine.restart(state, outcome.done, rng)  # new boards where done

`engine.step(state, actions, messages)` takes [G, A, 2] words as well in the
radio variants. `engine.get_result(state, outcome)` returns [G] results and
[G, A] winners. A game may be stepped past its end, as in the original.
`observation.featurize(observations, variant)` is the original's vector of
integers. `seeded_board.make(variant, seed)` gives the original's board of a
seed, `json_state` reads and writes its files, `replay` its recorded games.
"""

from nca_tf.environments.pommerman import engine
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import seeded_board
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.recordings import json_state
from nca_tf.environments.pommerman.recordings import replay

__all__ = [
  'engine',
  'json_state',
  'observation',
  'replay',
  'seeded_board',
  'variants',
]
