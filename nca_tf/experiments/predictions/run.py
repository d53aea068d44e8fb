"""Plays the games, trains and scores every model; each stage is done once."""

import functools
import json

import numpy as np

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.command_line import faults
from nca_tf.datasets import latents
from nca_tf.environments.pommerman.engine import variants
from nca_tf.experiments.predictions import measures
from nca_tf.experiments.predictions import pommerman_games
from nca_tf.experiments.predictions import report
from nca_tf.experiments.predictions import rollout
from nca_tf.experiments.predictions import settings
from nca_tf.runs import checkpoints
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib
from nca_tf.runs import run_files
from nca_tf.training import loop
from nca_tf.training import state as state_training
from nca_tf.world_model.states import registry
from nca_tf.world_model.states import state_model

_EVALUATED = 200  # Held-out games that a model is tested on while it trains.


def run(config: settings.Config) -> None:
  """Does what the run folder has not finished yet, and reports."""
  with run_lib.start(config, settings.NAME, config.run_name) as folder:
    comparison = Comparison(folder)
    for seed in config.seeds:
      do = functools.partial
      folder.stage(
        f'collect-{seed}',
        do(comparison.collect, seed),
        do(comparison.is_collected, seed),
      )
      folder.stage(
        f'baselines-{seed}',
        do(comparison.score_baselines, seed),
        do(comparison.are_scored, seed, 'oracle', 'copy'),
      )
      for cell, coding in config.models:
        which = seed, cell, coding
        folder.stage(
          f'score-{coding}-{cell}-{seed}',
          do(comparison.score, *which),
          do(comparison.is_model_scored, *which),
        )
    folder.publish(report.make(comparison))
    folder.goodbye(Next=config.next_command(folder.path))


