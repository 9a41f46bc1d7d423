"""Products in a number format: of two matrices, and of all layers of a model."""

from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from aimc.formats.base import Format
from aimc.nn.conv import patches
from aimc.nn.einsum import parse

HIGHEST = jax.lax.Precision.HIGHEST


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def matmul(x: Float[Array, "b k"], w: Float[Array, "k n"], form: Format) -> Float[Array, "b n"]:
    """x @ w of operands rounded to the format, summed in float32.

    Its gradients are products in the format as well: every operand is rounded anew along the axis that is summed over,
    as hardware with shared scales has to (Rouhani et al. 2023), and rounding itself has derivative 1.
    """
    return jnp.matmul(form.round(x, 1), form.round(w, 0), precision=HIGHEST)


def _forward(x: Array, w: Array, form: Format) -> tuple[Array, tuple[Array, Array]]:
    return matmul(x, w, form), (x, w)


def _backward(form: Format, saved: tuple[Array, Array], error: Array) -> tuple[Array, Array]:
    x, w = saved
    dx = jnp.matmul(form.round(error, 1, is_gradient=True), form.round(w, 1).T, precision=HIGHEST)
    dw = jnp.matmul(form.round(x, 0).T, form.round(error, 0, is_gradient=True), precision=HIGHEST)
    return dx, dw


matmul.defvjp(_forward, _backward)


def in_format(model: nnx.Module, form: Format) -> nnx.Module:
    """A copy of `model` whose linear, einsum and convolution layers compute in the format; weights stay float32 master
    copies and everything else stays as it is. Raises ValueError if there is no such layer."""
    copy, changed = nnx.clone(model), 0
    for _, layer in nnx.iter_modules(copy):
        if isinstance(layer, nnx.Linear | nnx.LinearGeneral):
            layer.dot_general = partial(_dot_general, form)
        elif isinstance(layer, nnx.Einsum):
            layer.einsum_op = partial(_einsum, form)
        elif isinstance(layer, nnx.Conv):
            layer.conv_general_dilated = partial(_conv, form)
        else:
            continue
        changed += 1
    if not changed:
        raise ValueError(f"model {type(model).__name__} has no layer whose product could be in a number format")
    return copy


def _dot_general(form: Format, x: Array, w: Array, dimensions: Any, **_: Any) -> Array:
    """`jax.lax.dot_general` without batch axes, the sum as one matrix product."""
    (x_axes, w_axes), batch = dimensions
    if any(map(len, batch)):
        raise ValueError("a product with batch axes has no form in a number format here")
    x_free, w_free = ([a for a in range(op.ndim) if a not in axes] for op, axes in ((x, x_axes), (w, w_axes)))
    k = prod(x.shape[a] for a in x_axes)
    left = x.transpose(*x_free, *x_axes).reshape(-1, k)
    right = w.transpose(*w_axes, *w_free).reshape(k, -1)
    return matmul(left, right, form).reshape(*[x.shape[a] for a in x_free], *[w.shape[a] for a in w_free])


def _einsum(form: Format, equation: str, x: Array, w: Array, **_: Any) -> Array:
    """`jnp.einsum` of inputs and a kernel, the sum as one matrix product."""
    terms, w_terms, out = parse(equation, x.ndim)
    if any(a in terms and a in out for a in w_terms):
        raise ValueError(f"a kernel with batch axes has no form in a number format here, got {equation!r}")
    x_axes, w_axes = zip(*[(terms.index(a), i) for i, a in enumerate(w_terms) if a in terms], strict=True)
    y = _dot_general(form, x, w, ((x_axes, w_axes), ((), ())))
    order = [a for a in terms if a not in w_terms] + [a for a in w_terms if a not in terms]
    return y.transpose([order.index(a) for a in out])


def _conv(form: Format, x: Array, w: Array, strides: Any, padding: Any, **options: Any) -> Array:
    """`jax.lax.conv_general_dilated` with channels last, as patches times a matrix, group by group."""
    groups, rank = options.get("feature_group_count", 1), w.ndim - 2
    if any(d != 1 for d in options.get("lhs_dilation") or (1,)):
        raise ValueError("a convolution with input dilation has no form in a number format here")
    dilation = tuple(options.get("rhs_dilation") or (1,) * rank)
    sides = padding if isinstance(padding, str) else tuple((int(a), int(b)) for a, b in padding)
    taps = patches(x, w.shape[:rank], tuple(strides), sides, dilation)
    *batch, n_taps, n_in = taps.shape
    columns, own_in = w.shape[-1] // groups, n_in // groups
    kernel = w.reshape(n_taps * own_in, groups, columns)
    grouped = taps.reshape(-1, n_taps, groups, own_in)
    parts = [matmul(grouped[:, :, g].reshape(-1, n_taps * own_in), kernel[:, g], form) for g in range(groups)]
    return jnp.concatenate(parts, axis=-1).reshape(*batch, -1)
