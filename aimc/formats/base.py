"""What a digital number format is to a training step: how operands of a product are rounded."""

from dataclasses import dataclass

from jaxtyping import Array, Float


@dataclass(frozen=True)
class Format:
    """Base of all formats. Products of two rounded operands are summed in float32, as tensor cores do."""

    def round(self, x: Float[Array, "*shape"], axis: int, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """The nearest numbers of the format, in float32. `axis` is the one that the product sums over: formats with
        shared scales share them along it. `is_gradient` lets a format use another element for errors. Not random."""
        raise NotImplementedError

    @property
    def bits(self) -> float:
        """Bits a number takes, its share of a scale included."""
        raise NotImplementedError


@dataclass(frozen=True)
class Single(Format):
    """IEEE single precision: no rounding beyond that of the host."""

    def round(self, x: Float[Array, "*shape"], axis: int, *, is_gradient: bool = False) -> Float[Array, "*shape"]:
        """x itself."""
        return x

    @property
    def bits(self) -> float:
        """32."""
        return 32.0
