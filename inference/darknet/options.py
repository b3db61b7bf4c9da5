"""Which options of a cfg's sections this version honours.

The list is closed on purpose: an option that is neither performed by us nor known to concern training only is refused,
since a network built without it would run and be wrong. `[net]` is not held to it: but for the input's size it
is all about training.
Pure.
"""

from dataclasses import dataclass, field
from typing import Final

from inference.darknet.cfg import Section


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TRAINING: Final = _words("burnin_update clip dont_update learning_rate onlyforward stopbackward train_only_bn")
"""Options of any layer that change its training only (parse_network_cfg in AlexeyAB's parser.c)."""


@dataclass(frozen=True, slots=True)
class _Options:
    """What one kind of section may say."""

    read: frozenset[str]
    """Options that `network` reads."""
    ignored: frozenset[str] = frozenset()
    """Those without effect on detecting."""
    neutral: dict[str, str] = field(default_factory=dict)
    """Those that are not supported, with the value that switches them off."""


_KNOWN: Final = {
    "convolutional": _Options(
        read=_words("activation batch_normalize filters groups pad padding size stride"),
        neutral={
            **dict.fromkeys(_words("antialiasing assisted_excitation bin_output binary cbn coordconv deform"), "0"),
            **dict.fromkeys(_words("dontload dontloadscales flipped reverse rotate stretch stretch_sway"), "0"),
            **dict.fromkeys(_words("sway xnor"), "0"),
            "dilation": "1",
        },
    ),
    "maxpool": _Options(read=_words("padding size stride"), neutral={"antialiasing": "0", "maxpool_depth": "0"}),
    "upsample": _Options(read=_words("stride"), neutral={"scale": "1"}),
    "route": _Options(read=_words("group_id groups layers")),
    "shortcut": _Options(read=_words("activation from"), neutral={"weights_type": "none"}),
    "dropout": _Options(read=_words(""), ignored=_words("dropblock dropblock_size_abs dropblock_size_rel probability")),
    "yolo": _Options(
        read=_words("anchors classes mask num scale_x_y"),
        # Losses and augmentation; nms_kind and beta_nms choose among suppressions, ours is `inference.decode`'s.
        ignored=_words(
            "beta_nms cls_normalizer counters_per_class delta_normalizer focal_loss ignore_thresh iou_loss"
            " iou_normalizer iou_thresh iou_thresh_kind jitter label_smooth_eps max max_delta nms_kind obj_normalizer"
            " objectness_smooth random resize show_details truth_thresh"
        ),
        neutral={"new_coords": "0"},
    ),
}


def check_options(section: Section) -> None:
    """Refuses what the section says and this version would not do. Raises CfgError; KeyError for an unknown section."""
    known = _KNOWN[section.name]
    for option in section.options:
        if option.key in known.read or option.key in known.ignored or option.key in _TRAINING:
            continue
        if known.neutral.get(option.key) != option.value:
            raise section.error(f"{option.key[:60]}={option.value[:60]} is not supported", option.key)
