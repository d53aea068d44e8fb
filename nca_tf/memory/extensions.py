"""Options of the later literature: key masking, deallocation, sharp links.

Csordas and Schmidhuber, Improving Differentiable Neural Computers Through
Memory Masking, De-allocation, and Link Distribution Sharpness Control, ICLR
2019, arXiv:1904.10278, section 3. Their parameters are appended to the
interface of the original DNC, which does not change when they are off.
"""

from typing import Any, NamedTuple

from keras import ops

Tensor = Any


class Options(NamedTuple):
  """Which extensions a cell uses."""

  key_masking: bool = False
  deallocation: bool = False
  link_sharpness: bool = False


class Extensions(NamedTuple):
  """Their parameters at one step; None where an extension is off."""

  read_masks: Tensor = None  # [B, R, W], each in (0, 1)
  write_mask: Tensor = None  # [B, W]
  backward_sharpness: Tensor = None  # [B, R], at least 1
  forward_sharpness: Tensor = None  # [B, R]
  deallocation: bool = False  # Has no parameters.


NONE = Extensions()


def interface_size(options: Options, read_heads: int, word_size: int) -> int:
  """Parameters added to the interface: (R + 1) W for masks, 2 R for links."""
  masks = (read_heads + 1) * word_size if options.key_masking else 0
  return masks + (2 * read_heads if options.link_sharpness else 0)


def parse(
  raw: Tensor, options: Options, read_heads: int, word_size: int
) -> Extensions:
  """Splits and activates the extensions' part of a controller's vector.

  Args:
    raw: [B, interface_size(options, read_heads, word_size)]: read masks, write
      mask, sharpness of the backward and of the forward links.
    options: which extensions are on.
    read_heads: R.
    word_size: W.

  Returns:
    Masks through the sigmoid, sharpness through oneplus.

  Raises:
    ValueError: raw has another length.
  """
  size = interface_size(options, read_heads, word_size)
  if raw.shape[-1] != size:
    raise ValueError(
      f'raw must be of shape [B, {size}] for {options}, got {tuple(raw.shape)}'
    )
  result = Extensions(deallocation=options.deallocation)
  if options.key_masking:
    masks = ops.sigmoid(raw[:, : (read_heads + 1) * word_size])
    masks = ops.reshape(masks, (-1, read_heads + 1, word_size))
    result = result._replace(read_masks=masks[:, :-1], write_mask=masks[:, -1])
  if options.link_sharpness:
    sharpness = 1.0 + ops.softplus(raw[:, -2 * read_heads :])
    result = result._replace(
      backward_sharpness=sharpness[:, :read_heads],
      forward_sharpness=sharpness[:, read_heads:],
    )
  return result
