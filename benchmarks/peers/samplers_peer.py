"""One run of one other library's NUTS on a saved posterior; called by samplers.py with a Python that has the library.

    python benchmarks/peers/samplers_peer.py numpyro problem.npz draws.npz --warm 60 --draws 20 --depth 8

No dependency of the project: pip install numpyro blackjax pyro-ppl into an environment of its own. Effects are scaled
to standard normal priors, which spares the peers from learning that one factor's SD is a hundredth of the others'.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import time

import numpy as np


def jax_log_posterior(data):  # noqa: ANN001, ANN201
    import jax
    import jax.numpy as jnp

    fixed, target = jnp.asarray(data["fixed"]), jnp.asarray(data["target"])
    codes = [jnp.asarray(part) for part in data["codes"]]
    sds, levels = data["sds"], data["levels"]
    classes = fixed.shape[0]

    def log_likelihood(parts):  # noqa: ANN001, ANN202
        logits = fixed
        for sd, code, part in zip(sds, codes, parts, strict=True):
            logits = logits + sd * part[:, code]
        if classes == 1:
            return jnp.sum(target * logits[0] - jax.nn.softplus(logits[0]))
        chosen = jnp.take_along_axis(logits, target[None].astype(int), 0)[0]
        return jnp.sum(chosen - jax.nn.logsumexp(logits, axis=0))

    return log_likelihood, [(classes, int(q)) for q in levels]


def numpyro_run(data, args):  # noqa: ANN001, ANN201
    import jax
    import numpyro
    from numpyro.infer import MCMC, NUTS, init_to_sample

    log_likelihood, shapes = jax_log_posterior(data)

    def model() -> None:
        normal = numpyro.distributions.Normal(0.0, 1.0)
        parts = [numpyro.sample(f"b{place}", normal.expand(list(s)).to_event(2)) for place, s in enumerate(shapes)]
        numpyro.factor("rows", log_likelihood(parts))

    kernel = NUTS(model, max_tree_depth=args.depth, init_strategy=init_to_sample)
    sampler = MCMC(kernel, num_warmup=args.warm, num_samples=args.draws, progress_bar=False)
    started = time.process_time()
    sampler.warmup(jax.random.PRNGKey(1), extra_fields=("num_steps",))
    warm = time.process_time() - started
    started = time.process_time()
    sampler.run(jax.random.PRNGKey(2), extra_fields=("num_steps",))
    found = sampler.get_samples()
    draws = [np.asarray(found[f"b{place}"]) for place in range(len(shapes))]
    spent = time.process_time() - started
    return draws, warm, spent, float(np.mean(sampler.get_extra_fields()["num_steps"]))


def blackjax_run(data, args):  # noqa: ANN001, ANN201
    import blackjax
    import jax
    import jax.numpy as jnp

    log_likelihood, shapes = jax_log_posterior(data)

    def log_posterior(parts):  # noqa: ANN001, ANN202
        return log_likelihood(parts) - 0.5 * sum(jnp.sum(part**2) for part in parts)

    key = jax.random.PRNGKey(1)
    start = [0.1 * jax.random.normal(jax.random.fold_in(key, place), s) for place, s in enumerate(shapes)]
    adaptation = blackjax.window_adaptation(blackjax.nuts, log_posterior, max_num_doublings=args.depth)
    started = time.process_time()
    (state, parameters), _ = adaptation.run(key, start, args.warm)
    jax.block_until_ready(state)
    warm = time.process_time() - started
    step = jax.jit(blackjax.nuts(log_posterior, **parameters).step)
    state, info = jax.block_until_ready(step(key, state))
    draws, steps = [], []
    started = time.process_time()
    for turn in range(args.draws):
        state, info = step(jax.random.fold_in(key, turn), state)
        draws.append([np.asarray(part) for part in state.position])
        steps.append(float(info.num_integration_steps))
    spent = time.process_time() - started
    return [np.stack([draw[place] for draw in draws]) for place in range(len(shapes))], warm, spent, np.mean(steps)


def pyro_run(data, args):  # noqa: ANN001, ANN201
    import pyro
    import torch
    from pyro.infer import MCMC, NUTS

    torch.set_num_threads(1)
    torch.manual_seed(1)
    fixed, target = torch.as_tensor(data["fixed"]), torch.as_tensor(data["target"])
    codes = [torch.as_tensor(part) for part in data["codes"]]
    shapes = [(fixed.shape[0], int(q)) for q in data["levels"]]
    counted, clock = [0], [time.process_time()]

    def potential(parts):  # noqa: ANN001, ANN202
        counted[0] += 1
        logits = fixed
        for place, (sd, code) in enumerate(zip(data["sds"], codes, strict=True)):
            logits = logits + float(sd) * parts[f"b{place}"].index_select(1, code)
        if len(fixed) == 1:
            fit = (target * logits[0] - torch.nn.functional.softplus(logits[0])).sum()
        else:
            fit = -torch.nn.functional.cross_entropy(logits.T, target.long(), reduction="sum")
        return 0.5 * sum(part.square().sum() for part in parts.values()) - fit

    start = {f"b{place}": 0.1 * torch.randn(shape) for place, shape in enumerate(shapes)}
    marks = []

    def hook(kernel, samples, stage, number) -> None:  # noqa: ANN001
        marks.append((stage, time.process_time() - clock[0], counted[0]))

    kernel = NUTS(potential_fn=potential, max_tree_depth=args.depth)
    sampler = MCMC(
        kernel, num_samples=args.draws, warmup_steps=args.warm, initial_params=start, hook_fn=hook,
        disable_progbar=True,
    )  # fmt: skip
    sampler.run()
    found = sampler.get_samples()
    warm = [mark for mark in marks if mark[0].lower().startswith("warm")][-1]
    spent, steps = marks[-1][1] - warm[1], (marks[-1][2] - warm[2]) / args.draws
    pyro.clear_param_store()
    return [found[f"b{place}"].numpy() for place in range(len(shapes))], warm[1], spent, steps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["numpyro", "blackjax", "pyro"])
    parser.add_argument("problem")
    parser.add_argument("out")
    parser.add_argument("--warm", type=int, default=60)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--depth", type=int, default=8)
    arguments = parser.parse_args()
    loaded = np.load(arguments.problem)
    count = len(loaded["levels"])
    problem = {name: loaded[name] for name in ("fixed", "target", "sds", "levels")}
    problem["codes"] = [loaded[f"codes{place}"] for place in range(count)]
    runs = {"numpyro": numpyro_run, "blackjax": blackjax_run, "pyro": pyro_run}
    kept, warm_cpu, draw_cpu, leapfrogs = runs[arguments.peer](problem, arguments)
    scaled = {f"b{place}": sd * part for place, (sd, part) in enumerate(zip(problem["sds"], kept, strict=True))}
    np.savez(arguments.out, warm=warm_cpu, spent=draw_cpu, leapfrogs=leapfrogs, **scaled)
