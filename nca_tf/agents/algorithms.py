"""The registry of algorithms, which flags read without TensorFlow.

An algorithm is one folder with an agent as `ppo.agent.PPOAgent` is one, whose
`settings_class` is a dataclass of what it can be told, and one line here.
"""

import importlib

ALGORITHMS = {
  'ppo': 'nca_tf.agents.ppo.agent:PPOAgent',
  'reinforce': 'nca_tf.agents.reinforce.agent:ReinforceAgent',
}


def names() -> tuple[str, ...]:
  """Returns the names of all algorithms."""
  return tuple(ALGORITHMS)


def find(name: str) -> type:
  """Imports and returns the agent's class.

  Raises:
    ValueError: There is no such algorithm.
  """
  if name not in ALGORITHMS:
    raise ValueError(f'name must be one of {", ".join(names())}, got {name!r}')
  module, class_name = ALGORITHMS[name].split(':')
  return getattr(importlib.import_module(module), class_name)
