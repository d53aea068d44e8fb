"""The stages of compare_predictions; each one resumes and is done once."""

import json

import keras
import numpy as np

from nca_tf.command_line import faults
from nca_tf.datasets import latents
from nca_tf.environments.pommerman.engine import variants
from nca_tf.experiments.predictions import games as prediction_data
from nca_tf.experiments.predictions import measures as prediction_measures
from nca_tf.experiments.predictions import rollout as prediction_rollout
from nca_tf.memory import cells
from nca_tf.runs import checkpoints
from nca_tf.runs import progress
from nca_tf.training import loop
from nca_tf.training import state as state_training
from nca_tf.world_model.states import codings
from nca_tf.world_model.states import state_model

HORIZONS = (1, 5, 10, 20)
STARTS = prediction_rollout.STARTS
BASELINES = ('copy', 'oracle')
_LOOK = 200  # Held-out games looked at while it trains.


def name_of(cell, coding, trained=True):
  """How tables call a model."""
  return f'{cell}, {coding}' + ('' if trained else ', untrained')


class Stages:
  """One comparison: what is finished is loaded, what is not is made.

  Every seed has its own games, which all models of that seed share:
  `games-SEED.npz` and, with the oracle's guesses, `held_out-SEED.npz`. What a
  model scored is in `scores/`.
  """

  def __init__(self, config, folder, log):
    """Takes the configuration, the open run folder and its metrics log."""
    self.config = config
    self.folder = folder
    self.log = log
    self.variant = variants.get_variant(prediction_data.VARIANT)
    self.layout = prediction_data.make_layout(self.variant)
    (folder.path / 'scores').mkdir(exist_ok=True)

  @property
  def models(self):
    """(cell, coding) of every model, those of one coding side by side."""
    config = self.config
    return [
      (cell, coding) for coding in config.codings for cell in config.cells
    ]

  def collect(self, seed):
    """Plays the games of a seed."""
    if self.folder.is_finished(f'collect-{seed}'):
      return
    config = self.config
    for number, (name, games, samples) in enumerate(
      (
        ('games', config.games, 0),
        ('held_out', config.held_out, config.oracle_samples),
      )
    ):
      rng = np.random.default_rng((config.seed + seed, number))
      with progress.Progress(f'{name}, seed {seed}', games, 'games') as bar:
        played = prediction_data.collect(games, rng, samples, bar.update)
      prediction_data.save(played, self._path(name, seed))
    self.folder.finish(f'collect-{seed}')

  def _path(self, name, seed):
    return self.folder.path / f'{name}-{seed}.npz'

  def load(self, name, seed):
    """Games of a seed: 'games' or 'held_out'."""
    return prediction_data.load(self._path(name, seed))

  def score_baselines(self, seed):
    """Copying the last state, and the oracle, on the held-out games."""
    stage = f'baselines-{seed}'
    if self.folder.is_finished(stage):
      return
    games = self.load('held_out', seed)
    now = np.flatnonzero(~np.append(games.is_first[1:], True))
    self._keep(
      'oracle', seed, {1: self._score(games, now, 1, games.oracle[now])}
    )
    copied = {1: self._score(games, now, 1, games.state[now])}
    for horizon in HORIZONS[1:]:
      now = prediction_rollout.starts(games)
      now = now[prediction_rollout.has_future(games, now, horizon)]
      copied[horizon] = self._score(games, now, horizon, games.state[now])
    self._keep('copy', seed, copied)
    self.folder.finish(stage)

  def _score(self, games, now, horizon, predicted, nats=None):
    truth = games.state[now + horizon]
    return prediction_measures.score(
      predicted,
      truth,
      games.state[now],
      ~games.is_terminal[now + horizon],
      games.game[now],
      self.layout,
      nats,
    )

  def _keep(self, name, seed, scores):
    text = json.dumps(
      {
        str(horizon): {key: sums.tolist() for key, sums in each.items()}
        for horizon, each in scores.items()
      }
    )
    path = self.folder.path / 'scores' / f'{name}-{seed}.json'
    path.write_text(text)

  def scores(self, name, seed):
    """{horizon: {measure: [G, 2]}} of a model or a baseline."""
    path = self.folder.path / 'scores' / f'{name}-{seed}.json'
    found = json.loads(path.read_text())
    return {
      int(horizon): {key: np.array(sums) for key, sums in each.items()}
      for horizon, each in found.items()
    }

  def make_model(self, seed, cell, coding):
    """An untrained M."""
    config = self.config
    keras.utils.set_random_seed(config.seed + seed)
    model = state_model.StateModel(
      cells.make(
        cell,
        config.units,
        memory_slots=config.memory_slots,
        word_size=config.word_size,
        read_heads=config.read_heads,
      ),
      self.layout,
      codings.make(coding, self.layout),
      variants.ACTIONS,
    )
    model.build()
    return model

  def score(self, seed, cell, coding):
    """Trains M, and scores it before and behind that on held-out games."""
    stage = f'score-{coding}-{cell}-{seed}'
    if self.folder.is_finished(stage):
      return
    streams = self._streams(seed)
    model = self.make_model(seed, cell, coding)
    predictor = prediction_rollout.Predictor(model)
    name = name_of(cell, coding, trained=False)
    self._keep(name, seed, self._score_model(predictor, seed))
    self._train(model, predictor, streams, seed, f'{coding}-{cell}-{seed}')
    name = name_of(cell, coding)
    self._keep(name, seed, self._score_model(predictor, seed))
    self.folder.finish(stage)

  def _train(self, model, predictor, streams, seed, stage):
    config = self.config
    total = config.epochs * streams.windows_per_epoch
    trainer = state_training.StateTrainer(
      model,
      streams,
      steps=total,
      learning_rate=config.rate,
      jit=config.jit == 'on',
    )
    few = self._few(seed)

    def evaluate(done):
      now, predicted, nats = predictor.predict(few)
      sums = self._score(few, now, 1, predicted, nats)
      means = {
        key: sums[key][:, 0].sum() / sums[key][:, 1].sum()
        for key in ('wrong', 'nll', 'exact')
      }
      return {**means, 'epoch': done / streams.windows_per_epoch}

    loop.fit(
      stage,
      trainer.step,
      total,
      checkpoints=checkpoints.Checkpoints(
        self.folder.checkpoints / stage,
        model=model,
        optimizer=trainer.optimizer,
        state=trainer.state,
      ),
      log=self.log,
      held_out=evaluate,
    )

  def _streams(self, seed):
    config = self.config
    games = self.load('games', seed).as_latents()
    try:
      return latents.Streams(
        games, config.batch, config.window, config.seed + seed
      )
    except ValueError as error:
      raise faults.UsageError(f'--games, --batch, --window: {error}') from error

  def _few(self, seed):
    """The held-out games that are looked at while M learns."""
    games = self.load('held_out', seed)
    chosen = games.game < _LOOK
    return type(games)(*(values[chosen] for values in games))

  def load_model(self, seed, cell, coding):
    """A trained M."""
    model = self.make_model(seed, cell, coding)
    where = self.folder.checkpoints / f'{coding}-{cell}-{seed}'
    checkpoints.Checkpoints(where, model=model).restore()
    return model

  def _score_model(self, predictor, seed):
    games = self.load('held_out', seed)
    now, predicted, nats = predictor.predict(games)
    scores = {1: self._score(games, now, 1, predicted, nats)}
    now, dreamt = predictor.dream(games, max(HORIZONS))
    for horizon in HORIZONS[1:]:
      chosen = prediction_rollout.has_future(games, now, horizon)
      scores[horizon] = self._score(
        games, now[chosen], horizon, dreamt[chosen, horizon - 1]
      )
    return scores
