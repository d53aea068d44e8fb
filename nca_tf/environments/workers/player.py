"""Who plays: a scripted policy of the game, or an agent in a folder."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments.workers import saved_agent


class Player(NamedTuple):
  """A policy text that `resolve` has understood."""

  # Short name for tables and folders: a scripted policy's own name, or `agent-`
  # and the digest of the agent's weights
  label: str
  # SavedModel of the agent; None for a scripted policy
  folder: pathlib.Path | None
  blind: bool  # Whether it never looks at the observation
  # What the agent says of itself; empty for a scripted policy
  info: Mapping[str, Any]

  @property
  def parameters(self) -> int | None:
    """P of the controller whose parameters can be replaced, None without."""
    return self.info.get('parameters')

  def make(self, spec: game.GameSpec):
    """Returns the policy for a game: `reset(rng)`, `act(observation)`."""
    if self.folder is None:
      return policies.make(self.label, spec)
    return saved_agent.SavedAgent(self.folder)


def load(folder: str | os.PathLike) -> Player:
  """Returns the agent of a SavedModel, or of the run that made it.

  Raises:
    ValueError: There is no agent, or its description is damaged.
  """
  info = saved_agent.read_info(folder)
  path = saved_agent.find(folder)
  blind = saved_agent.SavedAgent.blind
  return Player(f'agent-{info["digest"]}', path, blind, info)


def resolve(policy: str | os.PathLike | Player, spec: game.GameSpec) -> Player:
  """Decides who plays a game.

  Args:
    policy: Name of one of the game's scripted policies, an agent's folder or
      that of the run that made it, or a player.
    spec: The game, made with the options with which it will be played.

  Raises:
    ValueError: It is none of these, or the agent was made for another game,
      kind of action, frame skip or observation. The message begins with the
      setting's name.
  """
  if isinstance(policy, Player) and policy.folder is not None:
    player, text = policy, policy.folder
  else:
    text = policy.label if isinstance(policy, Player) else policy
    text = os.fspath(text) if isinstance(text, os.PathLike) else text
    player = _read(text, spec)
  if player.folder is None:
    return player
  settings = spec.name, spec.action_kind, spec.frame_skip
  for name, value in zip(saved_agent.SETTINGS, settings, strict=True):
    if player.info[name] != value:
      raise ValueError(
        f'{name} must be {player.info[name]}, the one of the agent {text}, '
        f'got {value}'
      )
  shape, _ = player.info.get('observation', (spec.observation_shape, ''))
  if tuple(shape) != spec.observation_shape:
    raise ValueError(
      f'observation_shape must be {list(shape)}, the one of the agent {text}, '
      f'got {list(spec.observation_shape)}; the options of its game are '
      f'{player.info.get("options", {})}'
    )
  return player


def _read(text: str, spec: game.GameSpec) -> Player:
  if isinstance(text, str) and text in spec.policies:
    return Player(text, None, policies.make(text, spec).blind, {})
  if not isinstance(text, str) or saved_agent.find(text) is None:
    raise ValueError(
      f'policy must be one of {spec.policy_names}, or the folder of an agent, '
      f'got {text!r}'
    )
  try:
    return load(text)
  except ValueError as error:
    raise ValueError(f'policy: {error}') from error
