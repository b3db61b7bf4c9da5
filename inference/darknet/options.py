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
            **dict.fromkeys(_words("antialiasing assisted_excitation binary cbn coordconv deform dontload"), "0"),
            **dict.fromkeys(_words("dontloadscales flipped reverse rotate stretch stretch_sway sway"), "0"),
            "dilation": "1",
        },
        # Darknet rounds weights and maps of such a layer to their signs; OpenCV's reader, with which outputs are
        # compared, does not: so neither do we, and weights trained for it find less than they did there.
        ignored=_words("bin_output xnor"),
    ),
    "maxpool": _Options(read=_words("padding size stride"), neutral={"antialiasing": "0", "maxpool_depth": "0"}),
    "local_avgpool": _Options(read=_words("padding size stride")),
    "avgpool": _Options(read=_words("")),
    "reorg": _Options(read=_words("stride"), neutral={"reverse": "0"}),
    "upsample": _Options(read=_words("stride"), neutral={"scale": "1"}),
    "route": _Options(read=_words("group_id groups layers")),
    "shortcut": _Options(read=_words("activation from weights_normalization weights_type")),
    "scale_channels": _Options(read=_words("activation from"), neutral={"scale_wh": "0"}),
    "sam": _Options(read=_words("activation from")),
    "dropout": _Options(read=_words(""), ignored=_words("dropblock dropblock_size_abs dropblock_size_rel probability")),
    "yolo": _Options(
        read=_words("anchors classes mask new_coords num scale_x_y"),
        # Losses, augmentation, and the tracking of boxes over frames; nms_kind and beta_nms choose among suppressions,
        # ours is `inference.decode`'s.
        ignored=_words(
            "beta_nms cls_normalizer counters_per_class delta_normalizer dets_for_show dets_for_track embedding_layer"
            " focal_loss ignore_thresh iou_loss iou_normalizer iou_thresh iou_thresh_kind jitter label_smooth_eps max"
            " max_delta nms_kind obj_normalizer objectness_smooth random resize show_details sim_thresh"
            " track_ciou_norm track_history_size truth_thresh"
        ),
    ),
    "region": _Options(
        read=_words("anchors classes num softmax"),
        # Losses and augmentation; thresh is of the training's log.
        ignored=_words(
            "absolute bias_match class_scale coord_scale focal_loss jitter mask_scale max noobject_scale object_scale"
            " random rescore resize thresh"
        ),
        neutral={"background": "0", "classfix": "0", "coords": "4", "log": "0", "sqrt": "0"},
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
