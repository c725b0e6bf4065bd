from __future__ import annotations

import io

import httpx
import openai
import pytest
from PIL import Image

from tests.diffagent_tools.serving.api.running import Running
from tests.graphs.paper_world import PaperBackend


def drawn(server: Running, output_format: str = "png") -> str:
    """The URL of a new picture."""
    answer = server.client().images.generate(
        prompt="a fox", response_format="url", extra_body={"output_format": output_format}
    )
    [picture] = answer.data or []
    assert picture.b64_json is None
    assert picture.url is not None
    return picture.url


def test_a_url_leads_to_the_stored_file(paper: Running) -> None:
    url = drawn(paper)
    file = httpx.get(url)
    digest = url.rpartition("/")[2].removesuffix(".png")
    assert file.content == paper.store.read(digest)
    assert file.headers["content-type"] == "image/png"
    assert "immutable" in file.headers["cache-control"]


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_other_formats_carry_the_infotext_where_a1111_puts_it(paper: Running, output_format: str) -> None:
    file = httpx.get(drawn(paper, output_format))
    assert file.headers["content-type"] == f"image/{output_format}"
    image = Image.open(io.BytesIO(file.content))
    assert image.format == output_format.upper()
    comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment.startswith(b"UNICODE\0")
    assert "Steps: 4" in comment.removeprefix(b"UNICODE\0").decode("utf-16-be")


def test_compression_makes_a_file_smaller(paper: Running) -> None:
    def size(compression: int) -> int:
        answer = paper.client().images.generate(
            prompt="a fox", output_format="jpeg", output_compression=compression, extra_body={"seed": 1}
        )
        return len((answer.data or [])[0].b64_json or "")

    assert size(20) < size(100)


@pytest.mark.parametrize(
    "name",
    [
        "../threads.sqlite",
        "..%2f..%2fthreads.sqlite",
        "%2e%2e/drawn.log",
        "0" * 64 + ".png",
        "0" * 63 + ".png",
        "A" * 64 + ".png",
        "0" * 64 + ".gif",
        "0" * 64 + ".png%0a",
        "",
    ],
)
def test_nothing_but_a_stored_picture_is_served(paper: Running, backend: PaperBackend, name: str) -> None:
    drawn(paper)
    answer = httpx.get(f"{paper.root}/pictures/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert str(paper.store.folder) not in answer.text


def test_a_damaged_file_is_not_served(paper: Running) -> None:
    url = drawn(paper)
    digest = url.rpartition("/")[2].removesuffix(".png")
    (paper.store.folder / digest[:2] / f"{digest}.png").write_bytes(b"something else")
    assert httpx.get(url).status_code == 404


def test_compression_goes_with_no_url(paper: Running) -> None:
    with pytest.raises(openai.BadRequestError, match="b64_json"):
        paper.client().images.generate(
            prompt="a fox", response_format="url", output_format="jpeg", output_compression=5
        )
