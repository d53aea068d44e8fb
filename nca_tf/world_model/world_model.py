"""The world model of a game: V, M and where its dreams begin.

bin/train_world_model makes one; everything that plays, dreams or measures
loads it from the run folder:

    world_model = WorldModel.load('runs/train_world_model/vizdoom-dnc-0')
    dream = world_model.dream(temperature=1.15)
    controller = world_model.controller(('z', 'h'))
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nca_tf import environments
from nca_tf.command_line import faults
from nca_tf.datasets import latents as latents_lib
from nca_tf.runs import checkpoints
from nca_tf.runs import run_folder
from nca_tf.world_model import agent as agent_lib
from nca_tf.world_model import architecture as architecture_lib
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import dream as dream_lib
from nca_tf.world_model import guest as guest_lib
from nca_tf.world_model import hidden_controller
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import standardiser
from nca_tf.world_model import vision as vision_lib

DONE_HEAD = 'done_head'  # The stage that fits it to M's own futures.


@dataclasses.dataclass(frozen=True)
class WorldModel:
  """A finished world model."""

  spec: environments.GameSpec  # With the options that it was recorded with.
  game_options: Mapping[str, Any]  # Those options, for `environments.make`.
  architecture: architecture_lib.Architecture
  vision: vision_lib.VisionModel | standardiser.Standardiser  # V
  model: model_lib.MemoryModel  # M
  # Mean and log variance [S, Z] of the first frames of the recorded episodes
  # that V and M were trained on.
  starts: tuple[np.ndarray, np.ndarray]
  done_weight: float  # What a death weighed in M's loss.
  host: 'WorldModel | None' = None  # Whose dream it is, if not its own.

  @classmethod
  def load(cls, folder, flag: str = 'world_model') -> 'WorldModel':
    """Loads a finished run of bin/train_world_model, also an older one.

    Args:
      folder: The run folder; it is only read.
      flag: Named in errors, without dashes.

    Raises:
      faults.UsageError: It is no such folder, or M is not finished.
      faults.Fault: A checkpoint is missing, or a package that the game needs.
    """
    settings = architecture_lib.read_settings(flag, folder)
    options = architecture_lib.game_options(settings)
    try:
      spec = environments.get_spec(settings['env'], **options)
    except ImportError as error:
      raise faults.Fault(str(error)) from error
    architecture = architecture_lib.Architecture.of(settings)
    vision = architecture.make_vision(spec)
    restore(folder, 'vision', vision)
    model = architecture.make_model(spec)
    restore_model(folder, model)
    mirror = settings.get('mirror', False)
    latents, _ = read_latents(folder, settings['held_out'], mirror)
    first = latents.is_first
    starts = latents.mean[first], latents.log_variance[first]
    weight = settings['done_weight']
    return cls(spec, options, architecture, vision, model, starts, weight)

  @functools.cached_property
  def codec(self) -> codec_lib.Codec:
    """V as a codec of recorded frames."""
    return codec_lib.Codec(self.vision)

  def untrained(self, seed: int) -> 'WorldModel':
    """The same with an M that has learnt nothing."""
    model = self.architecture.make_model(self.spec, seed, 'untrained M')
    return dataclasses.replace(self, model=model)

  def in_dream_of(self, host: 'WorldModel') -> 'WorldModel':
    """The same in the dream of another M on the same V, see `guest`.

    Raises:
      ValueError: It is of another game or V.
    """
    ours, theirs = self.vision.weights, host.vision.weights
    if self.spec != host.spec or not _are_equal(ours, theirs):
      raise ValueError('host must be of the same game and the same V')
    return dataclasses.replace(self, host=host)

  def dream(
    self,
    temperature: float = 1.0,
    fitness: str = 'expected',
    horizon: int | None = None,
  ) -> dream_lib.Dream:
    """M as an environment; arguments as of `dream.Dream`.

    Without `horizon` an episode ends at the game's time limit.
    """
    if horizon is None:
      horizon = -(-self.spec.time_limit // self.spec.frame_skip)
    model, weight = self.model, self.done_weight
    if self.host:
      model = guest_lib.Guest(self.host.model, self.model)
      weight = self.host.done_weight
    settings = temperature, fitness, weight
    return dream_lib.Dream(model, self.starts, horizon, *settings)

  def controller(
    self, features: Sequence[str], hidden: int = 0
  ) -> controller_lib.LinearController:
    """C that reads `features`: z, or those of M's cell (`cells.features`).

    Args:
      features: Their names.
      hidden: Units of a hidden layer; 0: a linear controller.

    Raises:
      ValueError: M has no such feature.
    """
    parts = self.model.features(self.model.initial(1))
    sizes = {name: part.shape[-1] for name, part in parts.items()}
    sizes['z'] = self.model.latent_size
    unknown = [name for name in features if name not in sizes]
    if unknown:
      raise ValueError(
        f'features must be of {", ".join(sorted(sizes))}, '
        f'got {", ".join(map(str, unknown))}'
      )
    chosen = {name: sizes[name] for name in features}
    given = (
      chosen,
      self.spec.actions,
      self.spec.action_kind,
      self.spec.components,
      self.spec.ordered_actions,
    )
    if hidden:
      return hidden_controller.HiddenController(*given, hidden=hidden)
    return controller_lib.LinearController(*given)

  def player(self, controller) -> agent_lib.Agent:
    """V, M and a controller as a player of the real game."""
    return agent_lib.Agent(self.vision, self.model, controller)


def _are_equal(ours, theirs):
  return len(ours) == len(theirs) and all(
    np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)
  )


def restore(folder, part: str, model) -> None:
  """Sets the weights of V ('vision'), M ('model') or its done head.

  Raises:
    faults.Fault: The checkpoint that its training ended with cannot be read.
  """
  path = pathlib.Path(folder) / 'checkpoints' / part
  saved = checkpoints.Checkpoints(path, model=model)
  try:
    stage = run_folder.read_stages(folder).get(part, {})
    saved.load(stage.get('step') or checkpoints.latest_step(path))
  except ValueError as error:
    raise faults.Fault(
      f'{error}; the command that made {folder} trains it again'
    ) from error


def restore_model(folder, model: model_lib.MemoryModel) -> None:
  """Sets the weights of M, its done head as it was fitted last.

  Raises:
    faults.Fault: As of `restore`.
  """
  restore(folder, 'model', model)
  if run_folder.read_stages(folder).get(DONE_HEAD, {}).get('step'):
    restore(folder, DONE_HEAD, model.done_head)


def is_held_out(episode, held_out: int):
  """Whether episodes, by their numbers, are kept for the measures."""
  return episode % held_out == held_out - 1


def read_latents(
  folder, held_out: int, mirror: bool = False
) -> tuple[latents_lib.Latents, latents_lib.Latents]:
  """Reads what V made of the recorded episodes of a run folder.

  Args:
    folder: The run folder.
    held_out: One episode in so many is held out.
    mirror: Whether M learns from the mirror images as well.

  Returns:
    The training episodes (after all of them their mirror images), and those
    held out.

  Raises:
    faults.Fault: They are lost or damaged, all or some.
  """
  path = pathlib.Path(folder, 'latents')

  def split(kind):
    try:
      whole = latents_lib.load(path, kind)
      counted = run_folder.read_stages(folder).get('encode', {}).get('frames')
      # After death there is no frame.
      found = len(whole.is_first) - int(whole.is_terminal.sum())
      if found != counted and counted is not None:
        raise ValueError(f'{path} holds {found} of {counted} frames')
    except ValueError as error:
      raise faults.Fault(
        f'{error}; the command that made {folder} encodes them again'
      ) from error
    starts = [part.start for part in whole.episodes]
    kept = is_held_out(whole.episode[starts], held_out)
    sides = np.flatnonzero(~kept), np.flatnonzero(kept)
    return [latents_lib.select(whole, side) for side in sides]

  train, kept = split('part')
  if mirror:
    train = latents_lib.concatenate([train, split('mirror')[0]])
  return train, kept
