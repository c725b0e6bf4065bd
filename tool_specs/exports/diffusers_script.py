"""A call as a Python script that draws it with diffusers and nothing else.

The script does, line by line, what the diffusers backend does, so it draws the same picture. All text of strangers
stands in it as `repr` writes it: on one line, escaped, so that it can end neither a string nor a comment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tool_specs.calls import MAX_SEED, Call, HiresFix
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError
from tool_specs.exports.ingredients import Ingredients, file_name, ingredients, refuse
from tool_specs.pipelines import PIPELINES, Pipeline, hub_config, scheduler_for, text_tokens
from tool_specs.pocket import pocket_config, pocket_file
from tool_specs.prompt_weights import weighted_prompt
from tool_specs.schedulers import Scheduler
from tool_specs.spec import ToolSpec

_HEAD = '''\
"""Draws one picture with diffusers: python SCRIPT [PICTURE.png]

Written by DiffAgent. It needs: pip install {packages}
"""

{random}import sys
from pathlib import Path
'''

_MISSING = """\
missing = [str(path) for path in needed if not path.is_file()]
if missing:
    sys.exit(f"not here: {', '.join(missing)}; the comments at the top say where they come from")
"""

_TEXT_STATES = '''\

def text_states(text):
    """What the text encoder's CLIP_SKIP-th last layer makes of a text, normalised."""
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    tokens = tokenizer(
        pipeline.maybe_convert_prompt(text, tokenizer),
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    )
    with torch.no_grad():
        layers = encoder(tokens.input_ids.to(device), output_hidden_states=True).hidden_states
        return getattr(encoder, "text_model", encoder).final_layer_norm(layers[-CLIP_SKIP])

