#!/usr/bin/env python3
"""SSD300 as ONNX for cudassd: out of a PyTorch checkpoint, or with random weights for measurements of speed.

    export-ssd300.py nvidia CHECKPOINT.pt OUT.onnx       NVIDIA's SSD300 v1.1, ResNet-50 (nvidia_ssdpyt_amp_200703.pt)
    export-ssd300.py torchvision CHECKPOINT.pth OUT.onnx torchvision's ssd300_vgg16
    export-ssd300.py random OUT.onnx [--seed 1]          NVIDIA's architecture, weights that mean nothing
    export-ssd300.py selftest                            NVIDIA's and torchvision's with made checkpoints, against PyTorch

A graph out of a checkpoint is written only after its outputs agreed with PyTorch's on pictures of noise.
`random` needs numpy and onnx; the others torch, torchvision (Debian: python3-torch, python3-torchvision) and onnxruntime as well.
A checkpoint is read as data; with --trust-checkpoint also as a pickle, which can run any code.

The ResNet-50 graph: the first six stages of ResNet-50 v1.5 with stride 1 in the fourth, five more pairs of convolutions, and two heads
on each of six maps (NVIDIA, DeepLearningExamples, SSD300 v1.1). Batch normalisation is folded into the convolutions.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

CLASSES = 81
DEFAULTS = [4, 6, 6, 6, 4, 4]
CHANNELS = [1024, 512, 512, 256, 256, 256]
NARROW = [256, 256, 128, 128, 128]
# Blocks, inner channels, stride of the first block; the third one's is 2 in ResNet-50.
STAGES = [(3, 64, 1), (4, 128, 2), (6, 256, 1)]
EPSILON = 1e-5
# Largest difference of an output from PyTorch's.
CLOSE = 2e-3


class Graph:
    """Nodes of an ONNX graph, and the weights they take."""

    def __init__(self, weights):
        self.weights, self.nodes, self.tensors, self.count = weights, [], [], 0

    def name(self):
        self.count += 1
        return f"t{self.count}"

    def constant(self, value):
        from onnx import numpy_helper

        name = self.name()
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind, inputs, output=None, **attributes):
        from onnx import helper

        output = output or self.name()
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, x, weight, norm=None, stride=1, padding=0, relu=True):
        """A convolution with the normalisation behind it, and the nonlinearity."""
        kernel = self.weights[f"{weight}.weight"].astype(np.float64)
        if norm is None:
            bias = self.weights[f"{weight}.bias"].astype(np.float64)
        else:
            gamma, beta, mean, variance = (
                self.weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(variance + EPSILON)
            kernel, bias = kernel * scale[:, None, None, None], beta - mean * scale
        inputs = [x, self.constant(kernel.astype(np.float32)), self.constant(bias.astype(np.float32))]
        y = self.add("Conv", inputs, kernel_shape=kernel.shape[2:], strides=[stride] * 2, pads=[padding] * 4)
        return self.add("Relu", [y]) if relu else y


def resnet(weights):
    """NVIDIA's SSD300 v1.1 of a dictionary of arrays, named as in its checkpoint."""
    import onnx
    from onnx import TensorProto, helper

    g = Graph(weights)
    base = "feature_extractor.feature_extractor"
    x = g.conv("image", f"{base}.0", f"{base}.1", stride=2, padding=3)
    x = g.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, (blocks, _, stride) in enumerate(STAGES):
        for block in range(blocks):
            at = f"{base}.{4 + stage}.{block}"
            step = stride if block == 0 else 1
            y = g.conv(x, f"{at}.conv1", f"{at}.bn1")
            y = g.conv(y, f"{at}.conv2", f"{at}.bn2", stride=step, padding=1)
            y = g.conv(y, f"{at}.conv3", f"{at}.bn3", relu=False)
            if block == 0:
                x = g.conv(x, f"{at}.downsample.0", f"{at}.downsample.1", stride=step, relu=False)
            x = g.add("Relu", [g.add("Add", [y, x])])
    maps = [x]
    for block in range(5):
        at = f"additional_blocks.{block}"
        x = g.conv(x, f"{at}.0", f"{at}.1")
        x = g.conv(x, f"{at}.3", f"{at}.4", stride=2 if block < 3 else 1, padding=1 if block < 3 else 0)
        maps.append(x)
    outputs = []
    for head, width, output in (("loc", 4, "ploc"), ("conf", CLASSES, "plabel")):
        parts = []
        for index, x in enumerate(maps):
            y = g.conv(x, f"{head}.{index}", padding=1, relu=False)
            parts.append(g.add("Reshape", [y, g.constant(np.array([0, width, -1], np.int64))]))
        g.add("Concat", parts, output, axis=2)
        outputs.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", width, 8732]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 300, 300])
    graph = helper.make_graph(g.nodes, "ssd300_resnet50", [image], outputs, g.tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="nunchi")
    onnx.checker.check_model(model)
    return model