class Comparison:
  """One comparison: what is finished is loaded, what is not is made.

  Every seed has its own games, which all models of that seed share:
  `games-SEED.npz` and, with the oracle's guesses, `held_out-SEED.npz`. Scores
  of models and baselines are in `scores/`.

  Attributes:
    run: The open run, with its configuration.
    layout: Of the states.
  """

  def __init__(self, run: run_lib.Run):
    """Takes the open run."""
    self.run = run
    self.config = run.config
    self.layout = pommerman_games.make_layout(
      variants.get_variant(pommerman_games.VARIANT)
    )

  def collect(self, seed: int) -> None:
    """Plays the games of a seed."""
    config = self.config
    plan = (
      ('games', config.games, 0),
      ('held_out', config.held_out, config.oracle_samples),
    )
    for name, games, samples in plan:
      rng = random_numbers.generator(config.seed + seed, f'{name} played')
      with progress.Progress(f'{name}, seed {seed}', games, 'games') as bar:
        played = pommerman_games.collect(games, rng, samples, bar.update)
      pommerman_games.save(played, self._path(name, seed))

  def is_collected(self, seed: int) -> bool:
    """Whether all games of a seed are there."""
    wanted = {'games': self.config.games, 'held_out': self.config.held_out}
    try:
      return all(
        self.load(name, seed).is_first.sum() == games
        for name, games in wanted.items()
      )
    except ValueError as error:
      faults.warn(str(error))
      return False

  def are_scored(self, seed: int, *names: str) -> bool:
    """Whether the scores of models or baselines can be read."""
    try:
      return all(
        set(self.scores(name, seed)) <= {1, *settings.HORIZONS}
        for name in names
      )
    except (FileNotFoundError, ValueError) as error:
      faults.warn(str(error))
      return False

  def is_model_scored(self, seed: int, cell: str, coding: str) -> bool:
    """Whether a model is there, with its scores before and after training."""
    before, after = (
      settings.label(cell, coding, trained=False),
      settings.label(cell, coding),
    )
    where = self.run.checkpoints / f'{coding}-{cell}-{seed}'
    steps = self.config.epochs * self._streams(seed).windows_per_epoch
    return run_files.has_step(where, steps) and self.are_scored(
      seed, before, after
    )

  def _path(self, name, seed):
    return self.run.path / f'{name}-{seed}.npz'

  def load(self, name: str, seed: int) -> pommerman_games.Games:
    """Games of a seed: 'games' or 'held_out'."""
    return pommerman_games.load(self._path(name, seed))

  def score_baselines(self, seed: int) -> None:
    """Scores copying the last state, and the oracle, on the held-out games."""
    games = self.load('held_out', seed)
    now = np.flatnonzero(~np.append(games.is_first[1:], True))
    oracle = {1: self._score(games, now, 1, games.oracle[now])}
    self._keep('oracle', seed, oracle)
    copied = {1: self._score(games, now, 1, games.state[now])}
    for horizon in settings.HORIZONS[1:]:
      now = rollout.starts(games)
      now = now[rollout.has_future(games, now, horizon)]
      copied[horizon] = self._score(games, now, horizon, games.state[now])
    self._keep('copy', seed, copied)

  def _score(self, games, now, horizon, predicted, nats=None):
    return measures.score(
      predicted,
      games.state[now + horizon],
      games.state[now],
      ~games.is_terminal[now + horizon],
      games.game[now],
      self.layout,
      nats,
    )

  def _scores_path(self, name, seed):
    return self.run.path / 'scores' / f'{name}-{seed}.json'

  def _keep(self, name, seed, scores):
    text = json.dumps(scores, default=np.ndarray.tolist)
    files.write_whole(self._scores_path(name, seed), text)

  def scores(self, name: str, seed: int) -> dict[int, dict[str, np.ndarray]]:
    """{horizon: {measure: [G, 2]}} of a model or a baseline.

    Raises:
      ValueError: They are damaged.
    """
    path = self._scores_path(name, seed)
    found = files.read_json(path)
    try:
      return {
        int(horizon): {
          key: np.array(sums, np.float64).reshape(-1, 2)
          for key, sums in each.items()
        }
        for horizon, each in found.items()
      }
    except (AttributeError, TypeError, ValueError) as error:
      raise ValueError(f'{path} is damaged ({error})') from error

  def make_model(self, seed: int, cell: str, coding: str):
    """An untrained StateModel."""
    seed += self.config.seed
    with random_numbers.weights(seed, f'{cell}, {coding}'):
      model = state_model.StateModel(
        self.config.make_cell(cell),
        self.layout,
        registry.make(coding, self.layout),
        variants.ACTIONS,
      )
      model.build()
    return model

  def score(self, seed: int, cell: str, coding: str) -> None:
    """Trains M, and scores it on held-out games before and after that."""
    streams = self._streams(seed)
    games = self.load('held_out', seed)
    model = self.make_model(seed, cell, coding)
    predictor = rollout.Predictor(model)
    name = settings.label(cell, coding, trained=False)
    self._keep(name, seed, self._score_model(predictor, games))
    stage = f'{coding}-{cell}-{seed}'
    which = {'cell': cell, 'coding': coding, 'seed': self.config.seed + seed}
    log = self.run.open_log(stage, 'pommerman', **which)
    self._train(model, predictor, streams, games, stage, log)
    name = settings.label(cell, coding)
    self._keep(name, seed, self._score_model(predictor, games))

  def _train(self, model, predictor, streams, games, stage, log):
    config = self.config
    total = config.epochs * streams.windows_per_epoch
    trainer = state_training.StateTrainer(
      model,
      streams,
      steps=total,
      learning_rate=config.rate,
      jit=config.jit == 'on',
    )
    few = games.select(games.game < _EVALUATED)

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
        self.run.checkpoints / stage,
        model=model,
        optimizer=trainer.optimizer,
        state=trainer.state,
      ),
      log=log,
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

  def load_model(self, seed: int, cell: str, coding: str):
    """A trained StateModel."""
    model = self.make_model(seed, cell, coding)
    where = self.run.checkpoints / f'{coding}-{cell}-{seed}'
    steps = self.config.epochs * self._streams(seed).windows_per_epoch
    checkpoints.Checkpoints(where, model=model).load(steps)
    return model

  def _score_model(self, predictor, games):
    now, predicted, nats = predictor.predict(games)
    scores = {1: self._score(games, now, 1, predicted, nats)}
    now, dreamt = predictor.dream(games, max(settings.HORIZONS))
    for horizon in settings.HORIZONS[1:]:
      chosen = rollout.has_future(games, now, horizon)
      scores[horizon] = self._score(
        games, now[chosen], horizon, dreamt[chosen, horizon - 1]
      )
    return scores
