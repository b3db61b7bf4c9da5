"""Files from strangers: whatever stands in a cfg or a weights file, it is used or refused with a typed error."""

import random
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.darknet.build import build_model
from inference.darknet.cfg import MAX_BYTES, CfgError, read_cfg
from inference.darknet.layers import Network
from inference.darknet.network import InputSizeError, resolve_network
from inference.darknet.weights import (
    DarknetWeights,
    Header,
    WeightsError,
    expected_bytes,
    fold_batch_norm,
    normalized,
    read_weights,
    split_weights,
    write_weights,
)
from tests.inference.darknet_examples import (
    DARKNET_CFG,
    DATA,
    FURTHER_CFG,
    SMALL_CFG,
    YOLO_FASTEST,
    needs_data,
    network_of,
    random_convolutions,
    random_shortcuts,
)

NET = "[net]\nwidth=64\nheight=32\n"
LAYERS = ["convolutional", "maxpool", "avgpool", "local_avgpool", "upsample", "reorg", "route", "shortcut"]
LAYERS += ["scale_channels", "sam", "dropout", "yolo", "region", "crnn"]
OPTIONS = ["filters", "size", "stride", "pad", "padding", "groups", "group_id", "activation", "layers", "from"]
OPTIONS += ["classes", "num", "anchors", "mask", "softmax", "new_coords", "weights_type", "weights_normalization"]
VALUES = st.one_of(
    st.sampled_from(
        ["linear", "mish", "1,2", "-1", "-1,-2", "6", "0", "999999999", "-999999999", "1e308", "per_channel"]
    ),
    st.integers(-3, 9).map(str),
)
SECTIONS = st.lists(
    st.tuples(st.sampled_from(LAYERS), st.dictionaries(st.sampled_from(OPTIONS), VALUES, max_size=6)), max_size=12
)
HOSTILE = ["999999999", "-999999999", "8192", "65536", "0", "-1", "1e308", "nan", "9" * 400, "1,1,1", "31", "8", "x"]


@settings(max_examples=300, deadline=None)
@given(SECTIONS)
def test_any_sections_give_a_network_or_a_cfg_error(drawn: list[tuple[str, dict[str, str]]]):
    text = NET + "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in options.items()) for name, options in drawn
    )
    # Nothing but a CfgError may come out of it.
    with suppress(CfgError):
        assert network_of(text).heads


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The file after an accident or by a stranger's hand."""
    lines = content.split(b"\n")
    place = chance.randrange(len(lines))
    match chance.randrange(7):
        case 0:
            flipped = bytearray(content)
            for _ in range(chance.randint(1, 8)):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            return bytes(flipped)
        case 1:
            return content[: chance.randrange(len(content))]
        case 2:
            chance.shuffle(lines)
        case 3:
            lines[place:place] = chance.sample(lines, min(10, len(lines)))
        case 4:
            del lines[place : place + chance.randint(1, 5)]
        case 5:
            numbers = [index for index, line in enumerate(lines) if b"=" in line]
            for index in chance.sample(numbers, min(chance.randint(1, 4), len(numbers))):
                key, _, _ = lines[index].partition(b"=")
                lines[index] = key + b"=" + chance.choice(HOSTILE).encode()
        case 6:
            lines *= chance.randint(2, 5)
    return b"\n".join(lines)


@contextmanager
def at_most_mib(limit: float) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit * 2**20
    finally:
        tracemalloc.stop()


def assert_used_or_refused(path: Path, content: bytes) -> Network | None:
    """A network, or an error that names the file, and a line that it has."""
    path.write_bytes(content)
    try:
        return resolve_network(read_cfg(path))
    except CfgError as caught:
        error = caught
    assert 0 <= error.line <= content.count(b"\n") + 1
    assert str(error).startswith(f"{path}:{error.line}: " if error.line else f"{path}: ")
    assert len(str(error)) < 1000
    return None


@pytest.mark.parametrize("text", [SMALL_CFG, FURTHER_CFG, DARKNET_CFG], ids=["small", "further", "darknet"])
def test_mutated_cfgs_are_used_or_refused(tmp_path: Path, text: str):
    chance = random.Random(7)
    results = [assert_used_or_refused(tmp_path / "m.cfg", mutated(text.encode(), chance)) for _ in range(300)]
    assert 0 < sum(result is not None for result in results) < len(results)


@needs_data
@pytest.mark.data
@pytest.mark.slow
def test_mutated_published_cfgs_are_used_or_refused(tmp_path: Path):
    chance = random.Random(8)
    paths = [*sorted(DATA.glob("cfg/*/*.cfg")), *sorted(YOLO_FASTEST.glob("*.cfg"))]
    used = 0
    for path in paths:
        content = path.read_bytes()
        for _ in range(15):
            with at_most_mib(40):
                used += assert_used_or_refused(tmp_path / "m.cfg", mutated(content, chance)) is not None
    assert used > len(paths)


