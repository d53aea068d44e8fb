"""The same DNC on Keras' JAX backend, in a process of its own."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('jax')

PROGRAM = """
import jax, keras, numpy as np, sys
from nca_tf import memory
assert keras.backend.backend() == 'jax'
file = np.load(sys.argv[1])
layer = memory.DNC(
  memory.DNCCell(8, 6, 4, 2, output_size=3),
  return_sequences=True, return_state=True, return_trace=True,
)
layer.build(file['sequences'].shape)
weights = [file[f'weight_{i}'] for i in range(len(layer.weights))]
layer.set_weights(weights)
outputs, state, trace = layer(file['sequences'], mask=file['mask'])
rnn = keras.layers.RNN(layer.cell, return_sequences=True)
plain = memory.DNC(layer.cell, return_sequences=True)
plain.build(file['sequences'].shape)
others = [v.value for v in plain.non_trainable_variables]
def loss(values):
  y, _ = plain.stateless_call(values, others, file['sequences'])
  return (y ** 2).sum()
values = [v.value for v in plain.trainable_variables]
gradients = jax.jit(jax.grad(loss))(values)
np.savez(
  sys.argv[2], outputs=outputs, usage=trace.usage,
  rnn=rnn(file['sequences']), plain=plain(file['sequences']),
  **{f'gradient_{i}': g for i, g in enumerate(gradients)},
)
"""


def test_jax_gives_the_same_outputs_and_gradients(tmp_path):
  import tensorflow as tf

  from nca_tf import memory

  rng = np.random.default_rng(0)
  sequences = rng.normal(size=(2, 5, 3)).astype('float32')
  mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1]], 'bool')
  layer = memory.DNC(
    memory.DNCCell(8, 6, 4, 2, output_size=3),
    return_sequences=True,
    return_state=True,
    return_trace=True,
  )
  outputs, _, trace = layer(sequences, mask=mask)
  weights = {f'weight_{i}': w.numpy() for i, w in enumerate(layer.weights)}
  np.savez(tmp_path / 'in.npz', sequences=sequences, mask=mask, **weights)
  subprocess.run(
    [sys.executable, '-c', PROGRAM, tmp_path / 'in.npz', tmp_path / 'out.npz'],
    check=True,
    cwd=pathlib.Path(__file__).parents[1],
    env={**os.environ, 'KERAS_BACKEND': 'jax'},
  )
  plain = memory.DNC(layer.cell, return_sequences=True)
  with tf.GradientTape() as tape:
    expected = plain(sequences)
    loss = tf.reduce_sum(expected**2)
  gradients = tape.gradient(loss, [v.value for v in plain.trainable_variables])
  with np.load(tmp_path / 'out.npz') as got:
    np.testing.assert_allclose(got['outputs'], outputs, atol=1e-5)
    np.testing.assert_allclose(
      np.sort(got['usage']), np.sort(trace.usage), atol=1e-5
    )
    np.testing.assert_allclose(got['rnn'], got['plain'], atol=1e-5)
    np.testing.assert_allclose(got['plain'], expected, atol=1e-5)
    for i, gradient in enumerate(gradients):
      largest = np.abs(gradient).max()
      np.testing.assert_allclose(
        got[f'gradient_{i}'], gradient, atol=1e-3 * largest
      )