def shapes():
    """Names and shapes of the weights in NVIDIA's checkpoint."""
    found = {}

    def conv(name, out, inner, side, norm=None):
        found[f"{name}.weight"] = (out, inner, side, side)
        if norm is None:
            found[f"{name}.bias"] = (out,)
        else:
            found.update({f"{norm}.{part}": (out,) for part in ("weight", "bias", "running_mean", "running_var")})

    base = "feature_extractor.feature_extractor"
    conv(f"{base}.0", 64, 3, 7, f"{base}.1")
    inner = 64
    for stage, (blocks, width, _) in enumerate(STAGES):
        for block in range(blocks):
            at = f"{base}.{4 + stage}.{block}"
            conv(f"{at}.conv1", width, inner, 1, f"{at}.bn1")
            conv(f"{at}.conv2", width, width, 3, f"{at}.bn2")
            conv(f"{at}.conv3", 4 * width, width, 1, f"{at}.bn3")
            if block == 0:
                conv(f"{at}.downsample.0", 4 * width, inner, 1, f"{at}.downsample.1")
            inner = 4 * width
    for block, (inner, out, narrow) in enumerate(zip(CHANNELS, CHANNELS[1:], NARROW)):
        at = f"additional_blocks.{block}"
        conv(f"{at}.0", narrow, inner, 1, f"{at}.1")
        conv(f"{at}.3", out, narrow, 3, f"{at}.4")
    for index, (inner, count) in enumerate(zip(CHANNELS, DEFAULTS)):
        conv(f"loc.{index}", 4 * count, inner, 3)
        conv(f"conf.{index}", CLASSES * count, inner, 3)
    return found


def random_weights(seed):
    """Weights of the right shapes that keep the numbers in bounds: the same for the same seed with every numpy."""
    source = np.random.RandomState(seed)
    weights = {}
    for name, shape in shapes().items():
        if len(shape) == 4:
            value = source.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            value = source.uniform(0.5, 1.5, shape)
        else:
            value = source.uniform(-0.1, 0.1, shape)
        # Sums along the blocks would grow without end.
        if ".bn3.weight" in name:
            value *= 0.2
        weights[name] = value.astype(np.float32)
    return weights


def load(path, trust):
    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # whatever a damaged file brings about
        hint = "" if trust else "; if you trust its origin, try --trust-checkpoint"
        sys.exit(f"{path} cannot be read as a checkpoint: {error}{hint}")
    state = checkpoint.get("model", checkpoint) if isinstance(checkpoint, dict) else checkpoint
    if not isinstance(state, dict):
        sys.exit(f"{path} has no weights: expected a dictionary, or one under `model`, found {type(state).__name__}")
    # Of training on several GPUs.
    return {name.replace("module.1.", "").replace("module.", ""): value for name, value in state.items()}


