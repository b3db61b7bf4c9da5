"""The models that can be fetched: where their files lie and what the files must be, to the byte. Pure.

mosaicd ships none of these. A file's digest is what is trusted, not its address: the three weights with a sha1 have it
from OpenCV's samples/dnn/models.yml; every other digest was computed from the file itself. All of them were trained on
COCO, so their names are `inference.labels.COCO` and are not fetched.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from inference.labels import COCO

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
"""What a model may be called: also the name of its folder, so nothing hidden and no way out."""

EMBEDDED: Final = "demo"
"""The model that comes with mosaicd itself."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file must hash to."""

    algorithm: Literal["sha256", "sha1"]
    value: str
    """In lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on some server."""

    url: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model that can be fetched."""

    name: str
    cfg: RemoteFile
    weights: RemoteFile
    licence: str
    input_px: int
    """Width and height of the images that its authors measured it with."""
    labels: tuple[str, ...] = COCO

    @property
    def size_bytes(self) -> int:
        """All that is fetched."""
        return self.cfg.size_bytes + self.weights.size_bytes


Catalog = Sequence[CatalogModel]

_YOLO_FASTEST = (
    "https://github.com/dog-qiuqiu/Yolo-Fastest/raw/96a2900d163196c396e73f3fdab04ca4dd9a2f70"
    "/ModelZoo/yolo-fastest-1.1_coco"
)
_PJREDDIE = "https://raw.githubusercontent.com/pjreddie/darknet/f6afaabcdf85f77e7aff2ec55c020c0e297c77f9/cfg"
_ALEXEYAB = "https://raw.githubusercontent.com/AlexeyAB/darknet/59596d7880f6504768df41d6daa586f5cb2b932f/cfg"
_ALEXEYAB_RELEASES = "https://github.com/AlexeyAB/darknet/releases/download"


def _sha256(value: str) -> Digest:
    return Digest("sha256", value)


def _sha1(value: str) -> Digest:
    return Digest("sha1", value)


CATALOG: Final[Catalog] = (
    CatalogModel(
        name="yolo-fastest-1.1-xl",
        cfg=RemoteFile(
            f"{_YOLO_FASTEST}/yolo-fastest-1.1-xl.cfg",
            9_696,
            _sha256("c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3"),
        ),
        weights=RemoteFile(
            f"{_YOLO_FASTEST}/yolo-fastest-1.1-xl.weights",
            3_693_964,
            _sha256("fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5"),
        ),
        licence="public domain",
        input_px=320,
    ),
    CatalogModel(
        name="yolo-fastest-1.1",
        cfg=RemoteFile(
            f"{_YOLO_FASTEST}/yolo-fastest-1.1.cfg",
            9_685,
            _sha256("f6df5775c1e862998cf69046eba9265be3ae84dfe8b2caab7529823f0795bf70"),
        ),
        weights=RemoteFile(
            f"{_YOLO_FASTEST}/yolo-fastest-1.1.weights",
            1_384_268,
            _sha256("1c445c42bbd6df63edea2cc69f99667b5650d663ca11e34b116240740cd42890"),
        ),
        licence="public domain",
        input_px=320,
    ),
    CatalogModel(
        name="yolov3",
        cfg=RemoteFile(
            f"{_PJREDDIE}/yolov3.cfg",
            8_342,
            _sha256("22489ea38575dfa36c67a90048e8759576416a79d32dc11e15d2217777b9a953"),
        ),
        weights=RemoteFile(
            "https://pjreddie.com/media/files/yolov3.weights",
            248_007_048,
            _sha1("520878f12e97cf820529daea502acca380f1cb8e"),
        ),
        licence="public domain",
        input_px=416,
    ),
    CatalogModel(
        name="yolov4",
        cfg=RemoteFile(
            f"{_ALEXEYAB}/yolov4.cfg",
            12_231,
            _sha256("a6d0f8e5c62cc8378384f75a8159b95fa2964d4162e33351b00ac82e0fc46a34"),
        ),
        weights=RemoteFile(
            f"{_ALEXEYAB_RELEASES}/darknet_yolo_v3_optimal/yolov4.weights",
            257_717_640,
            _sha1("0143deb6c46fcc7f74dd35bf3c14edc3784e99ee"),
        ),
        licence="public domain",
        input_px=608,
    ),
    CatalogModel(
        name="yolov4-tiny",
        cfg=RemoteFile(
            f"{_ALEXEYAB}/yolov4-tiny.cfg",
            3_231,
            _sha256("f858e3724962eedf3ac44e3b6cb3f0c3d9ed067c306bb831f539c578b924c90e"),
        ),
        weights=RemoteFile(
            f"{_ALEXEYAB_RELEASES}/darknet_yolo_v4_pre/yolov4-tiny.weights",
            24_251_276,
            _sha1("451caaab22fb9831aa1a5ee9b5ba74a35ffa5dcb"),
        ),
        licence="public domain",
        input_px=416,
    ),
)
"""In the order in which a newcomer should consider them. The sizes of the weights with a sha1 are what their cfgs ask
for."""


def offered(name: str, catalog: Catalog) -> CatalogModel | None:
    """The model of this name, if it can be fetched."""
    return next((model for model in catalog if model.name == name), None)
