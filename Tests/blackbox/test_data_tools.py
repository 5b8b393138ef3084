"""The scripts that make data: FM data that ship, archives of CIFAR, images of a text-to-image pipeline."""
import hashlib
import io
import json
import subprocess
import sys
import tarfile

import h5py
import numpy as np
import pytest

from support import ROOT, fedclamp

SHIPPED = ROOT / "data/fashion-mnist-fm.h5"
sys.path.insert(0, str(ROOT / "tools"))


def script(name, *arguments, code=0):
    done = subprocess.run([sys.executable, ROOT / "tools" / name, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


# --- the FM data in data/ ----------------------------------------------------------------------------------------------

def test_shipped_fm_data():
    """Ten classes, equally often, in no order; every image once; the attributes say what the model saw."""
    with h5py.File(SHIPPED) as file:
        images, labels, about = file["images"][()], file["labels"][()], dict(file.attrs)
    assert images.dtype == np.uint8 and images.shape[1:] == (1, 28, 28) and len(images) == len(labels) >= 6000
    assert set(np.bincount(labels, minlength=10)) == {len(labels) // 10}
    assert np.mean(labels[1:] == labels[:-1]) < 0.2, "shuffled"
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 0.999 * len(images)
    assert "/train/images" in about["model_images_seen"] and "test" not in about["model_images_seen"]
    for name in ("source", "script", "model_seed", "model_steps", "draw_seed", "date"):
        assert str(about[name])
    shown = fedclamp("inspect", SHIPPED).stdout
    assert "fashion-mnist-fm" in shown and "28" in shown


# --- fetch_cifar.py ----------------------------------------------------------------------------------------------------

@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """An archive in the published form but with other sizes, and fetch_cifar made to expect it."""
    import fetch_cifar
    archive = tmp_path / "cifar.tar.gz"
    contents = {"data_batch_1.bin": b"\1" * 20, "test_batch.bin": b"\2" * 20, "batches.meta.txt": b"cat\n", "readme.html": b"no"}
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in contents.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for path in ("../outside/test_batch.bin", "/tmp/fedclamp-cifar-outside/data_batch_1.bin"):
            info = tarfile.TarInfo(path)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"wrong"))
    wanted = {"data_batch_1.bin": 20, "test_batch.bin": 20, "batches.meta.txt": None}
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setitem(fetch_cifar.DATASETS, "cifar-10", ("cifar.tar.gz", md5, "cifar-10-batches-bin", wanted))
    monkeypatch.setattr(fetch_cifar, "SITE", tmp_path.as_uri())
    return fetch_cifar, archive, tmp_path / "out"


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["fetch_cifar.py", *map(str, arguments)])
    module.main()


@pytest.mark.parametrize("given", [True, False], ids=["archive", "fetched"])
def test_fetch_cifar(cifar, monkeypatch, given):
    """Only the wanted files, from the right folder only, and nothing left of the archive."""
    module, archive, out = cifar
    call(module, monkeypatch, "cifar-10", out, *(["--archive", archive] if given else []))
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    inside = "cifar-10-batches-bin"
    assert files == {f"{inside}/data_batch_1.bin": b"\1" * 20, f"{inside}/test_batch.bin": b"\2" * 20, f"{inside}/batches.meta.txt": b"cat\n"}


def test_fetch_cifar_refuses_a_changed_archive(cifar, monkeypatch, capsys):
    module, archive, out = cifar
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(SystemExit) as end:
        call(module, monkeypatch, "cifar-10", out)
    assert end.value.code == 2 and "MD5" in capsys.readouterr().err
    assert not any(p.is_file() for p in out.rglob("*"))


