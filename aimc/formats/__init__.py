"""The best digital point: small number formats, emulated, so that analog is never compared with a straw man.

`base` says what a format is, `minifloat` (FP8, FP6, FP4 and bfloat16), `integer`, `microscaling` (OCP MX) and
`logarithmic` are the formats, `product` puts a model's products into one. A new format is one small file and a line in
`FORMATS`.
"""

from aimc.formats.base import Format as Format
from aimc.formats.base import Single as Single
from aimc.formats.logarithmic import Logarithmic as Logarithmic
from aimc.formats.microscaling import Microscaling as Microscaling
from aimc.formats.minifloat import BFLOAT16 as BFLOAT16
from aimc.formats.minifloat import E2M1 as E2M1
from aimc.formats.minifloat import E2M3 as E2M3
from aimc.formats.minifloat import E3M2 as E3M2
from aimc.formats.minifloat import E4M3 as E4M3
from aimc.formats.minifloat import E5M2 as E5M2
from aimc.formats.minifloat import Minifloat as Minifloat
from aimc.formats.minifloat import Scaled as Scaled
from aimc.formats.product import in_format as in_format
from aimc.formats.product import matmul as matmul

FORMATS: dict[str, Format] = {
    "float32": Single(),
    "bf16": BFLOAT16,
    "fp8": Scaled(forward=E4M3, backward=E5M2),
    "mxfp8": Microscaling(element=E4M3),
    "mxfp6": Microscaling(element=E2M3),
    "mxfp6_e3m2": Microscaling(element=E3M2),
    "mxfp4": Microscaling(element=E2M1),
    "mxint8": Microscaling(element=None),
    "lns8": Logarithmic(),
}
"""By the name the command line knows."""
