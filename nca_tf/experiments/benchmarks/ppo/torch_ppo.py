"""PPO in PyTorch as single-file implementations write it.

Schulman et al. (2017). A window of all lanes, advantages backwards in time,
then epochs of minibatches; a time limit counts as an end, as it usually does
there.
"""

import time

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical


def _linear(inputs, outputs, gain):
  layer = nn.Linear(inputs, outputs)
  nn.init.orthogonal_(layer.weight, gain)
  nn.init.zeros_(layer.bias)
  return layer


class _Images(nn.Module):
  """Images uint8 [B, H, W, C] to floats [B, C, H, W]."""

  def forward(self, images):
    return images.permute(0, 3, 1, 2).float() / 255


def make_trunk(shape, units):
  """Returns dense layers, for images after three convolutions.

  Images are floats [B, C, H, W] there; `shape` is [H, W, C] all the same.
  """
  layers, inputs = [], shape[0]
  if len(shape) == 3:
    side, channels = shape[0], shape[2]
    for filters, size, stride in ((16, 8, 4), (32, 4, 2), (32, 3, 1)):
      layer = nn.Conv2d(channels, filters, size, stride)
      nn.init.orthogonal_(layer.weight, 2**0.5)
      nn.init.zeros_(layer.bias)
      layers += [layer, nn.ReLU()]
      side, channels = (side - size) // stride + 1, filters
    layers.append(nn.Flatten())
    inputs = side * side * channels
  for size in units:
    layers += [_linear(inputs, size, 2**0.5), nn.Tanh()]
    inputs = size
  return nn.Sequential(*layers)


class Network(nn.Module):
  """A trunk, perhaps pytorch-dnc's memory, and two heads."""

  def __init__(self, shape, actions, units, memory=None):
    """Takes a DNC whose inputs and outputs have the size of the last layer."""
    super().__init__()
    self.trunk, inputs = make_trunk(shape, units), units[-1]
    if len(shape) == 3:
      self.trunk.insert(0, _Images())
    self.memory = memory
    if memory is not None:  # Some of its versions turn the axes around.
      found = memory(torch.zeros(2, 3, inputs), self.begin(range(2)))[0]
      self.is_time_first = found.shape[0] == 3
    self.policy = _linear(inputs, actions, 0.01)
    self.value = _linear(inputs, 1, 0.01)

  def forward(self, observation, state=None):
    """[B, I], or with a memory [B, T, I], to logits, values and a state."""
    features = self.trunk(observation)
    if self.memory is not None:
      features, state = self.memory(features, state or self.begin(features))
      if self.is_time_first:
        features = features.transpose(0, 1)
    return self.policy(features), self.value(features).squeeze(-1), state

  def begin(self, lanes):
    """Returns a state of zeros: its own first state is drawn at random."""
    zeros = torch.zeros(1, len(lanes), self.memory.hidden_size)
    return [(zeros, zeros)], None, None


class PPO:
  """Learns in one of `numpy_games`.

  With a memory each window must be one episode, so that it begins with an empty
  memory; minibatches are then of lanes.
  """

  def __init__(self, game, network, settings):
    """`settings` are those of `settings.SIZES`."""
    self.game, self.network, self.settings = game, network, settings
    self.optimizer = torch.optim.Adam(
      network.parameters(), lr=settings['learning_rate'], eps=1e-5
    )
    self.seen = torch.as_tensor(game.reset())
    self.sums = np.zeros(game.lanes)
    lead = settings['window'], game.lanes
    self.observations = torch.zeros(*lead, *game.shape, dtype=self.seen.dtype)
    self.actions = torch.zeros(lead, dtype=torch.int64)
    self.log_probs, self.values = torch.zeros(lead), torch.zeros(lead)
    self.rewards, self.ends = torch.zeros(lead), torch.zeros(lead)

  def iterate(self):
    """Plays a window and learns from it; returns what was measured."""
    began = time.process_time()
    returns, episodes = self._collect()
    self._learn(*self._estimate())
    return {
      'seconds': time.process_time() - began,
      'steps': self.rewards.numel(),
      'returns': returns,
      'episodes': episodes,
    }

  @torch.no_grad()
  def _collect(self):
    returns, episodes, state = 0.0, 0, None
    for t in range(self.settings['window']):
      self.observations[t] = self.seen
      logits, values, state = self._step(state)
      distribution = Categorical(logits=logits, validate_args=False)
      action = distribution.sample()
      self.actions[t], self.values[t] = action, values
      self.log_probs[t] = distribution.log_prob(action)
      seen, rewards, terminated, truncated = self.game.step(action.numpy())
      is_over = terminated | truncated
      self.rewards[t] = torch.from_numpy(rewards)
      self.ends[t] = torch.from_numpy(is_over)
      self.seen = torch.from_numpy(seen)
      self.sums += rewards
      if is_over.any():
        returns += float(self.sums[is_over].sum())
        episodes += int(is_over.sum())
        self.sums[is_over] = 0
    return returns, episodes

  def _step(self, state):
    if self.network.memory is None:
      return self.network(self.seen)
    logits, values, state = self.network(self.seen[:, None], state)
    return logits[:, 0], values[:, 0], state

  @torch.no_grad()
  def _estimate(self):
    """Returns advantages and targets, [T, B]."""
    discount, decay = self.settings['discount'], self.settings['trace_decay']
    following = self._step(None)[1]
    advantages = torch.zeros_like(self.rewards)
    later = torch.zeros_like(following)
    for t in reversed(range(len(advantages))):
      goes_on = 1 - self.ends[t]
      error = self.rewards[t] + discount * goes_on * following - self.values[t]
      later = error + discount * decay * goes_on * later
      advantages[t], following = later, self.values[t]
    return advantages, advantages + self.values

  def _learn(self, advantages, targets):
    parts = [self.observations, self.actions, self.log_probs]
    parts += [advantages, targets]
    if self.network.memory is None:
      parts = [part.flatten(0, 1) for part in parts]
    else:
      parts = [part.transpose(0, 1) for part in parts]
    rows = len(parts[0])
    size = rows // self.settings['minibatches']
    for _ in range(self.settings['epochs']):
      order = torch.randperm(rows)
      for start in range(0, size * self.settings['minibatches'], size):
        chosen = order[start : start + size]
        self._update(*(part[chosen] for part in parts))

  def _update(self, observations, actions, log_probs, advantages, targets):
    settings = self.settings
    logits, values, _ = self.network(observations)
    distribution = Categorical(logits=logits, validate_args=False)
    ratio = (distribution.log_prob(actions) - log_probs).exp()
    gain = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clipped = ratio.clamp(1 - settings['clip'], 1 + settings['clip'])
    loss = -torch.min(ratio * gain, clipped * gain).mean()
    loss += 0.5 * settings['value_weight'] * (values - targets).square().mean()
    loss -= settings['entropy'] * distribution.entropy().mean()
    self.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(
      self.network.parameters(), settings['largest_gradient']
    )
    self.optimizer.step()