'''


def weights_file(spec: ToolSpec) -> Path:
    """Where a script looks for weights: inside this package, else in the folder that it is started in.

    Raises:
        CallError: The catalog knows no weights file of the spec.
    """
    name = file_name(spec)
    return pocket_file(name) if spec.is_shipped else Path(name)


def to_diffusers_script(
    call: Call,
    catalog: AnyCatalog,
    *,
    files: Callable[[ToolSpec], Path] = weights_file,
    configs: Mapping[str, Path] = MappingProxyType({}),
) -> str:
    """Write a call as a script.

    Args:
        call: What to draw. Without a seed, the script chooses one each time and prints it.
        catalog: Where the call's ids are looked up.
        files: Gives the weights file of a spec.
        configs: Family name to its diffusers configuration folder, for families whose folder would otherwise come from
            the model hub.

    Returns:
        Python source. The picture that the call begins from, if any, is expected as `SHA256.png`.

    Raises:
        CallError: A model is unknown or does not fit, or diffusers cannot draw the call.
    """
    pipeline = PIPELINES[call.family]
    refuse(call, "diffusers", "variation", "tiling")
    if pipeline.is_flow:
        refuse(call, "diffusers", "hires")
    else:
        _refuse_weights(call)
    found = ingredients(call, catalog)
    scheduler = scheduler_for(found.checkpoint, call.sampler, from_picture=call.init_image is not None)
    if found.embeddings and not pipeline.encoders:
        msg = f"diffusers cannot load the embedding {found.embeddings[0].spec.id} into {call.family}; leave it out"
        raise CallError(msg)
    folder = configs.get(call.family) or (pocket_config() if call.family == "pocket" else None)
    lines = [
        *_imports(call, found, pipeline, scheduler),
        *_constants(call, found, files, str(folder or hub_config(found.checkpoint))),
        *_loading(call, pipeline, local=folder is not None),
        *_scheduler(scheduler),
        *_networks(found, pipeline),
        *_drawing(call, found, pipeline),
    ]
    return "\n".join(lines) + "\n"


def _imports(call: Call, found: Ingredients, pipeline: Pipeline, scheduler: Scheduler) -> Iterator[str]:
    packages = "torch diffusers transformers accelerate peft safetensors"
    yield _HEAD.format(
        packages=packages + (" sentencepiece protobuf" if pipeline.is_flow else ""),
        random="import secrets\n" if call.seed is None else "",
    )
    yield "import torch"
    larger = "AutoPipelineForImage2Image" if call.hires is not None else ""
    classes = {_class(call, pipeline), scheduler.name, pipeline.transformer, larger} - {""}
    yield f"from diffusers import {', '.join(sorted(classes))}"
    if call.init_image is not None or (call.hires is not None and call.hires.upscaler == "Lanczos"):
        yield "from PIL import Image"
    if found.loras or found.embeddings:
        yield "from safetensors.torch import load_file"
    yield ""


def _constants(call: Call, found: Ingredients, files: Callable[[ToolSpec], Path], config: str) -> Iterator[str]:
    yield _origin(found.checkpoint)
    yield f"CHECKPOINT = {_path(files(found.checkpoint))}"
    yield f"CONFIG = {config!r}"
    for name, entries in (
        ("LORAS", [(lora.spec, lora.weight) for lora in found.loras]),
        ("EMBEDDINGS", [(embedding.spec, embedding.word) for embedding in found.embeddings]),
    ):
        if entries:
            yield f"{name} = ["
            for spec, value in entries:
                yield f"    {_origin(spec)}"
                yield f"    ({_path(files(spec))}, {value!r}),"
            yield "]"
    yield f"PROMPT = {weighted_prompt(call.prompt).text!r}"
    if call.bounds.has_negative_prompt:
        yield f"NEGATIVE_PROMPT = {weighted_prompt(call.negative_prompt).text!r}"
    if call.clip_skip > PIPELINES[call.family].first_clip_skip:
        yield f"CLIP_SKIP = {call.clip_skip}"
    yield f"SEED = {f'secrets.randbelow({MAX_SEED + 1})' if call.seed is None else call.seed}"
    yield f"WIDTH, HEIGHT = {call.width}, {call.height}"
    if call.init_image is not None:
        yield "# The picture to begin from: copy it out of DiffAgent's artifact store."
        yield f"START = {_path(Path(f'{call.init_image}.png'))}"
    yield 'PICTURE = Path(sys.argv[1] if len(sys.argv) > 1 else "picture.png")'
    yield ""
    yield "needed = [CHECKPOINT]"
    if found.loras:
        yield "needed += [path for path, _ in LORAS]"
    if found.embeddings:
        yield "needed += [path for path, _ in EMBEDDINGS]"
    if call.init_image is not None:
        yield "needed.append(START)"
    yield _MISSING


def _loading(call: Call, pipeline: Pipeline, *, local: bool) -> Iterator[str]:
    offline = ", local_files_only=True" if local else ""
    name = _class(call, pipeline)
    yield 'device = "cuda" if torch.cuda.is_available() else "cpu"'
    if pipeline.is_flow:
        yield f"transformer = {pipeline.transformer}.from_single_file("
        yield f'    str(CHECKPOINT), config=CONFIG, subfolder="transformer", torch_dtype=torch.bfloat16{offline}'
        yield ")"
        yield f"pipeline = {name}.from_pretrained("
        yield f"    CONFIG, transformer=transformer, torch_dtype=torch.bfloat16{offline}"
        yield ")"
    else:
        yield 'dtype = torch.float16 if device == "cuda" else torch.float32'
        yield f"pipeline = {name}.from_single_file("
        yield f"    str(CHECKPOINT), config=CONFIG, torch_dtype=dtype{offline}"
        yield ").to(device)"


def _scheduler(scheduler: Scheduler) -> Iterator[str]:
    settings = [f"{key}={value!r}" for key, value in scheduler.settings.items()]
    if "use_flow_sigmas" in scheduler.settings:
        settings.append("flow_shift=pipeline.scheduler.config.shift")
    yield f"pipeline.scheduler = {scheduler.name}.from_config("
    yield f"    {', '.join(['pipeline.scheduler.config', *settings])}"
    yield ")"


def _networks(found: Ingredients, pipeline: Pipeline) -> Iterator[str]:
    if found.embeddings:
        yield "for path, word in EMBEDDINGS:"
        yield "    vectors = load_file(path)"
        for tokenizer, encoder, key in pipeline.encoders:
            yield "    pipeline.load_textual_inversion("
            yield f'        {{"emb_params": vectors.get({key!r}, next(iter(vectors.values())))}},'
            yield f"        token=word, tokenizer=pipeline.{tokenizer}, text_encoder=pipeline.{encoder},"
            yield "    )"
    if found.loras:
        yield "for number, (path, _) in enumerate(LORAS):"
        yield '    pipeline.load_lora_weights(load_file(path), adapter_name=f"lora{number}")'
        yield 'names = [f"lora{number}" for number in range(len(LORAS))]'
        yield "pipeline.set_adapters(names, [weight for _, weight in LORAS])"
    if pipeline.is_flow:
        yield 'if device == "cuda":'
        yield "    pipeline.enable_model_cpu_offload()"


def _drawing(call: Call, found: Ingredients, pipeline: Pipeline) -> Iterator[str]:
    skips = call.clip_skip > pipeline.first_clip_skip
    own_states = skips and not pipeline.has_clip_skip
    if own_states:
        yield _TEXT_STATES
    texts = list(_texts(call, pipeline, own_states=own_states, skips=skips))
    noise = '    generator=torch.Generator("cpu").manual_seed(SEED),'
    latent = call.hires is not None and call.hires.upscaler == "Latent"
    yield "picture = pipeline("
    yield from texts
    if call.init_image is not None:
        yield '    image=Image.open(START).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS),'
        yield f"    strength={call.denoising_strength!r},"
    if call.init_image is None or pipeline.is_flow:
        yield "    width=WIDTH,"
        yield "    height=HEIGHT,"
    yield f"    num_inference_steps={call.steps},"
    yield f"    {pipeline.guidance}={pipeline.guidance_of(call.cfg_scale)!r},"
    tokens = text_tokens(found.checkpoint)
    if tokens is not None:
        yield f"    max_sequence_length={tokens},"
    yield noise
    if latent:
        yield '    output_type="latent",'
    yield ").images" if latent else ").images[0]"
    if call.hires is not None:
        yield from _second_pass(call, call.hires, texts, noise)
    yield "picture.save(PICTURE)"
    yield 'print(f"{PICTURE}, seed {SEED}")'


def _second_pass(call: Call, hires: HiresFix, texts: list[str], noise: str) -> Iterator[str]:
    width, height = call.final_size
    yield f"# The hires fix: enlarged to {width}x{height}, and drawn over."
    yield "pipeline = AutoPipelineForImage2Image.from_pipe(pipeline)"
    if hires.upscaler == "Latent":
        yield "scale = pipeline.vae_scale_factor"
        yield f"size = ({height} // scale, {width} // scale)"
        yield 'larger = torch.nn.functional.interpolate(picture, size=size, mode="bilinear")'
    else:
        yield f"larger = picture.resize(({width}, {height}), Image.Resampling.LANCZOS)"
    yield "picture = pipeline("
    yield from texts
    yield "    image=larger,"
    yield f"    strength={hires.denoising_strength!r},"
    yield f"    num_inference_steps={hires.planned_steps(call.steps)},"
    yield f"    guidance_scale={call.cfg_scale!r},"
    yield noise
    yield ").images[0]"


def _texts(call: Call, pipeline: Pipeline, *, own_states: bool, skips: bool) -> Iterator[str]:
    """The arguments for both prompts."""
    if own_states:
        yield "    prompt_embeds=text_states(PROMPT),"
        yield "    negative_prompt_embeds=text_states(NEGATIVE_PROMPT),"
        return
    yield "    prompt=PROMPT,"
    if call.bounds.has_negative_prompt:
        yield f"    negative_prompt=NEGATIVE_PROMPT or {pipeline.no_negative!r},"
    if skips:
        yield f"    clip_skip=CLIP_SKIP - {pipeline.first_clip_skip},  # counted from the layer that SDXL reads"


def _refuse_weights(call: Call) -> None:
    """See that diffusers reads in both prompts what they say.

    Raises:
        CallError: One weighs its words or has a `BREAK`; where a text encoder knows none (T5), nothing is lost.
    """
    for text in (call.prompt, call.negative_prompt):
        if not weighted_prompt(text).is_plain:
            msg = (
                f"diffusers knows no weights and no BREAK, which the prompt {text[:60]!r} has; leave them out, or "
                "export it for comfyui or a1111"
            )
            raise CallError(msg)


def _class(call: Call, pipeline: Pipeline) -> str:
    return pipeline.text_to_image if call.init_image is None else pipeline.image_to_image


def _origin(spec: ToolSpec) -> str:
    """A comment: what a model is called and where it can be had."""
    if spec.is_local or spec.family == "pocket":
        return f"# {spec.model_name!r}, {spec.id}"
    return f"# {spec.model_name!r}: https://civitai.com/models/{spec.model_id}?modelVersionId={spec.version_id}"


def _path(path: Path) -> str:
    return f"Path({str(path)!r})"