def torch_resnet():
    """The same network in PyTorch, as NVIDIA's names have it: what the graph is checked against."""
    import torch
    import torchvision
    from torch import nn

    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            layers = list(torchvision.models.resnet50(weights=None).children())[:7]
            first = layers[6][0]
            first.conv2.stride = first.downsample[0].stride = (1, 1)
            self.feature_extractor = nn.Sequential(*layers)

        def forward(self, x):
            return self.feature_extractor(x)

    class Ssd(nn.Module):
        def __init__(self):
            super().__init__()
            self.feature_extractor = Features()

            def pair(block, inner, out, narrow):
                last = {"padding": 1, "stride": 2} if block < 3 else {}
                return nn.Sequential(
                    nn.Conv2d(inner, narrow, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU(),
                    nn.Conv2d(narrow, out, 3, bias=False, **last), nn.BatchNorm2d(out), nn.ReLU(),
                )

            widths = zip(CHANNELS, CHANNELS[1:], NARROW)
            self.additional_blocks = nn.ModuleList(pair(block, *sizes) for block, sizes in enumerate(widths))
            heads = list(zip(CHANNELS, DEFAULTS))
            self.loc = nn.ModuleList(nn.Conv2d(inner, 4 * count, 3, padding=1) for inner, count in heads)
            self.conf = nn.ModuleList(nn.Conv2d(inner, CLASSES * count, 3, padding=1) for inner, count in heads)

        def forward(self, x):
            maps = [self.feature_extractor(x)]
            for block in self.additional_blocks:
                maps.append(block(maps[-1]))
            n = x.shape[0]
            join = lambda heads, width: torch.cat([head(m).reshape(n, width, -1) for head, m in zip(heads, maps)], 2)
            return join(self.loc, 4), join(self.conf, CLASSES)

    return Ssd().eval()


def fill(module, state, path):
    """Weights into a module, all of them and no others."""
    outcome = module.load_state_dict(state, strict=False)
    # Counters of training are not weights.
    unexpected = [name for name in outcome.unexpected_keys if not name.endswith("num_batches_tracked")]
    missing = [name for name in outcome.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"{path} is not of this network: {len(missing)} weights are missing ({', '.join(missing[:3])}), "
                 f"{len(unexpected)} are of another ({', '.join(unexpected[:3])})")


def check(model, module, names):
    """The largest difference of the graph's outputs from PyTorch's, on pictures of noise, alone and two at once."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (1, 2):
        image = np.random.RandomState(batch).uniform(-1, 1, (batch, 3, 300, 300)).astype(np.float32)
        with torch.no_grad():
            wanted = [value.numpy() for value in module(torch.from_numpy(image))]
        for found, wanted in zip(session.run(names, {session.get_inputs()[0].name: image}), wanted):
            if found.shape != wanted.shape:
                sys.exit(f"the graph gives {found.shape} and PyTorch {wanted.shape}")
            worst = max(worst, float(np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())))
    if not worst <= CLOSE:
        sys.exit(f"the graph's outputs differ from PyTorch's by {worst:.2g}, more than {CLOSE}: nothing was written")
    return worst


def nvidia(checkpoint, out, trust):
    module = torch_resnet()
    fill(module, load(checkpoint, trust), checkpoint)
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    model = resnet(weights).SerializeToString()
    return finish(model, module, ["ploc", "plabel"], out)


def torchvision_vgg(checkpoint, out, trust):
    import io

    import torch
    import torchvision

    state = load(checkpoint, trust)
    heads = [value for name, value in state.items() if name == "head.classification_head.module_list.0.bias"]
    if not heads:
        sys.exit(f"{checkpoint} is not of torchvision's ssd300_vgg16: it has no classification_head")
    classes = heads[0].shape[0] // DEFAULTS[0]
    ssd = torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=classes)
    fill(ssd, state, checkpoint)

    class Heads(torch.nn.Module):
        """Without the resizing in front and the decoding behind, which cudassd does."""

        def __init__(self):
            super().__init__()
            self.backbone, self.head = ssd.backbone, ssd.head

        def forward(self, x):
            found = self.head(list(self.backbone(x).values()))
            return found["bbox_regression"], found["cls_logits"]

    module, buffer = Heads().eval(), io.BytesIO()
    names = ["bbox_regression", "cls_logits"]
    torch.onnx.export(
        module, torch.zeros(2, 3, 300, 300), buffer, opset_version=13, input_names=["image"], output_names=names,
        dynamic_axes={name: {0: "N"} for name in ["image", *names]},
    )
    return finish(buffer.getvalue(), module, names, out)


def finish(model, module, names, out):
    worst = check(model, module, names)
    write(out, model)
    print(f"{out}: {len(model) / 1e6:.0f} MB, outputs within {worst:.1g} of PyTorch's")
    return worst


def write(out, model):
    part = out.with_name(out.name + ".part")
    part.write_bytes(model)
    part.replace(out)


def selftest():
    """Checkpoints of random weights through both ways."""
    import torch
    import torchvision

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        state = {name: torch.from_numpy(value) for name, value in random_weights(7).items()}
        torch.save({"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 1}, folder / "nvidia.pt")
        nvidia(folder / "nvidia.pt", folder / "nvidia.onnx", False)
        torch.manual_seed(7)
        ssd = torchvision.models.detection.ssd300_vgg16(weights=None, weights_backbone=None)
        torch.save(ssd.state_dict(), folder / "torchvision.pth")
        torchvision_vgg(folder / "torchvision.pth", folder / "torchvision.onnx", False)
        # What must be refused.
        (folder / "damaged.pt").write_bytes(b"no checkpoint")
        for way, name, file in ((nvidia, "torchvision.pth", "x"), (torchvision_vgg, "nvidia.pt", "x"), (nvidia, "damaged.pt", "x")):
            try:
                way(folder / name, folder / file, False)
            except SystemExit as refusal:
                print(f"refused, as it must be: {refusal}")
            else:
                sys.exit(f"{name} was taken by {way.__name__}")
        if (folder / "x").exists():
            sys.exit("something was written though it was refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("nvidia", "torchvision"):
        command = commands.add_parser(name)
        command.add_argument("checkpoint", type=pathlib.Path)
        command.add_argument("out", type=pathlib.Path)
        command.add_argument("--trust-checkpoint", action="store_true")
    command = commands.add_parser("random")
    command.add_argument("out", type=pathlib.Path)
    command.add_argument("--seed", type=int, default=1)
    commands.add_parser("selftest")
    args = parser.parse_args()
    if args.command == "selftest":
        selftest()
    elif args.command == "random":
        model = resnet(random_weights(args.seed))
        model.doc_string = f"SSD300 ResNet-50 with random weights (seed {args.seed}): finds nothing, for measurements of speed only"
        write(args.out, model.SerializeToString())
        print(f"{args.out}: random weights, seed {args.seed}")
    else:
        way = nvidia if args.command == "nvidia" else torchvision_vgg
        way(args.checkpoint, args.out, args.trust_checkpoint)


if __name__ == "__main__":
    main()