CONV = "[convolutional]\nactivation=linear\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "[net]\n" + "a=1\n" * (MAX_BYTES // 4 - 2),
        NET + "[net]\n" * (MAX_BYTES // 6 - 10),
        NET + CONV + ("[route]\nlayers=" + "0," * 255 + "0\n") * 1900,
        NET + CONV + ("[shortcut]\nfrom=" + "0," * 255 + "0\n") * 1900,
        NET + CONV + "filters=64\n" + "[route]\nlayers=-1,-1\n" * 1500,
        NET + "[upsample]\nstride=8\n" * 1500,
        NET + (CONV + "filters=65536\nsize=31\n") * 1500,
        NET + "[yolo]\nanchors=" + "1," * (MAX_BYTES // 2 - 50),
        "[net]\n" + "x" * (MAX_BYTES - 10),
    ],
    ids=lambda text: text[:60].replace("\n", "/"),
)
def test_the_longest_texts_are_judged_in_bounded_memory(tmp_path: Path, text: str):
    # Ten times the file and more: a line of ten characters is an object of a hundred bytes.
    with at_most_mib(100):
        assert assert_used_or_refused(tmp_path / "long.cfg", text.encode()) is None


@pytest.mark.slow
def test_what_is_let_through_can_be_built():
    chance, built = random.Random(9), 0
    for _ in range(400):
        text = mutated(chance.choice([SMALL_CFG, FURTHER_CFG, DARKNET_CFG]).encode(), chance).decode(errors="replace")
        try:
            network = network_of(text, (32, 48))
        except (CfgError, InputSizeError):
            continue
        if sum(layer.shape.values for layer in network.layers) > 1 << 22 or built == 25:
            continue
        built += 1
        weights = DarknetWeights(Header(), tuple(random_convolutions(network)), tuple(random_shortcuts(network)))
        maps = keras.tree.flatten(build_model(network, weights)(np.zeros((1, 48, 32, 3), np.float32)))
        shapes = [(1, head.shape.height, head.shape.width, head.shape.channels) for head in network.heads]
        assert [tuple(raw.shape) for raw in maps] == shapes
    assert built == 25


def assert_read_or_refused(content: bytes, network: Network) -> bool:
    """Whether the file's numbers can be used; the error says where it is wrong otherwise."""
    try:
        weights = split_weights(content, network, Path("some.weights"))
    except WeightsError as caught:
        error = caught
    else:
        for item in weights.convolutions:
            folded = fold_batch_norm(item)
            assert np.isfinite(folded.kernel).all()
            assert np.isfinite(folded.biases).all()
        for layer, array in zip(network.shortcuts, weights.shortcuts, strict=True):
            assert np.isfinite(normalized(array, layer.normalization)).all()
        return True
    if error.offset is None:
        assert error.actual_bytes == len(content)
        assert error.expected_bytes != len(content)
    else:
        assert 16 <= error.offset < len(content)
    return False


@pytest.mark.parametrize("text", [SMALL_CFG, DARKNET_CFG], ids=["small", "darknet"])
def test_mutated_weights_are_used_or_refused(tmp_path: Path, text: str):
    network, path, chance = network_of(text), tmp_path / "some.weights", random.Random(10)
    write_weights(path, network, random_convolutions(network), shortcuts=random_shortcuts(network))
    content, used = path.read_bytes(), 0
    for _ in range(500):
        flipped = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        used += assert_read_or_refused(bytes(flipped), network)
        assert not assert_read_or_refused(content[: chance.randrange(len(content))], network)
        assert not assert_read_or_refused(content + bytes(chance.randint(1, 9)), network)
    assert 0 < used < 500


@needs_data
@pytest.mark.data
def test_mutated_real_weights_are_used_or_refused(tmp_path: Path):
    name, chance, used = "yolo-fastest-1.1", random.Random(11), 0
    network = resolve_network(read_cfg(YOLO_FASTEST / f"{name}.cfg"))
    content = (YOLO_FASTEST / f"{name}.weights").read_bytes()
    path = tmp_path / "some.weights"
    for attempt in range(60):
        changed = bytearray(content)
        if attempt % 2:
            for _ in range(chance.randint(1, 6)):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        else:
            place, size = chance.randrange(len(changed)), chance.choice([4, 64, 4096])
            match attempt % 3:
                case 0:
                    changed[place : place + size] = chance.randbytes(size)
                case 1:
                    del changed[place : place + size]
                case 2:
                    changed[place:place] = changed[place : place + size]
        path.write_bytes(changed)
        # The file and its numbers: three times its size and a little.
        with at_most_mib(1 + 3 * len(changed) / 2**20), suppress(WeightsError):
            read_weights(path, network)
        used += assert_read_or_refused(bytes(changed), network)
    assert 0 < used < 60


@given(st.binary(max_size=64))
def test_any_bytes_are_no_weights(content: bytes):
    assert not assert_read_or_refused(content, network_of(SMALL_CFG))


@given(st.binary(min_size=12, max_size=12), st.data())
def test_any_numbers_behind_any_header_are_used_or_refused(head: bytes, data: st.DataObject):
    network = network_of(
        NET + "[convolutional]\nbatch_normalize=1\nfilters=6\nactivation=linear\n[yolo]\nclasses=1\nanchors=4,8\n"
    )
    version = Header(*np.frombuffer(head, "<i4").tolist())
    size = expected_bytes(network, version) - 12
    assert_read_or_refused(head + data.draw(st.binary(min_size=size, max_size=size)), network)


def test_an_endless_file_is_not_read(tmp_path: Path):
    network, path = network_of(SMALL_CFG), tmp_path / "sparse.weights"
    with path.open("wb") as file:
        file.write(bytes(20))
        file.truncate(1 << 40)
    with at_most_mib(1), pytest.raises(WeightsError, match="too long") as caught:
        read_weights(path, network)
    assert caught.value.actual_bytes == 1 << 40
