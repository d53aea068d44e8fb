"""Episodes as a GIF or an MP4, with the score below the picture."""

import contextlib
import importlib.util
import os
import pathlib
import tempfile
import warnings
import zlib
from collections.abc import Iterable

import gymnasium
import numpy as np
from PIL import Image

from nca_tf import environments
from nca_tf.analysis import animation
from nca_tf.command_line import faults
from nca_tf.environments.workers import episode
from nca_tf.play import crashes

_FASTEST = 20  # Frames per second; a film of a faster game skips some.
_PAUSE = 1.0  # Seconds that the last frame of an episode stays.
_SCALE = 4  # Of frames that are no larger than those which V takes.
_SMALL = 64
_LARGEST = 320  # Pixels of a game's own pictures.


def check(path: str):
  """Refuses a file that cannot be written, before anything is played."""
  suffix = pathlib.Path(path).suffix
  if suffix not in ('.gif', '.mp4'):
    raise faults.UsageError(
      f'--record must name a .gif or an .mp4 file, got {path!r}'
    )
  if pathlib.Path(path).is_dir():
    raise faults.UsageError(f'--record must name a file, got folder {path}')
  folder = pathlib.Path(path).absolute().parent
  while not os.path.lexists(folder):
    folder = folder.parent
  if not folder.is_dir() or not os.access(folder, os.W_OK):
    raise faults.UsageError(
      f'--record must name a file that can be written, got {path!r}: {folder} '
      'is no folder that can be'
    )
  for name in ('imageio', 'imageio_ffmpeg') if suffix == '.mp4' else ():
    if not importlib.util.find_spec(name):
      raise faults.UsageError(
        f"--record={path} needs {name}: pip install 'imageio[ffmpeg]', or name "
        'a .gif file, which needs nothing'
      )


def check_game(config):
  """Refuses a resolved `evaluate.Config` of a game that has no pictures."""
  if config.game_spec.has_frames:
    return
  try:
    environments.make(config.env, render_mode='rgb_array').close()
  except ValueError as error:
    raise faults.UsageError(f'--record: {error}') from error


def record(config, path: str) -> int:
  """Films the first `record_episodes` of a resolved `evaluate.Config`.

  They are played again. Returns the number of frames of the .gif or .mp4 file.
  """
  spec = config.game_spec
  stride, _ = find_pace(spec)
  with crashes.reported():
    played = (_play if spec.has_frames else _play_rendered)(config, stride)
    film, fps = make(config.player.label, spec, played)
  _write(film, pathlib.Path(path), fps)
  return len(film)


def find_pace(spec: environments.GameSpec) -> tuple[int, float]:
  """Returns steps per frame, and frames per second, at the game's own pace."""
  stride = max(1, round(spec.steps_per_second / _FASTEST))
  return stride, spec.steps_per_second / stride


def make(
  name: str, spec: environments.GameSpec, played: Iterable
) -> tuple[np.ndarray, float]:
  """Makes a film of episodes.

  Args:
    name: Of who plays.
    spec: Of the game.
    played: Pairs of a result with rewards, and its pictures [L + 1], of which
      only those that `find_pace` takes are needed.

  Returns:
    Frames, uint8 [T, H, W, 3], and how many of them there are in a second.
  """
  stride, fps = find_pace(spec)
  parts = [_cut(*episode, stride, fps) for episode in played]
  frames, captions, over = (
    [entry for part in parts for entry in part[i]] for i in range(3)
  )
  film = animation.side_by_side(
    {name: np.stack(frames)},
    scale=max(1, _SCALE * _SMALL // frames[0].shape[1]),
    captions=captions,
    done={name: np.array(over)},
  )
  return film, fps


def _play(config, stride: int):
  """Yields results and what the player saw; all of it, whatever the stride."""
  del stride
  shape = config.game_spec.observation_shape
  results = config.play(0, config.record_episodes, record=True)
  with contextlib.closing(results):
    for result in results:
      pixels = np.frombuffer(zlib.decompress(result.frames), np.uint8)
      yield result, pixels.reshape(-1, *shape)


def _play_rendered(config, stride: int):
  """Yields results and the game's own pictures, where it shows the player none.

  The episodes are those of `config.play`, one after the other; of the pictures
  every `stride`-th and the last are drawn, the others are None.

  Raises:
    faults.Fault: The game does not draw what it promised.
  """
  env = environments.make(
    config.env, render_mode='rgb_array', **config.game_options
  )
  policy = config.player.make(config.game_spec)
  with contextlib.closing(env):
    for index in range(config.record_episodes):
      seed = environments.episode_seed(config.seed, index)
      yield watch(env, policy, index, seed, stride)


def watch(env, policy, index: int, seed: int, stride: int):
  """Plays an episode in this process and looks at it.

  Args:
    env: A game that draws itself.
    policy: Who plays, see `episode.play`.
    index: As of `episode.play`.
    seed: As of `episode.play`.
    stride: Which pictures are drawn: every so many, and the last; the others
      are None.

  Returns:
    The result and the pictures.

  Raises:
    faults.Fault: The game does not draw what it promised.
  """
  frames = []
  watched = _Watched(env, frames, stride)
  return episode.play(watched, policy, index, seed, record=True), frames


class _Watched(gymnasium.Wrapper):
  """A game whose pictures are added to a list."""

  def __init__(self, env, frames, stride):
    super().__init__(env)
    self._frames = frames
    self._stride = stride

  def reset(self, **options):
    found = self.env.reset(**options)
    self._frames.append(self._draw())
    return found

  def step(self, action):
    found = self.env.step(action)
    is_drawn = len(self._frames) % self._stride == 0 or any(found[2:4])
    self._frames.append(self._draw() if is_drawn else None)
    return found

  def _draw(self):
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # Of what pygame imports.
      frame = self.env.render()
    if np.ndim(frame) != 3 or frame.shape[-1] != 3:
      raise faults.Fault('--record: the game drew no picture')
    # Larger pictures would make films of many megabytes.
    shrink = -(-max(frame.shape) // _LARGEST)
    return np.asarray(Image.fromarray(frame).reduce(shrink))


def _cut(result, frames, stride: int, fps: float):
  """Returns frames, captions and whether the episode is over, of each."""
  scores = np.concatenate([[0], np.cumsum(result.rewards)])
  last = len(frames) - 1
  chosen = [*range(0, last, stride), *[last] * max(1, round(_PAUSE * fps))]
  return (
    [frames[t] for t in chosen],
    [f'episode {result.index + 1}, score {scores[t]:.0f}' for t in chosen],
    [t == last and result.terminated for t in chosen],
  )


def _write(film, path: pathlib.Path, fps: float):
  if path.suffix == '.gif':
    animation.write_gif(film, path, fps)
    return
  import imageio

  path.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=path.parent) as folder:
    partial = pathlib.Path(folder) / path.name
    # The encoder takes even sizes only; a border makes up for the rest.
    imageio.mimwrite(partial, film, fps=fps, macro_block_size=2)
    os.replace(partial, path)