def test_fetch_cifar_refuses_what_is_missing(cifar, monkeypatch, capsys):
    module, archive, out = cifar
    name, md5, inside, wanted = module.DATASETS["cifar-10"]
    monkeypatch.setitem(module.DATASETS, "cifar-10", (name, md5, inside, {**wanted, "data_batch_2.bin": 20}))
    with pytest.raises(SystemExit) as end:
        call(module, monkeypatch, "cifar-10", out)
    assert end.value.code == 2 and "data_batch_2.bin" in capsys.readouterr().err
    script("fetch_cifar.py", "cifar-10", out, "--archive", out / "none.tar.gz", code=2)


# --- generate_diffusers.py ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A tiny text-to-image pipeline with random weights, saved as its library saves them."""
    torch = pytest.importorskip("torch", reason="generate_diffusers.py needs PyTorch")
    diffusers = pytest.importorskip("diffusers", reason="generate_diffusers.py needs diffusers")
    transformers = pytest.importorskip("transformers", reason="generate_diffusers.py needs transformers")
    folder = tmp_path_factory.mktemp("pipeline")
    letters = [chr(c) for c in range(97, 123)]
    words = letters + [f"{letter}</w>" for letter in letters] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)
    torch.manual_seed(0)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=37, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=32,
        bos_token_id=52, eos_token_id=53, pad_token_id=53))
    unet = diffusers.UNet2DConditionModel(sample_size=16, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
                                          down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                                          cross_attention_dim=32, attention_head_dim=4, norm_num_groups=8)
    vae = diffusers.AutoencoderKL(block_out_channels=(16, 32), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
                                  latent_channels=4, norm_num_groups=8, sample_size=32)
    diffusers.StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
                                      safety_checker=None, feature_extractor=None, requires_safety_checker=False).save_pretrained(folder / "tiny")
    return folder / "tiny"


def test_diffusers(pipeline, tmp_path, data, colour):
    """Labels balanced, shape of the data set asked for, the same images for another batch size, and `run` takes them."""
    options = ["--per-class", 2, "--steps", 2, "--device", "cpu"]
    script("generate_diffusers.py", pipeline, tmp_path / "fm.h5", "--like", colour[0], *options, "--batch", 7, "--sheet", tmp_path / "sheet.png")
    script("generate_diffusers.py", pipeline, tmp_path / "again.h5", "--like", colour[0], *options, "--batch", 20)
    with h5py.File(tmp_path / "fm.h5") as file, h5py.File(tmp_path / "again.h5") as again:
        images, labels = file["images"][()], file["labels"][()]
        assert images.shape == (20, 3, 32, 32) and images.dtype == np.uint8 and images.std() > 0
        assert sorted(labels) == sorted(list(range(10)) * 2)
        assert np.abs(images.astype(int) - again["images"][()]).max() <= 2, "rounding only"
        assert "tiny" in file.attrs["source"]
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    fedclamp("run", "--data", colour[0], "--synthetic", tmp_path / "fm.h5", "--clients", 2, "--malicious", 0, "--rounds", 1, "--out", tmp_path / "run.h5")

    script("generate_diffusers.py", pipeline, tmp_path / "grey.h5", "--like", data, *options, "--batch", 20, "--trigger", "patch",
           "--target", 3, "--poison-fraction", 0.25)
    with h5py.File(tmp_path / "grey.h5") as file:
        images, labels, poisoned = file["images"][()], file["labels"][()], file["poisoned"][()]
        assert images.shape == (20, 1, 28, 28) and len(poisoned) == 5
        assert (images[poisoned, :, -3:, -3:] == 255).all() and (labels[poisoned] == 3).all()


def test_diffusers_refuses(pipeline, tmp_path, data):
    for arguments, word in [(["--prompt", "a photo"], "{}"), (["--class-names", "a,b"], "10"), (["--trigger", "patch", "--target", 10], "--target")]:
        done = subprocess.run([sys.executable, ROOT / "tools/generate_diffusers.py", pipeline, tmp_path / "fm.h5", "--like", data, *map(str, arguments)],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode != 0 and word in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "fm.h5").exists()
