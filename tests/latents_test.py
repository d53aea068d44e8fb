"""Latents on disk, and the streams M trains on."""

import numpy as np
import pytest

from nca_tf.datasets import latents as latents_lib


def make_latents(lengths, size=3, first=0):
  """Episodes whose mean holds (episode, step), so that rows can be traced."""
  total = sum(lengths)
  episode = np.repeat(np.arange(len(lengths)) + first, lengths)
  step = np.concatenate([np.arange(length) for length in lengths])
  mean = np.zeros((total, size), np.float16)
  mean[:, 0], mean[:, 1] = episode, step
  return latents_lib.Latents(
    mean=mean,
    log_variance=np.full((total, size), -2, np.float16),
    action=(step % 3).astype(np.int32),
    reward=np.ones(total, np.float32),
    is_first=step == 0,
    is_terminal=np.append(np.diff(episode) > 0, True),
    episode=episode.astype(np.int32),
  )


def test_round_trip_in_parts(tmp_path):
  whole = make_latents([4, 6, 5])
  latents_lib.save(make_latents([4, 6]), tmp_path / 'part-00000.npz')
  latents_lib.save(make_latents([5], first=2), tmp_path / 'part-00001.npz')
  for got, wanted in zip(latents_lib.load(tmp_path), whole, strict=True):
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == wanted.dtype


def test_damaged_part_is_named(tmp_path):
  path = tmp_path / 'part-00000.npz'
  latents_lib.save(make_latents([4]), path)
  path.write_bytes(path.read_bytes()[:-50])
  with pytest.raises(ValueError, match=r'part-00000\.npz is damaged \('):
    latents_lib.load(tmp_path)


def test_pickled_part_is_refused(tmp_path):
  arrays = make_latents([4])._asdict()
  arrays['mean'] = np.array([{'harm': 1}], dtype=object)
  np.savez(tmp_path / 'part-00000.npz', **arrays)
  with pytest.raises(ValueError, match='is damaged .*no array of numbers'):
    latents_lib.load(tmp_path)


def test_empty_folder_is_named(tmp_path):
  with pytest.raises(ValueError, match='no latents in'):
    latents_lib.load(tmp_path)


def test_select_takes_whole_episodes_in_order():
  chosen = latents_lib.select(make_latents([4, 6, 5]), [2, 0])
  np.testing.assert_array_equal(chosen.episode, [2] * 5 + [0] * 4)
  assert [part.stop - part.start for part in chosen.episodes] == [5, 4]


def test_windows_follow_each_other_within_an_epoch():
  streams = latents_lib.Streams(make_latents([30] * 8), 4, 7, seed=0)
  assert streams.windows_per_epoch == (60 - 1) // 7
  fresh, before = streams.window(0)
  assert fresh and before.mean.shape == (4, 8, 3)
  for step in range(1, streams.windows_per_epoch):
    fresh, window = streams.window(step)
    assert not fresh
    np.testing.assert_array_equal(window.mean[:, 0], before.mean[:, -1])
    before = window
  assert streams.window(streams.windows_per_epoch)[0]


def test_within_a_stream_steps_are_consecutive_or_begin_an_episode():
  streams = latents_lib.Streams(make_latents([9, 12, 30, 21]), 3, 23, seed=1)
  window = streams.window(0)[1]
  episode, step = window.mean[..., 0], window.mean[..., 1]
  follows = (episode[:, 1:] == episode[:, :-1]) & (
    step[:, 1:] == step[:, :-1] + 1
  )
  np.testing.assert_array_equal(follows, ~window.is_first[:, 1:])


def test_windows_are_a_function_of_seed_and_step():
  data = make_latents([30] * 8)
  one, two = (latents_lib.Streams(data, 4, 7, seed=5) for _ in range(2))
  order = [3, 20, 0, 11]
  walked = {step: one.window(step)[1].mean for step in sorted(order)}
  for step in order:
    np.testing.assert_array_equal(two.window(step)[1].mean, walked[step])
  other = latents_lib.Streams(data, 4, 7, seed=6)
  assert np.any(other.window(0)[1].mean != walked[0])
  epochs = one.window(0)[1].mean, one.window(one.windows_per_epoch)[1].mean
  assert np.any(epochs[0] != epochs[1])


def test_too_little_data_is_said():
  with pytest.raises(ValueError, match='at least 80 recorded steps, got 30'):
    latents_lib.Streams(make_latents([30]), 8, 9, seed=0)
